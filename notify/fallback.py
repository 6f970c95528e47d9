"""Another channel where the first one failed: a text to people whose mail was refused, bounced or takes too long.

Only for dispatches that have texts for it and say how long mail may take (`fallback_after`), only on evidence, and
never for news that newer news has overtaken. SQL only; what a text may cost is decided when it is claimed.
"""

from collections.abc import Sequence

from foundation.database import Driver
from notify.tables import BATCH

# One text a customer and dispatch: the unique key of deliveries. The language follows the customer as in planning: the
# message in the language of the mail, else English, else any.
_FALL_BACK = """
INSERT INTO deliveries
       (dispatch_id, message_id, customer_id, address_id, channel, state, urgency, needed_at, instead_of)
SELECT d.dispatch_id, m.id, d.customer_id, a.id, 'sms', 'planned', d.urgency, d.needed_at, d.id
  FROM deliveries d
  JOIN dispatches p ON p.id = d.dispatch_id
  JOIN messages told ON told.id = d.message_id
 CROSS JOIN LATERAL (
       SELECT o.id FROM addresses o
        WHERE o.customer_id = d.customer_id AND o.channel = 'sms' AND o.consent AND o.health = 'usable'
        ORDER BY o.id LIMIT 1) a
 CROSS JOIN LATERAL (
       SELECT o.id FROM messages o
        WHERE o.dispatch_id = d.dispatch_id AND o.channel = 'sms'
        ORDER BY o.language = told.language DESC, o.language = 'en' DESC, o.id LIMIT 1) m
 WHERE d.id = ANY ($1::bigint[]) AND d.channel = 'mail' AND NOT d.overtaken
   AND d.state IN ('planned', 'deferred', 'rejected', 'bounced')
   AND p.fallback_after IS NOT NULL AND p.status = 'running' AND p.not_after > now()
   AND NOT EXISTS (SELECT FROM dispatches n JOIN deliveries nd ON nd.dispatch_id = n.id
                    WHERE n.topic = p.topic AND n.number > p.number AND nd.customer_id = d.customer_id)
    ON CONFLICT DO NOTHING
RETURNING id
"""

_QUEUE = f"""
INSERT INTO batches (dispatch_id, channel, urgency, needed_at, delivery_ids)
SELECT dispatch_id, channel, urgency, min(needed_at), array_agg(id ORDER BY id)
  FROM (SELECT d.*, (row_number() OVER (PARTITION BY d.dispatch_id ORDER BY d.needed_at, d.id) - 1) / {BATCH:d} AS part
          FROM deliveries d WHERE d.id = ANY ($1::bigint[])) parted
 GROUP BY dispatch_id, channel, urgency, part
"""  # noqa: S608 (a number of ours)


async def fall_back(connection: Driver, delivery_ids: Sequence[int]) -> int:
    """Plan a text for whoever of these mails' recipients can get one; returns for how many. Again changes nothing."""
    planned = [row[0] for row in await connection.fetch(_FALL_BACK, list(delivery_ids))]
    if planned:
        await connection.execute(_QUEUE, planned)
    return len(planned)


# Mail that was not accepted in time: its batches still wait, whether for their turn, a pause or a slow domain. What
# people hold or pause waits on purpose.
_LATE = """
UPDATE batches b SET looked_for_fallback = true
 WHERE b.id = ANY (ARRAY (
        SELECT w.id FROM batches w JOIN dispatches p ON p.id = w.dispatch_id
         WHERE w.channel = 'mail' AND NOT w.looked_for_fallback AND w.lease_until IS NULL
           AND coalesce(w.waits, 'time') = 'time'
           AND p.fallback_after IS NOT NULL AND p.status = 'running' AND p.created_at + p.fallback_after <= now()
         LIMIT $1 FOR UPDATE OF w SKIP LOCKED))
RETURNING b.delivery_ids
"""


async def fall_back_late(connection: Driver, count: int) -> int:
    """Plan texts for mail that has waited too long, up to `count` batches at a time; returns how many batches."""
    rows = await connection.fetch(_LATE, count)
    if rows:
        await fall_back(connection, [one for row in rows for one in row[0]])
    return len(rows)
