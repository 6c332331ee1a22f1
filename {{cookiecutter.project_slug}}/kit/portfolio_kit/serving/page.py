"""Static pages, which load nothing but each other and call nothing but this API."""

import mimetypes
import os
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

SHARED = Path(__file__).parent / "static"
# No inline code either: a model's answer could not run even if it were taken for markup.
PAGE = (
    "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCS = PAGE.replace("img-src 'self'", "img-src 'self' data:")  # Swagger UI's icons


class Page(StaticFiles):
    """Serves the project's page, and the files that all pages share."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self.all_directories = [folder, SHARED]
        # Windows may report scripts as text/plain, which browsers then do not run.
        mimetypes.add_type("text/javascript", ".js")

    def file_response(self, full_path: Any, *arguments: Any, **options: Any) -> Response:
        """Return a file with the headers that isolate the page, also if it has not changed."""
        response = super().file_response(full_path, *arguments, **options)
        is_docs = os.path.basename(full_path) == "docs.html"
        response.headers["Content-Security-Policy"] = DOCS if is_docs else PAGE
        response.headers["Cache-Control"] = "no-cache"  # files of two versions must not mix
        return response
