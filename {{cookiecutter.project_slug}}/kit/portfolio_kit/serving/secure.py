"""The headers that isolate an answer from other pages, on every answer."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # For JSON, of which a browser must make nothing; a page has another policy.
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Neither keeps pages that `serve.cors` names from reading answers.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PAIRS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
# For a year, if the client came over HTTPS. Other hosts of the domain may not have it.
HTTPS = (b"strict-transport-security", b"max-age=31536000")


class Secure:
    """Adds them to whatever the application answers; what an answer has already stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = [*PAIRS, HTTPS] if scope.get("scheme") == "https" else PAIRS

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", [])
                known = {name for name, _ in headers}
                message["headers"] = [*headers, *(one for one in wanted if one[0] not in known)]
            await send(message)

        await self._app(scope, receive, send_secured)
