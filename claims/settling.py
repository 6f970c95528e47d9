"""Puts right what was said and decided while strangers were taken for one person, or one person for two.

A decision counts for a claim, and an answer for a contact, in the case they were made in. Whoever is taken out of that
case was neither decided on nor answered: their claims are open again, and their first answer is still to come, by the
times that were set when they asked. Put together again, everything counts as before. So both are worked out anew, never
remembered.
"""

from collections.abc import Collection

from claims.cases import reopen
from foundation.database import Tx, driver

_CLAIMS = """
UPDATE claims l
   SET state = CASE WHEN here.decided_at IS NULL THEN 'open' ELSE 'decided' END, ended_at = here.decided_at
  FROM (SELECT l.id, max(d.decided_at) FILTER (WHERE coalesce(c.merged_into, c.id) = k.case_id) AS decided_at
          FROM contacts k
          JOIN claims l ON l.contact_id = k.id AND l.state <> 'withdrawn'
          JOIN decisions d ON d.claim_id = l.id JOIN cases c ON c.id = d.case_id
         WHERE k.id = ANY ($1::bigint[])
         GROUP BY l.id) here
 WHERE l.id = here.id AND l.ended_at IS DISTINCT FROM here.decided_at
"""
# Only of contacts that some answer names: what was settled otherwise (taken back, called) stays.
_ANSWERS = """
UPDATE contacts k
   SET answered_at = here.at
  FROM (SELECT k.id, min(r.written_at) FILTER (WHERE coalesce(c.merged_into, c.id) = k.case_id) AS at
          FROM contacts k JOIN replies r ON r.contact_ids @> ARRAY[k.id] JOIN cases c ON c.id = r.case_id
         WHERE k.id = ANY ($1::bigint[])
         GROUP BY k.id) here
 WHERE k.id = here.id AND (k.answered_at IS NULL) <> (here.at IS NULL)
"""
_WAITING = """
SELECT DISTINCT k.case_id FROM contacts k
  LEFT JOIN claims l ON l.contact_id = k.id AND l.state = 'open'
 WHERE k.id = ANY ($1::bigint[]) AND ((k.answered_at IS NULL AND k.answer_by IS NOT NULL) OR l.id IS NOT NULL)
"""


async def settle(tx: Tx, contact_ids: Collection[int]) -> None:
    """These contacts are in another case than before: work out what of it all counts for them."""
    connection = await driver(tx)
    moved = list(contact_ids)
    await connection.execute(_CLAIMS, moved)
    await connection.execute(_ANSWERS, moved)
    waiting = await connection.fetch(_WAITING, moved)
    await reopen(connection, [row[0] for row in waiting if row[0] is not None], {"because": "regrouped"})
