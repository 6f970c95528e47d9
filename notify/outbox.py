"""The outbox between planning and proof: claim, record, renew. All SQL that a sender needs on the way.

What waits is a row of `batches`; a claim leases whole batches, and recording one ends it: what must be tried again gets
a new one. So the id of a batch is the fence of its results. Every statement keeps to the rule book in `delivery.py`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from sqlalchemy import text

from foundation.database import Driver, Tx, driver
from notify import paced
from notify.delivery import Outcome
from notify.fallback import fall_back
from notify.health import note_rejections
from notify.messages import NEWS, Message
from notify.opt_outs import ALL_NEWS
from notify.order import let_go
from notify.pacing import domain_of

BatchId: TypeAlias = int

# Batches looked at for one claim. Full ones are taken by the dozen; of single ones this many at a time.
_MOST_BATCHES = 40


class Claimed(NamedTuple):
    """A delivery we may send until its batch's lease ends. `attempt`: the number of this try, from 1."""

    id: int
    batch_id: BatchId
    attempt: int
    message_id: int
    address: str
    name: str
    customer_number: str


class Done(NamedTuple):
    """What became of one claimed delivery."""

    id: int
    batch_id: BatchId
    outcome: Outcome


# Statements are planned once for each connection, often while the outbox is empty, and then meet a hundred thousand
# rows: only the plans along the indexes are right for both. For a connection that does nothing else, see
# `Database.dedicate`.
ALONG_INDEXES = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
_SET_ALONG_INDEXES = text("SELECT " + ", ".join(f"set_config('{name}', 'off', true)" for name in ALONG_INDEXES))


async def begin(tx: Tx) -> Driver:
    """The driver's connection in `tx`, set so that the statements below go along their indexes."""
    await tx.execute(_SET_ALONG_INDEXES)
    return await driver(tx)


# Claiming

# SKIP LOCKED: others claim, and a publication holds the batches it may empty. The running sum keeps what a worker has
# out within its bound however large the batches are; one batch is taken in any case. A message that has lost its use is
# left for upkeep to end. An array, not a join, which was planned while the outbox was empty and then went through all
# that waits at each claim.
_CLAIM = f"""
WITH head AS MATERIALIZED (
    SELECT w.id, w.delivery_ids, w.urgency, w.needed_at
      FROM batches w
     WHERE w.channel = $1 AND w.lease_until IS NULL AND w.waits IS NULL AND w.domain IS NULL
       AND EXISTS (SELECT FROM dispatches p
                    WHERE p.id = w.dispatch_id AND p.status = 'running' AND p.not_after > now())
     ORDER BY w.urgency, w.needed_at, w.id
     LIMIT {_MOST_BATCHES:d}
       FOR UPDATE OF w SKIP LOCKED
), summed AS MATERIALIZED (
    SELECT id, cardinality(delivery_ids) AS size,
           sum(cardinality(delivery_ids)) OVER (ORDER BY urgency, needed_at, id ROWS UNBOUNDED PRECEDING) AS upto
      FROM head
)
UPDATE batches b SET lease_until = now() + $2::interval
 WHERE b.id = ANY (ARRAY (SELECT s.id FROM summed s WHERE s.upto <= $3 OR s.upto = s.size))
RETURNING b.id, b.delivery_ids
"""  # noqa: S608 (a number of ours)

# By an array of ids, not by a join with one: whatever PostgreSQL knew of the tables when it planned this, it goes along
# the keys.
_READ = """
SELECT d.id, d.attempt + 1, d.message_id, a.value, c.name, c.number,
       a.consent AND a.health = 'usable' AND d.instead_of IS NULL
       AND NOT EXISTS (SELECT FROM opt_outs o WHERE o.customer_id = d.customer_id)
  FROM deliveries d
  JOIN addresses a ON a.id = d.address_id
  JOIN customers c ON c.id = d.customer_id
 WHERE d.id = ANY ($1::bigint[]) AND d.final_at IS NULL
"""


PacedDomains: TypeAlias = Callable[[Driver], Awaitable[frozenset[str]]]


async def _none_paced(_: Driver) -> frozenset[str]:
    return frozenset()


