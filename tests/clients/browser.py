"""A browser for the page's tests, and what a page may never do: talk to another server, or say an error. Knows no test."""

import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# The sandbox needs privileges that a container's root does not give.
FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


@contextmanager
def chromium(sound: Path) -> Iterator[Any]:
    """Chromium, whose microphone hears `sound`. Skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-audio-capture={sound}"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_of(browser: Any, url: str, expected: str = "", **options: Any) -> Iterator[Any]:
    """A new page at `url`. Fails if it asks another server, or if its console says an error without `expected` in it."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(url)
        yield page
        wrong = [text for text in said if not expected or expected not in text]
        assert not wrong, wrong
        assert all(address.startswith(url) for address in asked)
    finally:
        context.close()


def tone(path: Path, hertz: float = 440.0, seconds: float = 1.0, rate: int = 48_000) -> Path:
    """A WAV file with a tone at half of full scale."""
    samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return path
