"""What providers say later about deliveries: kept raw first, then applied. Set-based, thousands of reports a call.

A report comes once, twice or never, before or after what it is about is recorded, and in any order. So each is stored
under its source's own key (a repeat is nothing new), waits when its delivery is still on its way, and moves a delivery
only where the rule book in `delivery.py` lets it. Reading the bytes of a report is the work of others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict

import metrics
from foundation.database import Database, Driver, Tx, driver
from notify.delivery import FINAL, STATES, TRANSITIONS, State
from notify.fallback import fall_back
from notify.health import Sign, note_signs

Source = Literal["mail", "sms"]
Kind = Literal["delivered", "delayed", "soft_bounce", "hard_bounce", "complaint", "auto_reply", "unreadable"]


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody said about a delivery. `key`: unique for its source; a repeat is no second report.

    `delivery_id`: the delivery it is proven to be about. When that is not known yet but will be, `reference` is the
    provider's name for it (see `name_deliveries`). With neither it is kept for people to look at.
    `status`: the code it gave (RFC 3463, or an SMS error); `text`: its words, for people.
    """

    source: Source
    key: str
    raw: bytes
    delivery_id: int | None
    kind: Kind
    status: str | None
    text: str
    received_at: datetime
    reference: str | None = None


class ReportShown(TypedDict):
    """A report as proof. `outcome`: applied, no_change, no_delivery; None while it waits."""

    delivery_id: int
    source: str
    kind: str
    status: str | None
    text: str
    received_at: datetime
    outcome: str | None


# In the order of the key, so that two transactions with the same reports wait for each other instead of deadlocking.
_KEEP = """
INSERT INTO reports (source, key, raw, delivery_id, reference, kind, status, text, received_at)
SELECT *
  FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::timestamptz[]) AS new (source, key, raw, delivery_id, reference, kind, status, text, received_at)
 ORDER BY source, key
    ON CONFLICT (source, key) DO NOTHING
RETURNING id, source, kind
"""


async def take_reports(tx: Tx, reports: Sequence[Report]) -> None:
    """Keep every report that is new, and apply those whose delivery can take them; the others wait.

    The caller's commit is what makes them durable. Apart from that, nothing a report says can make this fail.
    """
    if not reports:
        return
    connection = await driver(tx)
    rows = await connection.fetch(
        _KEEP,
        [one.source for one in reports],
        [one.key for one in reports],
        [one.raw for one in reports],
        [one.delivery_id for one in reports],
        [one.reference for one in reports],
        [one.kind for one in reports],
        [_storable(one.status) if one.status else None for one in reports],
        [_storable(one.text) for one in reports],
        [one.received_at for one in reports],
    )
    for row in rows:
        metrics.record_report(row["source"], row["kind"])
    await _apply(connection, [row["id"] for row in rows])


_READY = """
SELECT r.id
  FROM reports r
  LEFT JOIN deliveries d ON d.id = r.delivery_id
 WHERE r.applied_at IS NULL
   AND CASE WHEN r.delivery_id IS NULL THEN r.received_at < now() - interval '7 days'
            ELSE d.id IS NULL OR d.state <> ALL ($2::text[]) END
 ORDER BY r.id
 LIMIT $1
   FOR UPDATE OF r SKIP LOCKED
"""

_GIVE_UP = "UPDATE reports SET reference = NULL WHERE id = ANY ($1::bigint[]) AND delivery_id IS NULL"


async def apply_waiting(tx: Tx, count: int) -> int:
    """Apply up to `count` waiting reports whose delivery has been recorded meanwhile; returns how many.

    A report whose delivery nobody could name for a week is left to people.
    """
    connection = await driver(tx)
    ids = [row[0] for row in await connection.fetch(_READY, count, _ON_ITS_WAY)]
    if ids:
        await connection.execute(_GIVE_UP, ids)
        await _apply(connection, ids)
    return len(ids)


async def waiting_step(database: Database) -> bool:
    """One round over waiting reports, in a transaction of its own. True: there may be more to do."""
    async with database.transaction() as tx:
        return await apply_waiting(tx, _MOST) == _MOST


async def unnamed_references(tx: Tx, source: Source, count: int) -> list[str]:
    """Up to `count` references of waiting reports of `source` whose delivery nobody has named yet, oldest first."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT reference FROM reports
         WHERE applied_at IS NULL AND delivery_id IS NULL AND reference IS NOT NULL AND source = $1
         ORDER BY id LIMIT $2
        """,
        source,
        count,
    )
    return list(dict.fromkeys(row[0] for row in rows))


async def name_deliveries(tx: Tx, source: Source, named: Mapping[str, int]) -> None:
    """Say which delivery a provider's reference stands for (reference → delivery id); waiting reports are applied.

    Where a report and the name of its delivery are stored at the same moment, neither sees the other: ask
    `unnamed_references` from time to time.
    """
    connection = await driver(tx)
    rows = await connection.fetch(
        """
        UPDATE reports r SET delivery_id = n.delivery_id
          FROM unnest($2::text[], $3::bigint[]) AS n (reference, delivery_id)
         WHERE r.id = ANY (ARRAY (
                SELECT w.id FROM reports w
                 WHERE w.applied_at IS NULL AND w.delivery_id IS NULL AND w.source = $1
                   AND w.reference = ANY ($2::text[])
                 ORDER BY w.id FOR UPDATE))
           AND r.reference = n.reference
        RETURNING r.id
        """,
        source,
        list(named.keys()),
        list(named.values()),
    )
    await _apply(connection, [row[0] for row in rows])


