"""The door of every route: who may enter, whether a form came from our own page, and what of it goes on record.

Routes say whom they are for (`foundation.access`); here each is shut to everybody else. A route that says nothing keeps
the application from starting.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from starlette.authentication import AuthCredentials
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.audit import Deed, record
from app.auth import StaffUser, TokenUser
from app.cookies import Cookies
from app.forms import ForeignForm, check_own_form
from app.proof import NOT_PROVEN, is_proven
from app.rights import PERSONAL, PROVEN, RIGHTS
from app.wiring import Parts
from foundation.access import entry_of
from foundation.database import DatabaseAway, Tx, witnessed

_SAFE = ("GET", "HEAD", "OPTIONS")


class Undeclared(Exception):
    """A route does not say who may enter; the message names it."""


def shut(routes: Sequence[BaseRoute], parts: Parts) -> list[BaseRoute]:
    """The routes, each open only to those it is for. Raises `Undeclared`."""
    for route in routes:
        if not isinstance(route, Route):
            raise Undeclared(f"{route!r} hides routes whose entries cannot be seen.")
        entry = entry_of(route.endpoint)
        if entry is None:
            raise Undeclared(f"{route.path} does not say who may enter: add @needs(…) or @for_anybody to its handler.")
        if entry.right is not None:
            if entry.right not in RIGHTS:
                raise Undeclared(f"{route.path} needs {entry.right}, a right that app/rights.py does not know.")
            route.app = _Door(route.app, route.path, entry.right, parts, changes=entry.changes)
    return list(routes)


def is_for_staff(route: BaseRoute) -> bool:
    """Whether a route belongs to the desk: shut to strangers, or the way in."""
    assert isinstance(route, Route)
    entry = entry_of(route.endpoint)
    return (entry is not None and entry.right is not None) or route.path.startswith("/desk")


class _Door:
    """One route that only those with `right` may enter."""

    def __init__(self, app: ASGIApp, path: str, right: str, parts: Parts, *, changes: bool) -> None:
        self._changes = changes
        self._app = app
        self._path = path
        self._right = right
        self._parts = parts
        self._cookies = Cookies(parts.settings.desk_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        user, credentials = request.user, request.auth
        assert isinstance(credentials, AuthCredentials)
        if not isinstance(user, StaffUser | TokenUser):
            raise HTTPException(403)
        deed = self._deed(request, user)
        if self._right not in credentials.scopes:
            await self.write(deed, "not allowed")
            raise HTTPException(403, f"This needs the right {self._right}, which none of your roles has.")
        if isinstance(user, StaffUser) and request.method not in _SAFE:
            try:
                receive, reason = await check_own_form(request, self._parts.tokens, user.binding)
            except ForeignForm as refused:
                await self.write(deed, "foreign form")
                raise HTTPException(403, str(refused)) from None
            deed = self._deed(request, user, reason)
            if self._right in PROVEN and not self._proven(request, user):
                await self.write(deed, "not proven")
                raise HTTPException(403, NOT_PROVEN)
        if (request.method in _SAFE or not self._changes) and self._right not in PERSONAL:
            await self._app(scope, receive, send)
            return
        await _OnRecord(self, deed, request).run(self._app, scope, receive, send)

    def _proven(self, request: Request, user: StaffUser) -> bool:
        text = self._cookies.proof(request.cookies)
        return is_proven(self._parts.tokens, text, user.binding, now=self._parts.clock())

    async def record(self, tx: Tx, deed: Deed, outcome: str) -> None:
        """Put `deed` on record with this outcome."""
        await record(tx, replace(deed, outcome=outcome), now=self._parts.clock())

    async def write(self, deed: Deed, outcome: str) -> None:
        """Put `deed` on record in a transaction of its own."""
        async with self._parts.database.transaction() as tx:
            await self.record(tx, deed, outcome)

    def _deed(self, request: Request, user: StaffUser | TokenUser, reason: str = "") -> Deed:
        verb = "read" if request.method in _SAFE else request.method.lower()
        # What was asked, as it was asked: the path, and the query of a search or an export.
        asked = request.url.path.removeprefix("/api/v1/").lstrip("/")
        asked += f"?{request.url.query}" if request.url.query else ""
        return Deed(
            actor=str(user.actor),
            action=f"{self._right} {verb}",
            object=asked,
            address=request.client.host if request.client else "",
            reason=reason or request.headers.get("x-reason", ""),
        )


class _OnRecord:
    """One request that goes on record: in the transaction that does it, or before the first byte of what it shows."""

    def __init__(self, door: _Door, deed: Deed, request: Request) -> None:
        self._door = door
        self._deed = deed
        self._request = request
        self._written = False

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run `app`, and see to it that nothing is done or shown that is not on record."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and not self._written:
                await self._write("done" if message["status"] < 400 else f"refused {message['status']}")
            await send(message)

        changes = self._request.method not in _SAFE
        try:
            with witnessed(self._witness) if changes else nullcontext():
                await app(scope, receive, watched)
        except DatabaseAway:
            raise
        except Exception as error:
            if not self._written:
                await self._write(_outcome(error))
            raise

    async def _witness(self, tx: Tx) -> None:
        if not self._written:
            await self._door.record(tx, self._told(), "done")
            self._written = True

    async def _write(self, outcome: str) -> None:
        self._written = True  # first: the transaction that writes it is witnessed too
        await self._door.write(self._told(), outcome)

    def _told(self) -> Deed:
        """The deed, with what its handler told about it: whom it concerned (`request.state.about`), and why.

        (`request.state.reason`.)
        """
        about, reason = getattr(self._request.state, "about", ""), getattr(self._request.state, "reason", "")
        deed = replace(self._deed, reason=reason or self._deed.reason)
        return replace(deed, object=f"{deed.object}: {about}") if about else deed


def _outcome(error: Exception) -> str:
    code = getattr(error, "code", None) or getattr(error, "status_code", None)
    return f"refused: {code}" if code else "failed"
