"""Slows down whoever guesses passwords, without letting anybody lock somebody else out.

The rule (docs/decisions/0019-sign-in.md). Failures are counted under up to three keys, each for an hour after the last:

    known device   (account, device)    a browser that signed in to this account before carries a signed cookie
    stranger       (account, network)   any other browser; network: an IPv4 address, or an IPv6 /64
    the network    (network)            over all accounts: one password tried on many
    all strangers  (account)            over all networks: many machines at one account

A known device is held back by its own failures alone, so nobody elsewhere can keep its owner out. A name that no
account has is counted the same, so that nothing can be found out.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.tables import sign_in_failures
from foundation.database import Tx

_FORGET = timedelta(hours=1)
_LONGEST = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class _Key:
    """Something failures are counted under. From number `free` on, each costs twice the wait of the one before."""

    text: str
    free: int

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()


def _keys(account: str, network: str, device: str | None) -> list[_Key]:
    if device is not None:
        return [_Key(f"device {account} {device}", 5)]
    return [
        _Key(f"stranger {account} {network}", 5),
        _Key(f"network {network}", 50),
        _Key(f"strangers {account}", 30),
    ]


async def take_turn(tx: Tx, account: str, network: str, device: str | None, *, now: datetime) -> timedelta | None:
    """Count an attempt as failed beforehand and let it go on (None), or say how long to wait.

    Counted first, so that many at once cannot slip through; `forgive` takes it back. The caller commits before it looks
    at the password.
    """
    keys = _keys(account, network, device)
    rows = await tx.execute(select(sign_in_failures).where(sign_in_failures.c.key.in_([key.hash for key in keys])))
    known = {row.key: row for row in rows}
    waits = [
        known[key.hash].last_at + _pause(known[key.hash].failures - key.free) - now for key in keys if key.hash in known
    ]
    if (longest := max(waits, default=timedelta())) > timedelta():
        return longest
    # In one order, so that two at once cannot wait for each other.
    for key in sorted(keys, key=lambda one: one.hash):
        counted = insert(sign_in_failures).values(key=key.hash, failures=1, last_at=now)
        again = {"failures": sign_in_failures.c.failures + 1, "last_at": now}
        await tx.execute(counted.on_conflict_do_update(index_elements=["key"], set_=again))
    await tx.execute(delete(sign_in_failures).where(sign_in_failures.c.last_at < now - _FORGET))
    return None


async def forgive(tx: Tx, account: str, network: str, device: str | None) -> None:
    """The attempt was right: its device or stranger starts anew; the wider counts lose this one attempt."""
    own, *wider = _keys(account, network, device)
    await tx.execute(delete(sign_in_failures).where(sign_in_failures.c.key == own.hash))
    if wider:
        fewer = sign_in_failures.update().where(sign_in_failures.c.key.in_([key.hash for key in wider]))
        await tx.execute(fewer.values(failures=sign_in_failures.c.failures - 1))


def _pause(beyond: int) -> timedelta:
    if beyond < 0:
        return timedelta()
    return min(timedelta(seconds=15 * 2.0 ** min(beyond, 10)), _LONGEST)
