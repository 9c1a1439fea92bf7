"""The page at `/` in a real Chromium, on the real server with a tiny model; what that does not offer yet, on a server in the test."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backbones.checkpoint import CheckpointConfig, Tier
from backbones.loading import Checkpoint
from cli.demo import DEMOS
from engine import actions
from engine.request import Request
from tasks import DEFAULT_TASKS
from tests import tiny
from tests.clients.browser import chromium, page_of, tone
from tests.server.keyed import keyed
from tests.server.live import TEXT, Live, memory, wait_until

LENGTH = 512
TIERS = {"low": 0.4, "high": 0.9}
DONE = "body[data-state=done]"


def checkpoint() -> Checkpoint:
    """The tiny model with the tasks that the page's examples play."""
    tasks = {"echo": tiny.TASKS["echo"], "ask": tiny.TASKS["ask"]}
    tasks |= {name: DEFAULT_TASKS[name].model_copy(update={"max_output_tokens": 12}) for name in ("translate", "answer")}
    tiers = {"echo": {"entropy": {name: Tier(threshold=value, calibrated=False) for name, value in TIERS.items()}}}
    return replace(tiny.checkpoint(), config=CheckpointConfig(name="tiny", tasks=tasks), tiers=tiers)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live(lambda *_: checkpoint(), kv_memory=memory(length=LENGTH), slot_length=LENGTH) as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tone(tmp_path_factory.mktemp("sound") / "tone.wav")) as started:
        yield started


def url(live: Live) -> str:
    return f"http://127.0.0.1:{live.port}/"


def write(page: Any, text: str) -> None:
    """Types into the field for the source, key by key."""
    page.locator("#source").press_sequentially(text)


def frames(page: Any) -> list[dict[str, Any]]:
    """All text frames of the page's websockets, as they come and go."""
    found: list[dict[str, Any]] = []

    def listen(socket: Any) -> None:
        for way in ("framesent", "framereceived"):
            socket.on(way, lambda frame: found.append(json.loads(frame)))

    page.on("websocket", listen)
    return found


def test_typed_text_is_streamed_and_shown(browser: Any, live: Live) -> None:
    ours = tiny.run(tiny.engine(length=LENGTH), Request("echo", threshold=TIERS["low"]), tiny.words(" ".join(TEXT)))
    done = ours[-1]
    assert isinstance(done, actions.Done)
    assert done.rco is not None
    with page_of(browser, url(live)) as page:
        page.select_option("#task", label="echo")
        page.get_by_text("low", exact=True).click()
        write(page, " ".join(TEXT) + " ")
        page.keyboard.press("Enter")
        page.wait_for_selector(DONE)
        assert page.locator("#target").text_content() == done.text
        assert page.locator("#rco").text_content() == f"{round(done.rco * 100)}%"
        assert page.locator(".word.source.is-read").all_text_contents() == TEXT
        written = page.locator(".word.target").all_text_contents()
        assert "".join(written) == "".join(done.text.split())
        assert page.locator("#ail").text_content() not in ("", "–")
        threads = page.locator("#flow path").evaluate_all("paths => paths.map(path => path.getAttribute('d'))")
        assert len(threads) == len(written)
        assert all(thread.startswith("M") and "NaN" not in thread for thread in threads)
        assert page.locator("#curve circle").count() > 0
        assert page.locator("#curve").get_attribute("aria-label").endswith("threshold 0.4")


def test_the_tier_is_switched_in_mid_stream(browser: Any, live: Live) -> None:
    with page_of(browser, url(live)) as page:
        seen = frames(page)
        page.select_option("#task", label="echo")
        page.get_by_text("high", exact=True).click()
        write(page, "The dog ")
        page.wait_for_selector(".word.source.is-read >> nth=1")
        page.get_by_text("low", exact=True).click()
        write(page, "sat ")
        page.wait_for_selector(".word.source.is-read >> nth=2")
        page.locator("#curve text", has_text="0.4").wait_for()
        page.keyboard.press("Escape")
        page.wait_for_selector(DONE)
        assert page.locator("#status").text_content() == "Stopped"
    types = [frame["type"] for frame in seen]
    assert seen[types.index("session.updated")]["threshold"] == 0.4
    assert types.index("session.updated") < len(types) - 1
    assert types[-1] == "done"


@pytest.mark.parametrize(("example", "task"), [("A translation", "translate"), ("A question", "answer")])
def test_examples_play_with_one_click(browser: Any, live: Live, example: str, task: str) -> None:
    with page_of(browser, url(live), reduced_motion="reduce", color_scheme="dark") as page:
        seen = frames(page)
        page.get_by_role("button", name=example).click()
        page.wait_for_selector(".word.source >> nth=3")
        page.keyboard.press("Escape")
        page.wait_for_selector(DONE)
    start = seen[0]
    assert (start["type"], start["task"]) == ("session.start", task)
    assert all(start["inputs"].values())


