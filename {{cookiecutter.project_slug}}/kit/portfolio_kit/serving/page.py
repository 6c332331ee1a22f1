"""The try-it page: static files that load nothing but each other and call nothing but this API."""

import mimetypes
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

SHARED = Path(__file__).parent / "static"
HEADERS = {
    # No inline code either: a model's answer could not run even if it were taken for markup.
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self'; "
    "script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # revalidate: files of two versions must not mix
}


class Page(StaticFiles):
    """Serves the project's page, and the files that all pages share."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self.all_directories = [folder, SHARED]
        # Windows may report scripts as text/plain, which browsers then do not run.
        mimetypes.add_type("text/javascript", ".js")

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Return a file with the headers that isolate the page."""
        response = super().file_response(*arguments, **options)
        response.headers.update(HEADERS)
        return response
