"""The outbox between planning and proof: claim, record, renew, and the upkeep that leaves no row behind. All its SQL.

Every statement keeps to the rule book in `delivery.py`. It knows nothing of channels' protocols.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import text

from foundation.database import Driver, Tx, driver
from notify.delivery import Outcome
from notify.messages import Message

# (delivery id, attempt): what a result must carry.
Key: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery we may send until its lease ends. `attempt` is the fence: a record must carry it."""

    id: int
    attempt: int
    message_id: int
    address: str
    name: str
    customer_number: str
    not_after: datetime


# A customer with another delivery on its way waits: newer news must not arrive before the older that already left.
# Superseding locks older rows before newer ones become visible, so what is seen here as planned has no older sibling
# that could still be claimed. The array keeps the update on the primary key whatever the planner believes of the table,
# and the number stands in the text because for an unknown LIMIT it would plan to read a tenth of the table.
# The customer's other delivery is asked for by a subquery with a LIMIT, which cannot become a join: planned while the
# outbox is empty, the join of NOT EXISTS compared every waiting row with every row being sent, for half a minute.
# An address may have been suppressed, or its consent withdrawn, since planning. Then another of the customer's serves,
# if there is one (looked for only then, so this costs the others nothing); else the row ends here, unsent.
_CLAIM = """
UPDATE deliveries d
   SET state = CASE WHEN b.id IS NOT NULL THEN 'sending' WHEN d.doubtful > 0 THEN 'unknown' ELSE 'suppressed' END,
       address_id = coalesce(b.id, a.id),
       attempt = d.attempt + (b.id IS NOT NULL)::integer,
       lease_until = CASE WHEN b.id IS NOT NULL THEN now() + $2::interval END,
       final_at = CASE WHEN b.id IS NULL THEN now() END,
       reason = CASE WHEN b.id IS NOT NULL THEN NULL WHEN a.consent THEN a.suppressed_because ELSE 'no_consent' END
  FROM addresses a
  LEFT JOIN LATERAL (
        SELECT a.id, a.value WHERE a.consent AND a.health = 'usable'
         UNION ALL
        SELECT o.id, o.value FROM addresses o
         WHERE o.customer_id = a.customer_id AND o.channel = a.channel AND o.consent AND o.health = 'usable'
           AND NOT (a.consent AND a.health = 'usable')
         LIMIT 1) b ON true,
       customers c, dispatches p
 WHERE d.id = ANY (ARRAY (
        SELECT w.id
          FROM deliveries w
         WHERE w.channel = $1 AND w.state = 'planned'
           AND (SELECT s.id FROM deliveries s
                 WHERE s.customer_id = w.customer_id AND s.channel = w.channel AND s.state = 'sending' LIMIT 1) IS NULL
           AND EXISTS (SELECT FROM dispatches p WHERE p.id = w.dispatch_id AND p.not_after > now())
         ORDER BY w.urgency, w.needed_at, w.id
         LIMIT {count:d}
           FOR UPDATE OF w SKIP LOCKED))
   AND a.id = d.address_id AND c.id = d.customer_id AND p.id = d.dispatch_id
RETURNING d.state, d.id, d.attempt, d.message_id, b.value, c.name, c.number, p.not_after
"""

# Locked in the order of id: see `planning._OVERTAKE`. A row overtaken while it was out is not tried again. One that was
# in doubt before ends as unknown where the result alone would claim that nothing was ever sent.
_RECORD = """
WITH ours AS MATERIALIZED (
    SELECT d.id, d.attempt, d.overtaken
      FROM deliveries d
     WHERE d.id = ANY ($1::bigint[]) AND d.state = 'sending'
     ORDER BY d.id
       FOR UPDATE
), results AS MATERIALIZED (
    SELECT r.id, r.reason, r.pause, r.code, r.reply,
           CASE WHEN o.overtaken AND r.state IN ('planned', 'deferred') THEN 'superseded' ELSE r.state END AS state
      FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::interval[], $6::smallint[], $7::text[])
        AS r (id, attempt, state, reason, pause, code, reply)
      JOIN ours o ON o.id = r.id AND o.attempt = r.attempt
), recorded AS (
    UPDATE deliveries d
       SET state = CASE WHEN r.state IN ('superseded', 'expired') AND d.doubtful > 0 THEN 'unknown' ELSE r.state END,
           reason = CASE WHEN r.state = 'superseded' THEN 'overtaken' ELSE r.reason END,
           reply_code = r.code, reply = r.reply, lease_until = NULL,
           next_at = CASE WHEN r.state = 'deferred' THEN now() + r.pause END,
           final_at = CASE WHEN r.state IN ('planned', 'deferred') THEN NULL ELSE now() END
      FROM results r
     WHERE d.id = r.id
 RETURNING d.state
)
SELECT state, count(*) FROM recorded GROUP BY state
"""


# Statements are planned once for each connection, often while the outbox is empty, and then meet a hundred thousand
# rows: only the plans along the indexes are right for both.
_ALONG_INDEXES = text(
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),"
    " set_config('enable_sort', 'off', true)"
)


