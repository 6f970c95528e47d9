"""Who is asking: a bearer token or a session's cookie becomes an Actor and its rights. Packages see only the Actor.

Which route needs which right is said by the routes (`foundation.access`) and enforced at their door (`app.entrance`).
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, UnauthenticatedUser
from starlette.requests import HTTPConnection

from app import sessions
from app.cookies import Cookies
from app.rights import FOR_SYSTEMS, ROLES, rights_of
from app.sessions import Session
from app.tables import api_tokens
from foundation.actors import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Conflict, Fault, Invalid, NotFound

_USED_EVERY = timedelta(minutes=1)  # a write a minute, not one a request
LONGEST_VALID = timedelta(days=366)


class TokenUser(BaseUser):
    """The bearer of an API token; `actor` is what the packages see."""

    def __init__(self, name: str) -> None:
        self.actor = Actor("token", name)

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.actor.name


class StaffUser(BaseUser):
    """Somebody signed in. `binding`: the cookie their forms are bound to."""

    def __init__(self, session: Session, binding: str) -> None:
        self.actor = Actor("staff", session.name)
        self.session = session
        self.binding = binding

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.session.shown_name


class Credentials(AuthenticationBackend):
    """Recognises `Authorization: Bearer …` and the session's cookie. A wrong, expired or ended one is the same as none.

    Whoever sends a token is taken by the token alone.
    """

    def __init__(self, database: Database, clock: Clock, cookies: Cookies) -> None:
        self._database = database
        self._clock = clock
        self._cookies = cookies

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser]:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            async with self._database.transaction() as tx:
                bearer = await _bearer(tx, token.strip(), self._clock())
            if bearer is not None:
                name, roles = bearer
                return _credentials(roles), TokenUser(name)
        elif cookie := self._cookies.session(conn.cookies):
            async with self._database.transaction() as tx:
                session = await sessions.find(tx, cookie, now=self._clock())
            if session is not None:
                return _credentials(session.roles), StaffUser(session, cookie)
        return AuthCredentials(), UnauthenticatedUser()


async def create_token(
    tx: Tx,
    name: str,
    *,
    now: datetime,
    roles: Sequence[str] = FOR_SYSTEMS,
    valid: timedelta = timedelta(days=90),
) -> str:
    """Make an API token called `name`; the answer is the only time its text is seen (the database keeps a hash).

    Raises Conflict (`token_exists`): a name is used once, also after the token is revoked, because what was done with
    it is recorded under that name. Raises Invalid for a role there is not, and for a life longer than a year.
    """
    if not roles or set(roles) - set(ROLES):
        fault = Fault("roles", f"Choose one or more of: {', '.join(ROLES)}.")
        raise Invalid(f"This token has no such role. {fault.message}", [fault], code="invalid_token")
    if not timedelta() < valid <= LONGEST_VALID:
        fault = Fault("expires", "A token lives for 1 to 366 days.")
        raise Invalid(f"This token cannot be made. {fault.message}", [fault], code="invalid_token")
    token = f"sd_{secrets.token_urlsafe(32)}"
    ordered = [role for role in ROLES if role in set(roles)]
    new = insert(api_tokens).values(name=name, hash=_hash(token), created_at=now, expires_at=now + valid, roles=ordered)
    if (await tx.execute(new.on_conflict_do_nothing(index_elements=["name"]))).rowcount == 0:
        raise Conflict(
            f"There is, or was, a token called {name}. Choose another name: each is used once. To withdraw that token, "
            f"run: stormdesk token revoke {name}",
            code="token_exists",
        )
    return token


async def revoke_token(tx: Tx, name: str, *, now: datetime) -> None:
    """From now on the token called `name` opens nothing. Raises NotFound (`no_such_token`)."""
    revoked = update(api_tokens).where(api_tokens.c.name == name)
    revoked = revoked.values(revoked_at=func.coalesce(api_tokens.c.revoked_at, now))
    if (await tx.execute(revoked)).rowcount == 0:
        raise NotFound(f"There is no token called {name}.", code="no_such_token")


async def list_tokens(tx: Tx) -> list[dict[str, object]]:
    """Every token, also those that open nothing any more: name, roles, created, expires, last used, revoked."""
    shown = ("name", "roles", "created_at", "expires_at", "last_used_at", "revoked_at")
    rows = await tx.execute(select(*(api_tokens.c[name] for name in shown)).order_by(api_tokens.c.name))
    return [dict(row) for row in rows.mappings()]


def _credentials(roles: Sequence[str]) -> AuthCredentials:
    return AuthCredentials(["staff", *sorted(rights_of(roles))])


async def _bearer(tx: Tx, token: str, now: datetime) -> tuple[str, Sequence[str]] | None:
    found = select(api_tokens.c.name, api_tokens.c.roles, api_tokens.c.last_used_at).where(
        api_tokens.c.hash == _hash(token), api_tokens.c.expires_at > now, api_tokens.c.revoked_at.is_(None)
    )
    row = (await tx.execute(found)).one_or_none()
    if row is None:
        return None
    if row.last_used_at is None or row.last_used_at < now - _USED_EVERY:
        used = or_(api_tokens.c.last_used_at.is_(None), api_tokens.c.last_used_at < now - _USED_EVERY)
        await tx.execute(update(api_tokens).where(api_tokens.c.name == row.name, used).values(last_used_at=now))
    return row.name, row.roles


def _hash(token: str) -> bytes:
    # A plain hash is enough: the token is 256 random bits, not a password somebody chose.
    return hashlib.sha256(token.encode()).digest()
