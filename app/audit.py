"""The record of who did what, when, from where and why: written in the transaction of the deed, chained by hashes.

Each row's hash covers the hash of the row before, so a row that is changed, put in or taken out breaks the chain from
there on. The application's database role may add rows and read them, nothing else (alembic 0010).
"""

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from sqlalchemy import ColumnElement, and_, insert, or_, select, text

from app.tables import audit_log
from foundation.database import Tx
from foundation.errors import Invalid

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('stormdesk audit', 0))"
_BEGINNING = bytes(32)
_LONGEST = {"actor": 250, "action": 60, "object": 300, "outcome": 60, "address": 60, "reason": 500}
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Deed:
    """Something somebody did or looked at. `actor` is `kind:name`; `object` says to what, such as `cases/C-100007`."""

    actor: str
    action: str
    object: str
    outcome: str = "done"
    address: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the record."""

    id: int
    at: datetime
    actor: str
    action: str
    object: str
    outcome: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. `broken_at`: the first row that is not as it was written, and `why`."""

    rows: int
    head: str  # "number:hash" of the last row: keep it elsewhere, and a record cut short shows
    broken_at: int | None = None
    why: str = ""


async def record(tx: Tx, deed: Deed, *, now: datetime) -> None:
    """Add `deed` to the record. One writer at a time, from here until the transaction ends: do it last."""
    await tx.execute(text(_LOCK))
    last = await tx.execute(select(audit_log.c.id, audit_log.c.hash).order_by(audit_log.c.id.desc()).limit(1))
    row = last.one_or_none()
    number, previous = (row.id + 1, row.hash) if row is not None else (1, _BEGINNING)
    said = {name: _storable(getattr(deed, name))[:longest] for name, longest in _LONGEST.items()}
    entry = Entry(id=number, at=now.astimezone(UTC), **said)
    written = {**_values(entry), "previous": previous, "hash": _hash(entry, previous)}
    await tx.execute(insert(audit_log).values(written))


async def verify(tx: Tx, *, head: str = "") -> Verdict:
    """Recompute the whole chain. `head`: what an earlier `Verdict` gave; the record must still hold that row."""
    previous, number, expected = _BEGINNING, 0, _read_head(head)
    async for entry, kept_previous, kept_hash in _chain(tx):
        number += 1
        why = _fault(entry, number, kept_previous, previous, kept_hash)
        if not why and expected and entry.id == expected[0] and kept_hash != expected[1]:
            why = "it is whole in itself, but not the row that was here when the head was noted"
        if why:
            return Verdict(number, f"{number}:{kept_hash.hex()}", entry.id, why)
        previous = kept_hash
    if expected and number < expected[0]:
        return Verdict(number, f"{number}:{previous.hex()}", number + 1, "rows after this one are gone")
    return Verdict(number, f"{number}:{previous.hex()}")


@dataclass(frozen=True, slots=True)
class Search:
    """Which entries to list, the newest first. `words` is looked for in actor, action, object and reason."""

    words: str = ""
    actor: str = ""
    object: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None  # the `next` of the page before
    limit: int = 100


async def search(tx: Tx, wanted: Search) -> tuple[list[Entry], int | None]:
    """The entries that fit, and the `before` of the next page (None at the end)."""
    columns = [audit_log.c[name] for name in Entry.__dataclass_fields__]
    fitting = select(*columns).where(*_conditions(wanted)).order_by(audit_log.c.id.desc()).limit(wanted.limit + 1)
    rows = [Entry(*row) for row in await tx.execute(fitting)]
    page = rows[: wanted.limit]
    return page, page[-1].id if len(rows) > len(page) else None


def _conditions(wanted: Search) -> list[ColumnElement[bool]]:
    log, made = audit_log.c, []
    for word in _storable(wanted.words).split()[:10]:
        searched = (log.actor, log.action, log.object, log.reason, log.outcome)
        made.append(or_(*(column.icontains(word, autoescape=True) for column in searched)))
    if wanted.actor:
        made.append(log.actor == _storable(wanted.actor))
    if wanted.object:
        made.append(log.object == _storable(wanted.object))
    if wanted.since is not None:
        made.append(log.at >= wanted.since)
    if wanted.until is not None:
        made.append(log.at < wanted.until)
    if wanted.before is not None:
        made.append(log.id < wanted.before)
    return [and_(True, *made)]


async def _chain(tx: Tx) -> AsyncIterator[tuple[Entry, bytes, bytes]]:
    """Every row in order, some thousands at a time."""
    after: int | None = None
    while True:
        part = select(audit_log).order_by(audit_log.c.id).limit(_AT_ONCE)
        rows = (await tx.execute(part if after is None else part.where(audit_log.c.id > after))).mappings().all()
        for row in rows:
            yield Entry(**{name: row[name] for name in Entry.__dataclass_fields__}), row["previous"], row["hash"]
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1]["id"]


def _fault(entry: Entry, number: int, kept_previous: bytes, previous: bytes, kept_hash: bytes) -> str:
    if entry.id != number:
        return f"row {number} is missing" if entry.id > number else "its number comes before the first"
    if kept_previous != previous:
        return "it does not follow the row before it: that one was replaced, or this one put in"
    if _hash(entry, previous) != kept_hash:
        return "what it says was changed after it was written"
    return ""


def _hash(entry: Entry, previous: bytes) -> bytes:
    # JSON of a list: every field has its place and its end, so no two entries are written alike.
    fields = [entry.id, entry.at.astimezone(UTC).isoformat(timespec="microseconds"), entry.actor, entry.action]
    fields += [entry.object, entry.outcome, entry.address, entry.reason]
    return hashlib.sha256(previous + msgspec.json.encode(fields)).digest()


def _values(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__}


def _storable(said: str) -> str:
    # Anything a stranger may have typed: no NUL and no lone surrogate, which PostgreSQL refuses; no line breaks, so
    # that an entry stays one line wherever it is printed.
    plain = said.encode("utf-8", "replace").decode()
    return "".join(one if one.isprintable() else "\ufffd" for one in plain)


def _read_head(head: str) -> tuple[int, bytes] | None:
    if not head:
        return None
    if not re.fullmatch("[0-9]{1,18}:([0-9a-f]{2})+", head):
        raise Invalid("A head looks like 123:9f86d081…; `stormdesk audit verify` prints it.", code="invalid_head")
    number, _, digest = head.partition(":")
    return int(number), bytes.fromhex(digest)
