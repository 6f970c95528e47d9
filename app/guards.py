"""Headers that every answer of the application carries, whoever made it, unless it says otherwise itself."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.answers import GUARDS, HSTS, INERT

# Of what is no page: nothing in it may be run, framed, or taken for another kind of thing.
_DATA = {
    **GUARDS,
    "content-security-policy": INERT,
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


class Guards:
    """An ASGI application in front of another that adds them. `https`: the installation is opened by https."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        more = {**_DATA, **(HSTS if https else {})}
        self._more = [(name.encode(), value.encode()) for name, value in more.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name for name, _ in given}  # in lower case, as ASGI wants them
                given += [header for header in self._more if header[0] not in names]
                message["headers"] = given
            await send(message)

        await self._app(scope, receive, guarded)
