"""News overtakes: what is unsent of older news ends, and what of it is already out holds back the newer. SQL only.

Within a topic a higher number is newer. Per customer, whatever the channel: newer news is not sent before it is known
what became of the older that already left.
"""

from collections.abc import Sequence

from foundation.database import Driver

# Batches are the locks: a claim passes over those held here, and a result that comes meanwhile waits, in the order of
# id on both sides, so that nobody holds what the other waits for.
_LOCK = """
SELECT count(*), sum(id) FROM (
    SELECT id FROM batches WHERE dispatch_id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE) locked
"""


async def _lock(connection: Driver, dispatch_ids: Sequence[int]) -> None:
    """Hold every batch of these dispatches until the transaction ends.

    Whoever held one before us may have replaced it by new ones when we get it, and those are not in our statement's
    view. New batches come out of held ones only, so when two looks see the same, nobody can make any more.
    """
    seen, held = None, await connection.fetchrow(_LOCK, list(dispatch_ids))
    while held != seen:
        seen, held = held, await connection.fetchrow(_LOCK, list(dispatch_ids))


# `away`: leased, so it may have left already; it is only marked, and its result decides. The rest ends here.
_OVERTAKE = """
WITH away AS MATERIALIZED (
    SELECT unnest(delivery_ids) AS id FROM batches WHERE dispatch_id = ANY ($1::bigint[]) AND lease_until IS NOT NULL
), older AS MATERIALIZED (
    SELECT o.id, away.id IS NOT NULL AS away
      FROM deliveries o LEFT JOIN away ON away.id = o.id
     WHERE o.dispatch_id = ANY ($1::bigint[]) AND o.final_at IS NULL
       AND EXISTS (SELECT FROM deliveries n WHERE n.dispatch_id = ANY ($2::bigint[]) AND n.customer_id = o.customer_id)
), moved AS (
    UPDATE deliveries d
       SET state = CASE WHEN older.away THEN d.state WHEN d.doubtful > 0 THEN 'unknown' ELSE 'superseded' END,
           overtaken = true,
           reason = CASE WHEN older.away THEN d.reason ELSE 'overtaken' END,
           final_at = CASE WHEN NOT older.away THEN now() END
      FROM older
     WHERE d.id = older.id
    RETURNING d.id, d.customer_id, older.away
)
SELECT customer_id, array_agg(id) FROM moved WHERE away GROUP BY customer_id
"""

# A batch whose members have all ended would only be looked at in vain.
_SWEEP = """
WITH live AS MATERIALIZED (
    SELECT DISTINCT u.batch_id
      FROM (SELECT id AS batch_id, unnest(delivery_ids) AS id FROM batches
             WHERE dispatch_id = ANY ($1::bigint[]) AND lease_until IS NULL) u
      JOIN deliveries d ON d.id = u.id AND d.final_at IS NULL
)
DELETE FROM batches b
 WHERE b.dispatch_id = ANY ($1::bigint[]) AND b.lease_until IS NULL
   AND NOT EXISTS (SELECT FROM live WHERE live.batch_id = b.id)
"""


async def overtake(connection: Driver, older: Sequence[int], newer: Sequence[int]) -> dict[int, list[int]]:
    """Let dispatches `newer` overtake `older`: what is unsent for the same customers ends as superseded.

    Returns, per customer, the older deliveries that are out with a worker now: the newer must wait for them. Holds
    the older batches until the transaction ends.
    """
    await _lock(connection, older)
    rows = await connection.fetch(_OVERTAKE, older, newer)
    await connection.execute(_SWEEP, older)
    return {row[0]: list(row[1]) for row in rows}


