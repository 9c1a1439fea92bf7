"""The page's files over HTTP: what is served, with which headers, and to whom."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from server import pages
from server.app import create_app
from server.config import ServerConfig
from tests import tiny
from tests.server.keyed import keyed


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """A server that needs a key; the worker is not started."""
    file, _ = keyed(tmp_path_factory.mktemp("keys"))
    return TestClient(create_app(ServerConfig(api_keys_file=file), lambda *_: tiny.checkpoint()))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/web/app.js", "text/javascript"),
        ("/web/style.css", "text/css"),
        ("/web/icon.svg", "image/svg+xml"),
        ("/web/speech.mp3", "audio/mpeg"),
        ("/javascript/src/index.js", "text/javascript"),
    ],
)
def test_the_page_is_for_everybody_and_takes_nothing_from_elsewhere(client: TestClient, path: str, kind: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert client.head(path).status_code == 200
    assert client.get(path, headers={"If-None-Match": response.headers["etag"]}).status_code in (200, 304)


@pytest.mark.parametrize("path", ["/web/../../pyproject.toml", "/web/%2e%2e/%2e%2e/pyproject.toml", "/web/missing.js", "/web/"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (401, 404)


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/webs", "/javascript/package.json"])
def test_the_rest_needs_a_key(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


def test_every_file_that_the_page_names_is_there() -> None:
    web = pages.FOLDERS["/web"]
    text = "".join(file.read_text() for file in (web / "index.html", web / "examples.js"))
    named = {word.strip("\"'") for word in text.replace("=", " ").replace(">", " ").replace(",", " ").split() if "web/" in word}
    assert len(named) >= 5
    assert all((web.parent / Path(name)).is_file() for name in named)