async def claim(
    connection: Driver, channel: str, most: int, lease: timedelta, paced_domains: PacedDomains = _none_paced
) -> tuple[Mapping[str, int], list[Claimed]]:
    """Lease batches of up to `most` deliveries (one batch at least), the most urgent first, and read what to send.

    Batches that others hold are passed over. Deliveries whose address was lost since planning, or whose reader wants no
    news any more, end here, and those to a domain with a pace of its own (`paced_domains` tells) go to its queue.
    Returns how many ended in each state, and what was claimed, batch by batch. `connection` goes along indexes: from
    `begin`, or dedicated.
    """
    states: Counter[str] = Counter()
    leased = [(row[0], row[1]) for row in await connection.fetch(_CLAIM, channel, lease, most)]
    claimed = await _sendable(connection, leased, states)
    # Asked after leasing: a publication commits its batches and the pace they need at once, and before may be too soon.
    domains = await paced_domains(connection)
    if domains:
        slow = [one for one in claimed if domain_of(one.address) in domains]
        if slow:
            await paced.queue(connection, [(one.id, one.batch_id, domain_of(one.address)) for one in slow])
            claimed = [one for one in claimed if domain_of(one.address) not in domains]
        granted = await paced.claim(connection, channel, most - len(claimed), lease)
        claimed += await _sendable(connection, granted, states)
        leased += granted
    # A batch whose members have all ended, or gone to another queue, has nothing to wait for.
    if idle := {batch_id for batch_id, _ in leased} - {one.batch_id for one in claimed}:
        await drop(connection, sorted(idle))
    return states, claimed


# What was called for by nobody any more while it waited in a worker's memory. As the last column of `_READ`, less what
# is true from the start of a text in place of mail; and what was overtaken or called off.
_NO_LONGER_WANTED = """
SELECT d.id
  FROM deliveries d
  JOIN addresses a ON a.id = d.address_id
  JOIN dispatches p ON p.id = d.dispatch_id
 WHERE d.id = ANY ($1::bigint[])
   AND (d.final_at IS NOT NULL OR d.overtaken OR NOT a.consent OR a.health <> 'usable'
        OR starts_with(p.topic, $2) AND EXISTS (SELECT FROM opt_outs o
                    WHERE o.customer_id = d.customer_id AND o.topic IN (p.topic, $3)))
"""


async def no_longer_wanted(connection: Driver, delivery_ids: Sequence[int]) -> set[int]:
    """Which of claimed deliveries, not begun yet, are not to be sent any more: opted out, suppressed, overtaken."""
    rows = await connection.fetch(_NO_LONGER_WANTED, delivery_ids, NEWS, ALL_NEWS)
    return {row[0] for row in rows}


async def drop(connection: Driver, batch_ids: Sequence[BatchId]) -> None:
    """Forget batches just leased in which nothing is left to send."""
    await connection.execute("DELETE FROM batches WHERE id = ANY ($1::bigint[])", batch_ids)


async def end_unaffordable(connection: Driver, delivery_ids: Sequence[int]) -> Mapping[str, int]:
    """End claimed deliveries for which there is no money left; how many are in each state."""
    rows = await connection.fetch(
        """
        UPDATE deliveries
           SET state = CASE WHEN doubtful > 0 THEN 'unknown' ELSE 'suppressed' END, reason = 'cost_cap',
               final_at = now()
         WHERE id = ANY ($1::bigint[]) AND final_at IS NULL
        RETURNING state
        """,
        delivery_ids,
    )
    return Counter(row[0] for row in rows)


async def _sendable(
    connection: Driver, leased: Sequence[tuple[BatchId, Sequence[int]]], states: Counter[str]
) -> list[Claimed]:
    """The members of batches as they are to be sent. Those who may no longer be reached end, counted in `states`."""
    if not leased:
        return []
    found = {row[0]: row for row in await connection.fetch(_READ, [one for _, members in leased for one in members])}
    addresses = dict[int, str]()
    if lost := {row[0] for row in found.values() if not row[6]}:
        addresses = await _otherwise(connection, sorted(lost), states)
        for one in lost - addresses.keys():
            del found[one]
    # The order of the ids in a batch is that of planning: the soonest need first.
    claimed = [
        Claimed(row[0], batch_id, row[1], row[2], row[3], row[4], row[5])
        for batch_id, members in leased
        for one in members
        if (row := found.get(one))
    ]
    return [one._replace(address=addresses.get(one.id, one.address)) for one in claimed] if addresses else claimed


async def _otherwise(connection: Driver, lost: Sequence[int], states: Counter[str]) -> dict[int, str]:
    """Where to reach those who can no longer be reached as planned; who is missing has ended, counted in `states`."""
    over = await connection.fetch(_OPTED_OUT, lost, NEWS, ALL_NEWS)
    over += await connection.fetch(_TOO_LATE_A_TEXT, lost)
    states.update(row[1] for row in over)
    ended = {row[0] for row in over}
    found = await connection.fetch(_REACH_OTHERWISE, [one for one in lost if one not in ended])
    states.update(row[1] for row in found if row[2] is None)
    return {row[0]: row[2] for row in found if row[2] is not None}


