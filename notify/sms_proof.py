"""From parts to deliveries: which delivery a part belongs to, and what the receipts for all its parts say of it.

A message is delivered when all of its parts are, and lost when one is. Receipts wait here until the part they name is
known: a centre may report before we have stored its response. All SQL on parts and receipts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from foundation.database import Database, Driver, Tx, driver
from notify.reports import Kind, Report, take_reports
from notify.sms_receipts import Receipt

# How long a receipt waits for its part. A response is stored within seconds, or never: its worker died, or it was lost.
PATIENCE = timedelta(hours=1)
_MOST = 1000


async def store_parts(connection: Driver, parts: Sequence[tuple[int, Sequence[str]]]) -> None:
    """Remember what centres call the parts of accepted messages: (delivery id, `Accepted.parts`).

    In the transaction that records the acceptance. A message sent again has new names; the last ones count.
    """
    rows = [(delivery, at, len(names), name) for delivery, names in parts for at, name in enumerate(names, start=1)]
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO sms_parts (delivery_id, part, parts, message_ref)
        SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::text[])
         ORDER BY 1, 2
            ON CONFLICT (delivery_id, part) DO UPDATE
           SET parts = excluded.parts, message_ref = excluded.message_ref, state = 'accepted'
        """,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [row[3] for row in rows],
    )


async def keep_receipts(tx: Tx, receipts: Sequence[Receipt]) -> None:
    """Store receipts as they came; one that says the same again is no news. `settle` makes reports of them."""
    await (await driver(tx)).execute(
        """
        INSERT INTO sms_receipts (key, message_ref, kind, status, text, raw, received_at)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[],
                             $7::timestamptz[]) AS new (key, message_ref, kind, status, text, raw, received_at)
         ORDER BY key
            ON CONFLICT (key) DO NOTHING
        """,
        [one.key for one in receipts],
        [one.message_ref for one in receipts],
        [one.kind for one in receipts],
        [one.status for one in receipts],
        [one.text for one in receipts],
        [one.raw for one in receipts],
        [one.received_at for one in receipts],
    )


async def receipts_step(database: Database) -> bool:
    """One round of settling, in a transaction of its own. True: there may be more to do."""
    async with database.transaction() as tx:
        return await settle(tx) == _MOST


async def settle(tx: Tx, count: int = _MOST) -> int:
    """Make reports of up to `count` receipts whose part is known, or that waited too long; returns how many.

    One worker at a time: the last two receipts of a message, settled side by side, would each miss the other.
    """
    connection = await driver(tx)
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(x'534D5352'::bigint)"):
        return 0
    found = await connection.fetch(_READY, count, PATIENCE)
    rows = [_Waiting(row[0], Receipt(*tuple(row)[1:8]), *tuple(row)[8:]) for row in found]
    if not rows:
        return 0
    whole = await _apply(connection, [row for row in rows if row.delivery_id is not None])
    await take_reports(tx, list(_reports(rows, whole)))
    await connection.execute("DELETE FROM sms_receipts WHERE id = ANY ($1::bigint[])", [row.id for row in rows])
    return len(rows)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A receipt that can be settled, with its part; `delivery_id` None: nobody knows what it is about."""

    id: int
    receipt: Receipt
    delivery_id: int | None
    part: int | None
    parts: int | None


# The newest part of a name: centres count round, after months.
_READY = """
SELECT r.id, r.key, r.message_ref, r.kind, r.status, r.text, r.raw, r.received_at, p.delivery_id, p.part, p.parts
  FROM sms_receipts r
  LEFT JOIN LATERAL (
        SELECT delivery_id, part, parts FROM sms_parts WHERE message_ref = r.message_ref
         ORDER BY delivery_id DESC LIMIT 1) p ON true
 WHERE p.delivery_id IS NOT NULL OR r.message_ref IS NULL OR r.received_at < now() - $2::interval
 ORDER BY r.id
 LIMIT $1
"""

# A part that arrived has arrived: what is said of it afterwards changes nothing. A lost one may still turn up.
_PARTS = """
UPDATE sms_parts p
   SET state = s.state
  FROM unnest($1::bigint[], $2::smallint[], $3::text[]) AS s (delivery_id, part, state)
 WHERE p.delivery_id = s.delivery_id AND p.part = s.part AND p.state <> 'delivered'
   AND NOT (s.state = 'delayed' AND p.state <> 'accepted')
"""


async def _apply(connection: Driver, rows: Sequence[_Waiting]) -> dict[int, Kind]:
    """Give parts their states; for each delivery that now has an end, which."""
    told: dict[tuple[int, int], str] = {}
    for row in rows:
        assert row.delivery_id is not None
        assert row.part is not None
        place = (row.delivery_id, row.part)
        # Of several receipts for one part in this round the first final one counts.
        if row.receipt.kind != "unreadable" and told.get(place, "delayed") == "delayed":
            told[place] = row.receipt.kind
    await connection.execute(_PARTS, [one[0] for one in told], [one[1] for one in told], list(told.values()))
    found = await connection.fetch(
        """
        SELECT delivery_id,
               CASE WHEN bool_or(state = 'hard_bounce') THEN 'hard_bounce'
                    WHEN bool_or(state = 'soft_bounce') THEN 'soft_bounce'
                    WHEN bool_and(state = 'delivered') THEN 'delivered' END AS kind
          FROM sms_parts WHERE delivery_id = ANY ($1::bigint[])
         GROUP BY delivery_id
        """,
        list({one[0] for one in told}),
    )
    return {row["delivery_id"]: row["kind"] for row in found if row["kind"] is not None}


def _reports(rows: Sequence[_Waiting], whole: Mapping[int, Kind]) -> Iterator[Report]:
    """A report for each receipt. One that says what became of the whole message ends it; the others only tell."""
    for row in rows:
        one = row.receipt
        kind: Kind = one.kind
        if row.delivery_id is not None and kind not in ("unreadable", whole.get(row.delivery_id)):
            kind = "delayed"
        about = f"part {row.part} of {row.parts}: {one.text}" if row.parts is not None and row.parts > 1 else one.text
        yield Report("sms", one.key, one.raw, row.delivery_id, kind, one.status, about, one.received_at)