async def reports_about(tx: Tx, delivery_ids: Sequence[int]) -> list[ReportShown]:
    """What came back about these deliveries, oldest first; the raw bytes stay where they are."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT delivery_id, source, kind, status, text, received_at, outcome
          FROM reports WHERE delivery_id = ANY ($1::bigint[]) ORDER BY received_at, id
        """,
        list(delivery_ids),
    )
    return [ReportShown(**dict(row)) for row in rows]  # type: ignore[typeddict-item]  # columns, by their names


# A report on one of these is early: its delivery is being sent, or was in doubt and is tried once more.
_ON_ITS_WAY = [state for state in STATES if state not in FINAL]

# What a report makes of its delivery. A complaint is about a message that was read. The other kinds change nothing.
_MAKES: Mapping[Kind, State] = {
    "hard_bounce": "bounced",
    "soft_bounce": "bounced",
    "delivered": "delivered",
    "complaint": "delivered",
}
# Of several reports in one call the first of these is the one that counts: a bounce may follow a receipt, never the
# other way round.
_WEIGHT: Mapping[Kind, int] = {"hard_bounce": 0, "soft_bounce": 1, "complaint": 2, "delivered": 3}

# Plans are kept by connections that mostly see one report a time, so no statement here may need the planner to know how
# many there are: rows are looked up by their keys, and joined in Python.
_WAITING = """
SELECT id, delivery_id, reference, kind, received_at FROM reports
 WHERE id = ANY ($1::bigint[]) AND applied_at IS NULL
 ORDER BY received_at, id
"""

# Locked in the order of id, as everywhere.
_DELIVERIES = (
    "SELECT id, state, channel, address_id FROM deliveries WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"
)

# `final_at` stays: it says when sending ended, and the report has a time of its own.
_MOVE = """
UPDATE deliveries d
   SET state = n.state, reason = n.reason
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS n (id, before, state, reason)
 WHERE d.id = n.id AND d.state = n.before
"""

_TELL = """
UPDATE reports r
   SET applied_at = now(), outcome = n.outcome
  FROM unnest($1::bigint[], $2::text[]) AS n (id, outcome)
 WHERE r.id = n.id
"""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A stored report that nothing came of yet, and its delivery as it is now, locked."""

    id: int
    delivery_id: int | None
    reference: str | None
    kind: Kind
    received_at: datetime
    state: State | None
    channel: str
    address_id: int | None

    @property
    def is_early(self) -> bool:
        if self.delivery_id is None:
            return self.reference is not None
        return self.kind in _MAKES and self.state in _ON_ITS_WAY

    @property
    def moves(self) -> bool:
        makes = _MAKES.get(self.kind)
        return makes is not None and self.state is not None and makes in TRANSITIONS[self.state]


async def _apply(connection: Driver, ids: Sequence[int]) -> None:
    if not ids:
        return
    rows = await connection.fetch(_WAITING, ids)
    about = list({row["delivery_id"] for row in rows if row["delivery_id"] is not None})
    deliveries = {row[0]: tuple(row)[1:] for row in await connection.fetch(_DELIVERIES, about)}
    found = [_Waiting(*row, *deliveries.get(row["delivery_id"], (None, "", None))) for row in rows]
    ready = [one for one in found if not one.is_early]
    moved: dict[int, _Waiting] = {}
    for one in sorted((one for one in ready if one.moves), key=lambda one: _WEIGHT[one.kind]):
        assert one.delivery_id is not None
        moved.setdefault(one.delivery_id, one)
    await connection.execute(
        _MOVE,
        list(moved.keys()),
        [one.state for one in moved.values()],
        [_MAKES[one.kind] for one in moved.values()],
        [None if one.kind == "delivered" else one.kind for one in moved.values()],
    )
    await connection.execute(_TELL, [one.id for one in ready], [_outcome(one, moved) for one in ready])
    await fall_back(connection, [key for key, one in moved.items() if _MAKES[one.kind] == "bounced"])
    for (channel, state), count in Counter((one.channel, _MAKES[one.kind]) for one in moved.values()).items():
        metrics.record_deliveries(channel, state, count)
    # A soft bounce counts once for a message that was lost, whatever else is said about the same message.
    await note_signs(
        connection,
        [
            Sign(one.address_id, one.kind, one.received_at)
            for one in ready
            if one.address_id is not None and (one.kind != "soft_bounce" or moved.get(one.delivery_id or 0) is one)
        ],
    )


def _outcome(one: _Waiting, moved: Mapping[int, _Waiting]) -> str:
    if one.state is None:
        return "no_delivery"
    mover = moved.get(one.delivery_id or 0)
    return "applied" if mover is not None and _MAKES.get(one.kind) == _MAKES[mover.kind] else "no_change"


def _storable(text: str) -> str:
    """`text` as PostgreSQL takes it: no NUL, no lone surrogate; cut where nobody would read on."""
    return text[:_LONGEST_TEXT].replace("\x00", "").encode("utf-8", "replace").decode()


_LONGEST_TEXT = 2000
# One transaction's worth: short enough that nobody waits for its locks.
_MOST = 2000
