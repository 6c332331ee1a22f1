"""The page to try the model: files that load nothing but each other and ask nobody but this API."""

import mimetypes
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

HEADERS = {
    # Nothing inline either: what a model answers could not run, even if it were taken for markup.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self'; "
    "script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # ask whether a file changed: those of two versions must not mix
}


class Page(StaticFiles):
    """Serves the files in `static/`."""

    def __init__(self) -> None:
        super().__init__(directory=Path(__file__).parent / "static")
        # Windows may call a script text/plain, which browsers then refuse to run.
        mimetypes.add_type("text/javascript", ".js")

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Return a file with the headers that keep the page to itself."""
        response = super().file_response(*arguments, **options)
        response.headers.update(HEADERS)
        return response
