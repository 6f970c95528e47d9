"""Headers that every answer of the application carries, whoever made it, unless it says otherwise itself."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.answers import GUARDS, HSTS

# Of what is no page: nothing in it may be run, framed, or taken for another kind of thing.
_DATA = {
    **GUARDS,
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


class Guards:
    """An ASGI application in front of another that adds them. `https`: the installation is opened by https."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._more: Mapping[str, str] = HSTS if https else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**_DATA, **self._more}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)
