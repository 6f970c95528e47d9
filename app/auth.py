"""Who is asking: a bearer token becomes an Actor. Packages see only the Actor; rights per role come with sign-in.

A route that staff alone may enter says so with `@requires("staff")`.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, UnauthenticatedUser
from starlette.requests import HTTPConnection

from app.tables import api_tokens
from foundation.actors import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx


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
    """Make an API token called `name`; the answer is the only time its text is seen (the database keeps a hash)."""
    token = f"sd_{secrets.token_urlsafe(32)}"
    await tx.execute(insert(api_tokens).values(name=name, hash=_hash(token), created_at=now, expires_at=now + valid))
    return token


async def _bearer(tx: Tx, token: str, now: datetime) -> str | None:
    found = select(api_tokens.c.name).where(
        api_tokens.c.hash == _hash(token), api_tokens.c.expires_at > now, api_tokens.c.revoked_at.is_(None)
    )
    return (await tx.execute(found)).scalar_one_or_none()


def _hash(token: str) -> bytes:
    # A plain hash is enough: the token is 256 random bits, not a password somebody chose.
    return hashlib.sha256(token.encode()).digest()
