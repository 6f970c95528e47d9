"""How an update changes the state of components, also where other open incidents hold the same ones.

One statement each, whatever the number of components. It knows nothing of texts and people.
"""

from datetime import datetime

from sqlalchemy import text

from foundation.database import Tx
from incidents.audience import AFFECTED
from incidents.lifecycle import STATUSES, ComponentStatus


async def restate_components(
    tx: Tx,
    incident_id: str,
    update_id: str,
    status: ComponentStatus | None,
    *,
    now: datetime,
    exercise: bool = False,
) -> None:
    """Give the components an incident names the status its update states (None: no change), and journal old and new.

    A component that another open incident holds in a worse state keeps that one. What merely depends on the named ones
    is journalled with its own status unchanged: it is concerned, but nobody said that it is down. A drill (`exercise`)
    has a world of its own: it journals what would become of the components, and they stay as they are.
    """
    values = {"incident_id": incident_id, "update_id": update_id, "status": status, "ranks": list(STATUSES)}
    # Locked in order of key first: two incidents over the same components then wait for each other, never deadlock.
    # NO KEY: an import holds a share of the keys it refers to for as long as it runs, and must not hold up the news.
    await tx.execute(_LOCK, {"incident_id": incident_id})
    await tx.execute(_JOURNAL, values)
    if exercise:
        await tx.execute(_REHEARSE, values)
        return
    await tx.execute(_APPLY, {"update_id": update_id, "now": now})


_LOCK = text(
    AFFECTED  # noqa: S608 (both halves are ours)
    + """
SELECT count(*) FROM (
    SELECT 1 FROM components WHERE key IN (SELECT key FROM affected) ORDER BY key FOR NO KEY UPDATE
) locked
"""
)
_JOURNAL = text(
    AFFECTED  # noqa: S608 (both halves are ours)
    + """
, said (incident_id, rank) AS (
    SELECT DISTINCT ON (u.incident_id) u.incident_id, array_position(CAST(:ranks AS text[]), u.component_status)
      FROM updates u JOIN incidents i ON i.id = u.incident_id
     WHERE i.resolved_at IS NULL AND NOT i.exercise AND i.id <> :incident_id
       AND u.state = 'published' AND u.component_status IS NOT NULL
     ORDER BY u.incident_id, u.number DESC
), elsewhere (key, rank) AS (
    SELECT key, max(rank) FROM (
        SELECT c.key, said.rank FROM said JOIN incident_scope s USING (incident_id) JOIN components c ON c.key = s.key
         WHERE s.kind = 'component'
         UNION ALL
        SELECT c.key, said.rank FROM said JOIN incident_scope s USING (incident_id)
          JOIN components c ON c.group_name = s.key
         WHERE s.kind = 'group'
    ) held GROUP BY key
)
INSERT INTO update_components (update_id, component_key, old_status, new_status)
SELECT :update_id, c.key, c.status,
       CASE WHEN n.key IS NULL OR CAST(:status AS text) IS NULL THEN c.status
            ELSE (CAST(:ranks AS text[]))[
                greatest(array_position(CAST(:ranks AS text[]), CAST(:status AS text)), e.rank)]
       END
  FROM components c
  JOIN affected a ON a.key = c.key
  LEFT JOIN named n ON n.key = c.key
  LEFT JOIN elsewhere e ON e.key = c.key
"""
)
_APPLY = text(
    """
UPDATE components c SET status = u.new_status, updated_at = :now
  FROM update_components u
 WHERE u.update_id = :update_id AND u.component_key = c.key AND c.status <> u.new_status
"""
)
_REHEARSE = text(
    """
WITH before AS (
    SELECT DISTINCT ON (uc.component_key) uc.component_key, uc.new_status
      FROM update_components uc JOIN updates u ON u.id = uc.update_id
     WHERE u.incident_id = :incident_id AND u.state = 'published'
     ORDER BY uc.component_key, u.number DESC
)
UPDATE update_components uc
   SET old_status = before.new_status,
       new_status = CASE WHEN CAST(:status AS text) IS NULL THEN before.new_status ELSE uc.new_status END
  FROM before
 WHERE uc.update_id = :update_id AND uc.component_key = before.component_key
"""
)
