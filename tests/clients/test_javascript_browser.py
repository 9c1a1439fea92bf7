"""The JavaScript client's own tests, golden messages among them, in Chromium: the same files as in Node."""

import threading
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.clients.browser import chromium, page_of, tone
from tests.clients.node import ROOT

RUN = """async (tests) => {
  for (const test of tests) await import(test);
  return (await import("node:test")).results();
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        """A page without an icon is asked for one, sooner or later: a file that is not there is an error on its console."""
        if self.path == "/favicon.ico":
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def files() -> Iterator[str]:
    """Where the repository is served from."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(ROOT))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_in_chromium(files: str, tmp_path: Path) -> None:
    tests = [f"/clients/javascript/tests/{name}.test.js" for name in ("protocol", "client")]
    with chromium(tone(tmp_path / "tone.wav")) as browser, page_of(browser, files) as page:
        page.goto(files + "tests/clients/node_in_browser/index.html")
        found = page.evaluate(RUN, tests)
    assert [(name, wrong) for name, wrong in found if wrong] == []
    assert sum(name.startswith("golden message: ") for name, _ in found) > 20
    assert len(found) > 50