# Whoever has opted out of anything is looked at here; planning may not have seen it. As `opt_outs.opted_out`.
_OPTED_OUT = """
UPDATE deliveries d
   SET state = CASE WHEN d.doubtful > 0 THEN 'unknown' ELSE 'suppressed' END, reason = 'opted_out', final_at = now()
  FROM dispatches p
 WHERE d.id = ANY ($1::bigint[]) AND p.id = d.dispatch_id AND starts_with(p.topic, $2)
   AND EXISTS (SELECT FROM opt_outs o WHERE o.customer_id = d.customer_id AND o.topic IN (p.topic, $3))
RETURNING d.id, d.state
"""

# A text in place of mail was planned without holding off publications, so newer news may have been planned meanwhile.
_TOO_LATE_A_TEXT = """
UPDATE deliveries d
   SET state = CASE WHEN d.doubtful > 0 THEN 'unknown' ELSE 'superseded' END, reason = 'overtaken', final_at = now()
  FROM dispatches p
 WHERE d.id = ANY ($1::bigint[]) AND d.final_at IS NULL AND d.instead_of IS NOT NULL AND p.id = d.dispatch_id
   AND EXISTS (SELECT FROM dispatches n JOIN deliveries nd ON nd.dispatch_id = n.id
                WHERE n.topic = p.topic AND n.number > p.number AND nd.customer_id = d.customer_id)
RETURNING d.id, d.state
"""

# An address may have been suppressed, or its consent withdrawn, since planning. Then another of the customer's serves,
# if there is one; else the row ends here, unsent.
_REACH_OTHERWISE = """
UPDATE deliveries d
   SET address_id = coalesce(b.id, a.id),
       state = CASE WHEN b.id IS NOT NULL THEN d.state WHEN d.doubtful > 0 THEN 'unknown' ELSE 'suppressed' END,
       final_at = CASE WHEN b.id IS NULL THEN now() END,
       reason = CASE WHEN b.id IS NOT NULL THEN d.reason WHEN a.consent THEN a.suppressed_because ELSE 'no_consent' END
  FROM addresses a
  LEFT JOIN LATERAL (
        SELECT o.id, o.value FROM addresses o
         WHERE o.customer_id = a.customer_id AND o.channel = a.channel AND o.consent AND o.health = 'usable'
         ORDER BY o.id = a.id DESC, o.id LIMIT 1) b ON true
 WHERE d.id = ANY ($1::bigint[]) AND a.id = d.address_id
RETURNING d.id, d.state, b.value
"""


# Recording

# What most results have in common comes once ($5 to $9), and each names its kind: every element of an array costs.
# The batches are locked in the order of id, as a publication locks them (`order.py`): whoever comes second waits, and
# then sees what the first did. A row that was overtaken or called off while it was out is not tried again; one that was
# in doubt before ends as unknown where the result alone would claim that nothing was ever sent.
_CALLED_OFF = "(SELECT p.status FROM dispatches p WHERE p.id = d.dispatch_id) = 'cancelled'"
_RECORD = f"""
WITH held AS MATERIALIZED (
    SELECT b.id FROM batches b
     WHERE b.id = ANY ($1::bigint[]) AND b.lease_until IS NOT NULL
     ORDER BY b.id
       FOR UPDATE
), ended AS (
    DELETE FROM batches b WHERE b.id = ANY (ARRAY (SELECT id FROM held))
), recorded AS (
    UPDATE deliveries d
       SET state = CASE WHEN r.state IN ('planned', 'deferred') AND d.overtaken THEN
                             CASE WHEN d.doubtful > 0 THEN 'unknown'
                                  WHEN {_CALLED_OFF} THEN 'suppressed' ELSE 'superseded' END
                        WHEN r.state = 'expired' AND d.doubtful > 0 THEN 'unknown'
                        ELSE r.state END,
           reason = CASE WHEN r.state IN ('planned', 'deferred') AND d.overtaken THEN
                             CASE WHEN {_CALLED_OFF} THEN 'cancelled' ELSE 'overtaken' END
                         ELSE r.reason END,
           attempt = d.attempt + r.tried, reply_code = r.code, reply = r.reply,
           final_at = CASE WHEN d.overtaken OR r.state NOT IN ('planned', 'deferred') THEN now() END
      FROM (SELECT u.id, u.reply, ($5::bigint[])[u.kind] AS batch_id, ($6::text[])[u.kind] AS state,
                   ($7::text[])[u.kind] AS reason, ($8::smallint[])[u.kind] AS code, ($9::smallint[])[u.kind] AS tried
              FROM unnest($2::bigint[], $3::smallint[], $4::text[]) AS u (id, kind, reply)) r
     WHERE d.id = r.id AND d.final_at IS NULL AND r.batch_id = ANY (ARRAY (SELECT id FROM held))
    RETURNING d.id, d.state, d.overtaken
)
SELECT state, count(*), array_agg(id) FILTER (WHERE state NOT IN ('accepted', 'unknown')),
       array_agg(id) FILTER (WHERE overtaken)
  FROM recorded GROUP BY state
"""  # noqa: S608 (a constant)


