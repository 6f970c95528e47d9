"""Keeps the outbox moving: pauses that are over, leases that ended, messages that lost their use, mail that is late.

Any number of processes may run it at once; batches somebody else holds are passed over, so it never makes a sender or a
publication wait. It sends nothing.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from foundation.database import Database, Driver
from notify import outbox, paced
from notify.fallback import fall_back_late
from notify.order import let_go

# One transaction's worth of batches: short enough that nobody waits for its locks.
_MOST = 500


async def upkeep_step(database: Database, *, lease: timedelta) -> bool:
    """One round of upkeep, one short transaction each. `lease`: that of the senders. True: there may be more to do."""

    async def lost(connection: Driver, count: int) -> int:
        return await rescue(connection, count, lease)

    steps: tuple[Callable[[Driver, int], Awaitable[int]], ...] = (promote, lost, expire, fall_back_late)
    more = False
    for step in steps:
        async with database.transaction() as tx:
            more = await step(await outbox.begin(tx), _MOST) == _MOST or more
    async with database.transaction() as tx:
        connection = await outbox.begin(tx)
        await let_go(connection, [])
        await paced.ease(connection)
        await paced.free_orphans(connection)
    return more


_PROMOTE = """
UPDATE batches b
   SET waits = CASE WHEN p.status = 'paused' THEN 'paused' END, due_at = NULL
  FROM dispatches p
 WHERE b.id = ANY (ARRAY (
        SELECT w.id FROM batches w WHERE w.waits = 'time' AND w.due_at <= now()
         ORDER BY w.due_at LIMIT $1 FOR UPDATE SKIP LOCKED))
   AND p.id = b.dispatch_id
"""


async def promote(connection: Driver, count: int) -> int:
    """Make up to `count` batches ready whose time has come; returns how many."""
    return _affected(await connection.execute(_PROMOTE, count))


# A lease that ended means its worker died or lost us, with the messages sent or not. Once they are sent again, under
# the same Message-ID; after a second time, when overtaken, or when they have lost their use, they stay unknown. After
# the server itself was away everybody's lease may have ended meanwhile: workers get one lease's time to record.
_RESCUE = """
WITH lost AS MATERIALIZED (
    SELECT w.id, w.delivery_ids FROM batches w
     WHERE w.lease_until <= now() AND pg_postmaster_start_time() + $2::interval <= now()
     LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM batches b USING lost WHERE b.id = lost.id
), moved AS (
    UPDATE deliveries d
       SET state = CASE WHEN d.doubtful > 0 OR d.overtaken OR p.not_after <= now() THEN 'unknown' ELSE 'planned' END,
           final_at = CASE WHEN d.doubtful > 0 OR d.overtaken OR p.not_after <= now() THEN now() END,
           doubtful = d.doubtful + 1, attempt = d.attempt + 1, reason = 'worker_lost', reply_code = NULL, reply = NULL
      FROM (SELECT id AS batch_id, unnest(delivery_ids) AS id FROM lost) l, dispatches p
     WHERE d.id = l.id AND d.final_at IS NULL AND p.id = d.dispatch_id
    RETURNING d.id, d.dispatch_id, d.channel, d.urgency, d.needed_at, d.attempt, d.final_at, l.batch_id, p.status
), logged AS (
    INSERT INTO delivery_attempts (delivery_id, attempt, reason)
    SELECT id, attempt, 'worker_lost' FROM moved WHERE final_at IS NULL
        ON CONFLICT DO NOTHING
), queued AS (
    INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids, waits)
    SELECT dispatch_id, channel, urgency, min(needed_at), array_agg(id ORDER BY id),
           CASE WHEN status = 'paused' THEN 'paused' END
      FROM moved WHERE final_at IS NULL
     GROUP BY batch_id, dispatch_id, channel, urgency, status
)
SELECT count(*) FROM lost
"""


async def rescue(connection: Driver, count: int, lease: timedelta) -> int:
    """Take up to `count` batches from workers that let their lease end; returns how many."""
    taken: int = await connection.fetchval(_RESCUE, count, lease)
    return taken


_EXPIRE = """
WITH late AS MATERIALIZED (
    SELECT w.id, w.delivery_ids FROM batches w JOIN dispatches p ON p.id = w.dispatch_id
     WHERE w.lease_until IS NULL AND p.not_after <= now()
     LIMIT $1 FOR UPDATE OF w SKIP LOCKED
), gone AS (
    DELETE FROM batches b USING late WHERE b.id = late.id
), ended AS (
    UPDATE deliveries d
       SET state = CASE WHEN d.doubtful > 0 THEN 'unknown' ELSE 'expired' END, reason = 'too_late', final_at = now()
      FROM (SELECT unnest(delivery_ids) AS id FROM late) l
     WHERE d.id = l.id AND d.final_at IS NULL
)
SELECT count(*) FROM late
"""


async def expire(connection: Driver, count: int) -> int:
    """End the deliveries of up to `count` waiting batches whose message has lost its use; returns how many batches."""
    ended: int = await connection.fetchval(_EXPIRE, count)
    return ended


def _affected(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