def test_another_example_takes_the_place_of_the_one_that_plays(browser: Any, live: Live) -> None:
    with page_of(browser, url(live)) as page:
        seen = frames(page)
        page.get_by_role("button", name="A translation").click()
        page.wait_for_selector(".word.source >> nth=1")
        page.get_by_role("button", name="A question").click()
        page.locator(".word.source", has_text="mill").wait_for()
        assert page.locator(".word.source", has_text="raining").count() == 0
        page.keyboard.press("Escape")
        page.wait_for_selector(DONE)
    assert [frame["reason"] for frame in seen if frame["type"] == "done"] == ["cancelled", "cancelled"]
    wait_until(lambda: not live.engine.busy)


def test_what_no_model_can_do_is_dimmed_and_says_so(browser: Any, live: Live) -> None:
    """By a click and by the keyboard; nothing is started."""
    with page_of(browser, url(live)) as page:
        seen = frames(page)
        page.wait_for_selector("body[data-state=idle]")
        for name in ("Speech", "Speak"):
            button = page.get_by_role("button", name=name, exact=True)
            assert button.get_attribute("aria-disabled") == "true"
            button.focus()
            page.keyboard.press("Enter")
            page.get_by_text("No model on this server listens").wait_for()
        assert page.get_by_role("button", name="A question").get_attribute("aria-disabled") == "false"
        page.route("**/v1/models", lambda route: route.fulfill(json={"data": [listed("translate")]}))
        page.reload()
        page.wait_for_selector("body[data-state=idle]")
        page.get_by_role("button", name="A question").click(force=True)
        page.get_by_text("No model on this server answers questions").wait_for()
        assert page.locator("body").get_attribute("data-state") == "idle"
        assert seen == []


def test_a_server_that_does_not_answer_is_asked_again(browser: Any, live: Live) -> None:
    with page_of(browser, url(live), expected="ERR_FAILED") as page:
        page.route("**/v1/models", lambda route: route.abort())
        page.reload()
        page.get_by_text("The server does not answer. Is it running?").wait_for()
        assert not page.locator("#task").is_visible()
        page.unroute("**/v1/models")
        page.wait_for_selector("body[data-state=idle]")
        assert page.locator("#task").is_visible()
        assert not page.locator("#error").is_visible()


def test_the_examples_are_the_demos(browser: Any, live: Live) -> None:
    """On whose texts the shipped models do what the page says (tests/test_checkpoints.py)."""
    with page_of(browser, url(live)) as page:
        examples = page.evaluate("async () => (await import('/web/examples.js')).EXAMPLES")
    texts = {example["task"]: (example["text"], example.get("inputs", {})) for example in examples if "text" in example}
    assert texts == {demo.task: (demo.source, demo.options.get("inputs", {})) for demo in DEMOS.values()}


def test_an_input_that_is_missing_is_asked_for(browser: Any, live: Live) -> None:
    with page_of(browser, url(live)) as page:
        page.select_option("#task", label="ask")
        write(page, "The ")
        page.get_by_text("Fill in the question first.").wait_for()
        assert page.locator("#inputs input").evaluate("field => field === document.activeElement")
        assert page.locator("#source").input_value() == "The "
        page.locator("#threshold").fill("2")
        page.locator("#inputs input").fill("Who?")
        write(page, "dog ")
        page.keyboard.press("Enter")
        page.wait_for_selector(DONE)
        assert page.locator(".word.source").all_text_contents() == ["The", "dog"]


def test_on_a_phone_nothing_is_cut_off(browser: Any, live: Live) -> None:
    with page_of(browser, url(live), viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True) as page:
        write(page, " ".join(TEXT))
        page.keyboard.press("Enter")
        page.wait_for_selector(DONE)
        assert page.locator("html").evaluate("page => page.scrollWidth") == 390
        assert all(box["x"] + box["width"] <= 390 for box in (word.bounding_box() for word in page.locator(".word").all()))
        assert all(box["height"] >= 36 for box in (button.bounding_box() for button in page.locator("button:not(.quiet)").all()))


def test_with_the_keyboard_alone(browser: Any, live: Live) -> None:
    with page_of(browser, url(live)) as page:
        page.select_option("#task", label="echo")
        page.locator("#task").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        assert page.locator("#tier-choices input:checked").evaluate("field => field.value") in ("high", "low")
        page.keyboard.press("Tab")
        page.keyboard.type("dog cat")
        page.keyboard.press("Enter")
        page.wait_for_selector(DONE)
        assert page.locator(".word.source").all_text_contents() == ["dog", "cat"]


def test_a_key_is_asked_for(browser: Any, tmp_path: Path) -> None:
    file, key = keyed(tmp_path)
    with Live(lambda *_: checkpoint(), api_keys_file=file, kv_memory=memory(length=LENGTH), slot_length=LENGTH) as server:
        wait_until(lambda: server.worker.ready)
        with page_of(browser, url(server), expected="401") as page:
            page.get_by_text("This server needs an API key.").wait_for()
            page.locator("#key").fill(key)
            page.keyboard.press("Enter")
            page.wait_for_selector("body[data-state=idle]")
            page.select_option("#task", label="echo")
            write(page, "dog ")
            page.keyboard.press("Enter")
            page.wait_for_selector(DONE)


# ---- a server in the test, for what the real one does not offer yet

