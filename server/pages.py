"""The page at `/` and the JavaScript client that it imports, as files. Knows paths and headers; knows no session, model or key.

Anybody may fetch them: they hold nothing of the server's, and a browser that opens a page cannot bring a key.
"""

import mimetypes
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
# As the files lie on the disk, so that the page's relative imports hold there as well.
FOLDERS = {"/web": CLIENTS / "web", "/javascript/src": CLIENTS / "javascript" / "src"}
# Everything from this server, nothing inline, in no frame; the socket of the page's own origin is `'self'`.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304: a page and its modules are of one version
}
# A machine's own table may say text/plain, and a browser then runs no module.
mimetypes.add_type("text/javascript", ".js")


class Files(StaticFiles):
    """A folder, with the page's headers."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """What StaticFiles answers."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def is_page(path: str) -> bool:
    """True for what is served here, whatever is behind it."""
    return path == "/" or path.startswith(tuple(f"{folder}/" for folder in FOLDERS))


def mount(app: FastAPI) -> None:
    """Raises RuntimeError where the files are missing: they come with the server."""
    for path, folder in FOLDERS.items():
        app.mount(path, Files(directory=folder))

    @app.api_route("/", methods=["GET", "HEAD"], response_class=FileResponse)
    async def index() -> FileResponse:
        return FileResponse(FOLDERS["/web"] / "index.html", headers=HEADERS)
