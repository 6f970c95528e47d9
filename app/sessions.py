"""Sessions: an opaque random token in a cookie, of which the database keeps a hash, and the ends of it.

A session ends half an hour after it was last used, twelve hours after it began (one hour, where a provider vouched for
somebody), at sign-out, and at once when the roles, the password or the account behind it change. A new one is made at
every sign-in: none that somebody brought along is ever used.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import insert, select, update

from app.tables import sessions, users
from foundation.database import Tx

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
# Whoever came through a provider goes by it again after an hour: what it says of their roles may have changed, and it
# tells us only then. As a rule it lets them through without asking anything.
LONGEST_VOUCHED = timedelta(hours=1)
_SEEN_EVERY = timedelta(minutes=1)  # a write a minute, not one a request
_AGENT = 200  # characters kept of what a browser calls itself

WayIn = Literal["password", "link", "provider"]


@dataclass(frozen=True, slots=True)
class Session:
    """A live session, and whose it is."""

    id: int
    user_id: int
    name: str
    shown_name: str
    roles: tuple[str, ...]


async def begin(tx: Tx, user_id: int, way_in: WayIn, *, address: str, agent: str, now: datetime) -> str:
    """Begin a session; the answer is the cookie's value, seen only now."""
    token = secrets.token_urlsafe(32)
    new = insert(sessions).values(
        user_id=user_id,
        hash=_hash(token),
        way_in=way_in,
        address=address,
        agent=agent[:_AGENT],
        created_at=now,
        seen_at=now,
        expires_at=now + (LONGEST_VOUCHED if way_in == "provider" else LONGEST),
    )
    await tx.execute(new)
    await tx.execute(update(users).where(users.c.id == user_id).values(signed_in_at=now))
    return token


async def find(tx: Tx, token: str, *, now: datetime) -> Session | None:
    """The live session of a cookie; None when it ended, was never ours, or its owner may not enter any more."""
    looked_up = (
        select(sessions.c.id, sessions.c.user_id, sessions.c.seen_at, users.c.name, users.c.shown_name, users.c.roles)
        .join(users, users.c.id == sessions.c.user_id)
        .where(
            sessions.c.hash == _hash(token),
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > now,
            sessions.c.seen_at > now - IDLE,
            users.c.disabled_at.is_(None),
        )
    )
    row = (await tx.execute(looked_up)).one_or_none()
    if row is None:
        return None
    if row.seen_at < now - _SEEN_EVERY:
        await tx.execute(update(sessions).where(sessions.c.id == row.id).values(seen_at=now))
    return Session(row.id, row.user_id, row.name, row.shown_name, tuple(row.roles))


async def end(tx: Tx, token: str, *, now: datetime) -> None:
    """Sign out this session."""
    await _end(tx, sessions.c.hash == _hash(token), "signed out", now)


async def end_all(tx: Tx, user_id: int, because: str, *, now: datetime, but: int | None = None) -> None:
    """End every session of somebody, except `but`."""
    theirs = sessions.c.user_id == user_id
    await _end(tx, theirs if but is None else theirs & (sessions.c.id != but), because, now)


async def live_sessions(tx: Tx, user_id: int, *, now: datetime) -> list[dict[str, object]]:
    """Where somebody is signed in: id, way_in, address, agent, created_at, seen_at; the latest used first."""
    shown = ("id", "way_in", "address", "agent", "created_at", "seen_at")
    live = (
        select(*(sessions.c[name] for name in shown))
        .where(
            sessions.c.user_id == user_id,
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > now,
            sessions.c.seen_at > now - IDLE,
        )
        .order_by(sessions.c.seen_at.desc())
    )
    return [dict(row) for row in (await tx.execute(live)).mappings()]


async def _end(tx: Tx, which: object, because: str, now: datetime) -> None:
    ended = update(sessions).where(which, sessions.c.ended_at.is_(None))  # type: ignore[arg-type]  # a clause
    await tx.execute(ended.values(ended_at=now, ended_because=because))


def _hash(token: str) -> bytes:
    # A plain hash is enough: the token is 256 random bits.
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