STARTED = {
    "session_id": "s", "model": "tiny", "head": "entropy", "threshold": 0.5,
    "limits": {"max_source_tokens": 99, "max_output_tokens": 99, "max_message_bytes": 65536},
}  # fmt: skip
USAGE = {"prompt_tokens": 1, "source_tokens": 1, "source_units": 1200, "target_tokens": 1, "probes": 1}


def listed(task: str, unit: str = "word") -> dict[str, Any]:
    """A model as /v1/models has it, with one task."""
    return {"id": "other", "unit": unit, "tasks": {task: {"inputs": {}, "default_head": "entropy", "default_tier": "medium", "tiers": {}}}}


def scripted(page: Any, handle: Callable[[Any, Any], None]) -> None:
    """The page's websockets end in `handle(socket, message)`: JSON, or bytes of sound."""

    def route(socket: Any) -> None:
        socket.on_message(lambda message: handle(socket, message if isinstance(message, bytes) else json.loads(message)))

    page.route_web_socket("**/v1/stream", route)


def send(socket: Any, type: str, seq: int, **fields: Any) -> None:  # noqa: A002 (the wire's name)
    socket.send(json.dumps({"type": type, "seq": seq, **fields}))


@pytest.mark.parametrize("button", ["Speak", "Speech"])
def test_the_microphone_and_a_recording_are_streamed_as_pcm16(browser: Any, live: Live, button: str) -> None:
    heard: list[bytes] = []
    seen: list[dict[str, Any]] = []

    def handle(socket: Any, message: Any) -> None:
        if isinstance(message, bytes):
            heard.append(message)
            n = len(heard)
            send(socket, "read", n + 1, phi=100 * n, n=n)
            return
        seen.append(message)
        seq = len(heard) + 2
        if message["type"] == "session.start":
            send(socket, "session.started", 1, **STARTED, resume_token=None, unit="ms")
        elif message["type"] == "source.end":
            send(socket, "write", seq, text="A tone.", index=0, count=1, phi=800, n=len(heard) + 1)
            send(socket, "done", seq + 1, text="A tone.", reason="end", usage=USAGE, rco=0.5, ail=250.0)

    with page_of(browser, url(live)) as page:
        page.route("**/v1/models", lambda route: route.fulfill(json={"data": [listed("transcribe", unit="ms")]}))
        page.reload()
        page.wait_for_selector("body[data-state=idle]")
        scripted(page, handle)
        page.get_by_role("button", name=button, exact=True).click()
        page.wait_for_selector(".word.block.is-read >> nth=2")
        if button == "Speak":
            assert page.locator("#speak").get_attribute("aria-pressed") == "true"
            page.locator("#speak").click()
        page.wait_for_selector(DONE)
        assert page.locator("#units").text_content() == "1.2 s"
        assert page.locator("#ail").text_content() == "0.3 s"
        assert page.locator("#flow path").count() == 2
    assert (seen[0]["modality"], seen[0]["audio"]) == ("audio", {"format": "pcm16", "rate": 16000, "channels": 1})
    assert {len(piece) for piece in heard[:-1]} == {3200}
    samples = np.frombuffer(b"".join(heard), dtype="<i2").astype(float)
    assert samples.std() > 500
    if button == "Speak":
        spectrum = np.abs(np.fft.rfft(samples[8000:16000]))
        assert abs(np.argmax(spectrum) * 2 - 440) < 20  # half a second: 2 Hz a bin


def test_a_broken_connection_is_resumed(browser: Any, live: Live) -> None:
    seen: list[Any] = []

    def handle(socket: Any, message: Any) -> None:
        seen.append(message)
        if message["type"] == "session.start":
            send(socket, "session.started", 1, **STARTED, resume_token="token", unit="word")  # noqa: S106
        elif message.get("text") == "dog ":
            socket.close(code=4000)  # 1006 cannot be said
        elif message["type"] == "session.resume":
            send(socket, "session.resumed", 2, n=1)
            send(socket, "read", 2, phi=1, n=1)
        elif message["type"] == "source.end":
            send(socket, "write", 3, text="Hund", index=0, count=1, phi=1, n=2)
            send(socket, "done", 4, text="Hund", reason="end", usage=USAGE, rco=1.0, ail=1.0)

    with page_of(browser, url(live)) as page:
        scripted(page, handle)
        page.select_option("#task", label="echo")
        write(page, "dog ")
        page.wait_for_selector(".word.source.is-read")
        page.keyboard.press("Enter")
        page.wait_for_selector(DONE)
        assert page.locator("#target").text_content() == "Hund"
    assert {"type": "session.resume", "resume_token": "token", "last_seq": 1} in seen


def test_a_full_house_is_told_with_the_time_to_wait(browser: Any, live: Live) -> None:
    def handle(socket: Any, message: Any) -> None:
        send(socket, "error", 1, code="no_capacity", message="full", fatal=True, retry_after=2.5)
        socket.close(code=1013)

    with page_of(browser, url(live)) as page:
        scripted(page, handle)
        page.select_option("#task", label="echo")
        write(page, "dog ")
        page.get_by_text("Every place is taken. Try again in 3 seconds.").wait_for()