async def record_and_claim(
    tx: Tx, done: Mapping[Key, Outcome], channel: str, count: int, lease: timedelta
) -> tuple[Mapping[str, int], list[Claimed]]:
    """Store what became of attempts, and take up to `count` planned deliveries, most urgent first, into sending.

    Returns how many rows ended or wait again in each state, and what was claimed. A result whose row is no longer
    sending under its attempt is passed over: somebody else answers for it now. Rows that others hold are not claimed;
    those whose customer may no longer be reached end, and count among the states.
    """
    await tx.execute(_ALONG_INDEXES)
    connection = await driver(tx)
    states = Counter(await _record(connection, done) if done else {})
    rows = await connection.fetch(_CLAIM.format(count=count), channel, lease) if count else []
    states.update(row["state"] for row in rows if row["state"] != "sending")
    return states, [Claimed(*tuple(row)[1:]) for row in rows if row["state"] == "sending"]


async def _record(connection: Driver, done: Mapping[Key, Outcome]) -> Mapping[str, int]:
    keys = sorted(done)
    found = [done[key] for key in keys]
    rows = await connection.fetch(
        _RECORD,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [one.state for one in found],
        [one.reason for one in found],
        [one.pause for one in found],
        [one.code for one in found],
        [one.reply or None for one in found],
    )
    return {row[0]: row[1] for row in rows}


_RENEW = """
UPDATE deliveries d
   SET lease_until = now() + $3::interval
  FROM unnest($1::bigint[], $2::smallint[]) AS r (id, attempt)
 WHERE d.id = ANY (ARRAY (
        SELECT s.id FROM deliveries s WHERE s.id = ANY ($1) AND s.state = 'sending' FOR UPDATE SKIP LOCKED))
   AND d.id = r.id AND d.attempt = r.attempt AND d.state = 'sending'
"""


async def renew(tx: Tx, keys: Sequence[Key], lease: timedelta) -> None:
    """Put off the end of the lease of what is still being sent."""
    await (await driver(tx)).execute(_RENEW, [key[0] for key in keys], [key[1] for key in keys], lease)


async def load_messages(tx: Tx, ids: Sequence[int]) -> list[Message]:
    """The texts behind claimed deliveries."""
    rows = await (await driver(tx)).fetch(
        """
        SELECT m.id, p.topic, m.language, m.subject, m.body
          FROM messages m JOIN dispatches p ON p.id = m.dispatch_id
         WHERE m.id = ANY ($1::bigint[])
        """,
        list(ids),
    )
    return [Message(*row) for row in rows]


# The steps of upkeep below pass over locked rows, so they never make a sender or a publication wait.

_PROMOTE = """
UPDATE deliveries d
   SET state = 'planned', next_at = NULL
 WHERE d.id = ANY (ARRAY (
        SELECT w.id FROM deliveries w WHERE w.state = 'deferred' AND w.next_at <= now()
         ORDER BY w.next_at LIMIT $1 FOR UPDATE SKIP LOCKED))
"""


async def promote(tx: Tx, count: int) -> int:
    """Plan again up to `count` deferred deliveries whose pause is over; returns how many."""
    return _affected(await (await driver(tx)).execute(_PROMOTE, count))


# A lease that ended means its worker died or lost us, with the message sent or not. Once it is sent again, under the
# same Message-ID; after a second time, when it was overtaken, or when it has lost its use, it stays unknown.
# After the server itself was away everybody's lease may have ended meanwhile: workers get one lease's time to record.
_RESCUE = """
UPDATE deliveries d
   SET state = CASE WHEN d.doubtful > 0 OR d.overtaken OR p.not_after <= now() THEN 'unknown' ELSE 'planned' END,
       final_at = CASE WHEN d.doubtful > 0 OR d.overtaken OR p.not_after <= now() THEN now() END,
       doubtful = d.doubtful + 1, reason = 'worker_lost', lease_until = NULL
  FROM dispatches p
 WHERE d.id = ANY (ARRAY (
        SELECT w.id FROM deliveries w
         WHERE w.state = 'sending' AND w.lease_until <= now() AND pg_postmaster_start_time() + $2::interval <= now()
         LIMIT $1 FOR UPDATE SKIP LOCKED))
   AND p.id = d.dispatch_id
"""


async def rescue(tx: Tx, count: int, lease: timedelta) -> int:
    """Take up to `count` deliveries from workers that let their lease end; returns how many."""
    return _affected(await (await driver(tx)).execute(_RESCUE, count, lease))


_EXPIRE = """
UPDATE deliveries d
   SET state = CASE WHEN d.doubtful > 0 THEN 'unknown' ELSE 'expired' END,
       reason = 'too_late', final_at = now(), next_at = NULL
 WHERE d.id = ANY (ARRAY (
        SELECT w.id FROM deliveries w JOIN dispatches p ON p.id = w.dispatch_id
         WHERE w.state IN ('planned', 'deferred') AND p.not_after <= now()
         LIMIT $1 FOR UPDATE OF w SKIP LOCKED))
"""


async def expire(tx: Tx, count: int) -> int:
    """End up to `count` waiting deliveries whose message has lost its use; returns how many."""
    return _affected(await (await driver(tx)).execute(_EXPIRE, count))


def _affected(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
