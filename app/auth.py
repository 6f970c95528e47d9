"""Who is asking: a bearer token becomes an Actor. Packages see only the Actor; rights per role come with sign-in.

A route that staff alone may enter says so with `@requires("staff")`.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, UnauthenticatedUser
from starlette.requests import HTTPConnection

from app.tables import api_tokens
from foundation.actors import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Conflict, NotFound


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


class BearerTokens(AuthenticationBackend):
    """Recognises `Authorization: Bearer …`. A wrong, expired or revoked token is the same as none."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser]:
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            async with self._database.transaction() as tx:
                name = await _bearer(tx, token.strip(), self._clock())
            if name is not None:
                return AuthCredentials(["staff"]), TokenUser(name)
        return AuthCredentials(), UnauthenticatedUser()


async def create_token(tx: Tx, name: str, *, now: datetime, valid: timedelta = timedelta(days=90)) -> str:
    """Make an API token called `name`; the answer is the only time its text is seen (the database keeps a hash).

    Raises Conflict (`token_exists`): a name is used once, also after the token is revoked, because what was done with
    it is recorded under that name.
    """
    token = f"sd_{secrets.token_urlsafe(32)}"
    new = insert(api_tokens).values(name=name, hash=_hash(token), created_at=now, expires_at=now + valid)
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


async def _bearer(tx: Tx, token: str, now: datetime) -> str | None:
    found = select(api_tokens.c.name).where(
        api_tokens.c.hash == _hash(token), api_tokens.c.expires_at > now, api_tokens.c.revoked_at.is_(None)
    )
    return (await tx.execute(found)).scalar_one_or_none()


def _hash(token: str) -> bytes:
    # A plain hash is enough: the token is 256 random bits, not a password somebody chose.
    return hashlib.sha256(token.encode()).digest()