async def record(connection: Driver, batch_ids: Sequence[BatchId], done: Sequence[Done]) -> Mapping[str, int]:
    """Store what became of the batches `batch_ids`; `done` has a result for each delivery that was claimed in them.

    Returns how many rows are now in each state. Results of a batch whose lease has ended are passed over: somebody else
    answers for its deliveries now. `connection` is from `begin`.
    """
    kinds: dict[tuple[BatchId, str, str | None, int | None, bool], int] = {}
    ids, places, replies = [], [], []
    for delivery_id, batch_id, what in done:
        kind = (batch_id, what.state, what.reason, what.code, what.tried)
        ids.append(delivery_id)
        places.append(kinds.setdefault(kind, len(kinds) + 1))
        replies.append(what.reply or None)
    common = zip(*kinds, strict=True) if kinds else ((), (), (), (), ())
    rows = await connection.fetch(_RECORD, batch_ids, ids, places, replies, *map(list, common))
    waiting = {key for row in rows if row[0] in ("planned", "deferred") for key in row[2] or ()}
    refused = [key for row in rows if row[0] == "rejected" for key in row[2] or ()]
    overtaken = [key for row in rows for key in row[3] or ()]
    if waiting:
        await _wait_again(connection, [one for one in done if one.id in waiting])
    if refused:
        await note_rejections(connection, refused)
        await fall_back(connection, refused)
    if overtaken:
        await let_go(connection, overtaken)
    return {row[0]: row[1] for row in rows}


# What came out of one batch for the same pause goes into one batch again.
_WAIT_AGAIN = """
INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids, waits, due_at)
SELECT d.dispatch_id, d.channel, d.urgency, min(d.needed_at), array_agg(d.id ORDER BY d.id),
       CASE WHEN g.pause IS NOT NULL THEN 'time' WHEN p.status = 'paused' THEN 'paused' END, now() + g.pause
  FROM unnest($1::bigint[], $2::bigint[], $3::interval[]) AS g (id, batch_id, pause)
  JOIN deliveries d ON d.id = g.id
  JOIN dispatches p ON p.id = d.dispatch_id
 GROUP BY d.dispatch_id, d.channel, d.urgency, g.batch_id, g.pause, p.status
"""

_LOG_ATTEMPT = """
INSERT INTO delivery_attempts (delivery_id, attempt, reason, reply_code, reply)
SELECT d.id, d.attempt, d.reason, d.reply_code, d.reply FROM deliveries d
 WHERE d.id = ANY ($1::bigint[])
    ON CONFLICT DO NOTHING
"""


async def _wait_again(connection: Driver, done: Sequence[Done]) -> None:
    await connection.execute(
        _WAIT_AGAIN,
        [one.id for one in done],
        [one.batch_id for one in done],
        [one.outcome.pause for one in done],
    )
    await connection.execute(_LOG_ATTEMPT, [one.id for one in done if one.outcome.tried])


async def renew(connection: Driver, batch_ids: Iterable[BatchId], lease: timedelta) -> None:
    """Put off the end of the lease of what is still being sent."""
    await connection.execute(
        """
        UPDATE batches SET lease_until = now() + $2::interval
         WHERE id = ANY (ARRAY (
               SELECT b.id FROM batches b
                WHERE b.id = ANY ($1::bigint[]) AND b.lease_until IS NOT NULL FOR UPDATE SKIP LOCKED))
        """,
        sorted(batch_ids),
        lease,
    )


async def load_messages(connection: Driver, ids: Sequence[int]) -> list[tuple[Message, datetime]]:
    """The texts behind claimed deliveries, each with the moment after which it has no use."""
    rows = await connection.fetch(
        """
        SELECT m.id, p.topic, m.language, m.subject, m.body, p.not_after
          FROM messages m JOIN dispatches p ON p.id = m.dispatch_id
         WHERE m.id = ANY ($1::bigint[])
        """,
        list(ids),
    )
    return [(Message(*row[:5]), row[5]) for row in rows]