# As overtaking, but nobody need have got anything newer.
_WITHDRAW = """
WITH away AS MATERIALIZED (
    SELECT unnest(delivery_ids) AS id FROM batches WHERE dispatch_id = $1 AND lease_until IS NOT NULL
)
UPDATE deliveries d
   SET state = CASE WHEN away.id IS NOT NULL THEN d.state WHEN d.doubtful > 0 THEN 'unknown' ELSE $2 END,
       overtaken = true,
       reason = CASE WHEN away.id IS NOT NULL THEN d.reason ELSE $3 END,
       final_at = CASE WHEN away.id IS NULL THEN now() END
  FROM deliveries o LEFT JOIN away ON away.id = o.id
 WHERE o.dispatch_id = $1 AND o.final_at IS NULL AND d.id = o.id
"""


async def withdraw(connection: Driver, dispatch_id: int, state: str = "superseded", reason: str = "withdrawn") -> None:
    """End all that is unsent of a dispatch. What is out with a worker is marked: it is not tried again."""
    await _lock(connection, [dispatch_id])
    await connection.execute(_WITHDRAW, dispatch_id, state, reason)
    await connection.execute(_SWEEP, [dispatch_id])


async def hold_back(connection: Driver, dispatch_id: int, behind: dict[int, list[int]]) -> None:
    """Let the deliveries of `dispatch_id` wait for what is still out to the same people (customer → deliveries)."""
    if not behind:
        return
    rows = await connection.fetch(
        """
        SELECT id, customer_id FROM deliveries
         WHERE dispatch_id = $1 AND customer_id = ANY ($2::bigint[]) AND final_at IS NULL
        """,
        dispatch_id,
        sorted(behind),
    )
    ids = [row[0] for row in rows]
    await connection.execute(
        """
        WITH cut AS MATERIALIZED (
            SELECT b.id, ARRAY (SELECT x FROM unnest(b.delivery_ids) x WHERE x <> ALL ($2::bigint[])) AS rest
              FROM batches b WHERE b.dispatch_id = $1 AND b.delivery_ids && $2::bigint[]
        ), gone AS (
            DELETE FROM batches b USING cut WHERE b.id = cut.id AND cardinality(cut.rest) = 0
        )
        UPDATE batches b SET delivery_ids = cut.rest FROM cut WHERE b.id = cut.id AND cardinality(cut.rest) > 0
        """,
        dispatch_id,
        ids,
    )
    await connection.executemany(
        """
        INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids, waits, behind)
        SELECT dispatch_id, channel, urgency, needed_at, ARRAY[id], 'order', $2 FROM deliveries WHERE id = $1
        """,
        [(row[0], behind[row[1]]) for row in rows],
    )


# A correction is for those who got the wrong news. Where the wrong one turned out never to have arrived, there is
# nothing to correct.
_NEVER_TOLD = """
UPDATE deliveries d SET state = 'suppressed', reason = 'never_told', final_at = now()
  FROM batches b, dispatches p
 WHERE b.waits = 'order' AND b.behind && $1::bigint[] AND d.id = ANY (b.delivery_ids) AND d.final_at IS NULL
   AND p.id = d.dispatch_id AND p.corrects_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM deliveries o
                    WHERE o.customer_id = d.customer_id AND o.dispatch_id = p.corrects_id
                      AND (o.final_at IS NULL OR o.state IN ('accepted', 'delivered', 'unknown')))
"""

_LET_GO = """
UPDATE batches b
   SET waits = CASE WHEN p.status = 'paused' THEN 'paused' END, behind = NULL
  FROM dispatches p
 WHERE b.id = ANY (ARRAY (
        SELECT w.id FROM batches w
         WHERE w.waits = 'order'
           AND NOT EXISTS (SELECT FROM deliveries o WHERE o.id = ANY (w.behind) AND o.final_at IS NULL)
           FOR UPDATE OF w SKIP LOCKED))
   AND p.id = b.dispatch_id
"""


async def let_go(connection: Driver, ended: Sequence[int]) -> int:
    """Let go what waited for deliveries that have `ended`; returns how many batches are ready now."""
    await connection.execute(_NEVER_TOLD, ended)
    tag: str = await connection.execute(_LET_GO)
    return int(tag.rpartition(" ")[2])
