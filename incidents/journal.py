"""What happened to an incident, in order: what was done to it, said of it, promised and confirmed. Only ever added to.

The timeline joins the journal with what stands in tables of its own: updates, promises, confirmations, alerts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, text

from foundation.actors import Actor
from foundation.database import Tx
from incidents.tables import incident_journal


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a timeline. `event`: what it is, from a closed set; `details`: what belongs to it; `actor`: who."""

    at: datetime
    actor: str
    event: str
    details: Mapping[str, Any]


async def note(
    tx: Tx, incident_id: str, actor: Actor, event: str, details: Mapping[str, Any] | None = None, *, now: datetime
) -> None:
    """Add to the journal, in the transaction that does the deed."""
    await tx.execute(
        insert(incident_journal).values(
            incident_id=incident_id, at=now, actor=str(actor), event=event, details=dict(details or {})
        )
    )


async def timeline(tx: Tx, incident_id: str) -> list[Happening]:
    """Everything that happened to an incident, oldest first. A life has some hundred lines at most."""
    rows = await tx.execute(_TIMELINE, {"incident_id": incident_id})
    return [Happening(row.at, row.actor, row.event, row.details) for row in rows]


# place: what happened in one transaction has one time, and is told in the order in which it came about.
_TIMELINE = text("""
SELECT at, actor, event, details FROM (
    SELECT at, actor, event, details, 1 AS place, id::text AS key
      FROM incident_journal WHERE incident_id = :incident_id
     UNION ALL
    SELECT created_at, created_by, 'update_drafted', jsonb_build_object('update', id, 'phase', phase), 2, id
      FROM updates WHERE incident_id = :incident_id
     UNION ALL
    SELECT a.approved_at, a.approved_by,
           CASE WHEN a.bypass_reason IS NULL THEN 'update_approved' ELSE 'approval_bypassed' END,
           jsonb_strip_nulls(jsonb_build_object('update', u.id, 'phase', u.phase, 'reason', a.bypass_reason)), 3, u.id
      FROM updates u JOIN update_approvals a ON a.update_id = u.id WHERE u.incident_id = :incident_id
     UNION ALL
    SELECT published_at, published_by, 'update_published',
           jsonb_build_object('update', id, 'number', number, 'phase', phase, 'title', texts -> 'en' ->> 'title',
               'next_update_at', next_update_at, 'corrects', corrects_id), 4, id
      FROM updates WHERE incident_id = :incident_id AND state = 'published'
     UNION ALL
    SELECT due_at, 'system:stormdesk', 'promise_missed', jsonb_build_object('update', update_id), 5, update_id
      FROM promises WHERE incident_id = :incident_id AND state = 'missed'
     UNION ALL
    SELECT warned_at, 'system:stormdesk', 'promise_warned',
           jsonb_build_object('update', update_id, 'due_at', due_at), 5, update_id
      FROM promises WHERE incident_id = :incident_id AND warned_at IS NOT NULL
     UNION ALL
    SELECT alarmed_at, 'system:stormdesk', 'promise_alarmed',
           jsonb_build_object('update', update_id, 'due_at', due_at), 6, update_id
      FROM promises WHERE incident_id = :incident_id AND alarmed_at IS NOT NULL
     UNION ALL
    SELECT c.noted_at, c.noted_by, 'party_confirmed',
           jsonb_build_object('party', p.name, 'component', k.name, 'what', c.what, 'confirmed_at', c.confirmed_at,
               'evidence', c.evidence), 5, c.id::text
      FROM party_confirmations c JOIN parties p ON p.key = c.party_key JOIN components k ON k.key = c.component_key
     WHERE c.incident_id = :incident_id
     UNION ALL
    SELECT first_seen_at, source, 'alert_fired',
           jsonb_build_object('labels', labels, 'fingerprint', fingerprint, 'times', times), 0, id::text
      FROM alerts WHERE incident_id = :incident_id
     UNION ALL
    SELECT last_seen_at, source, 'alert_resolved',
           jsonb_build_object('labels', labels, 'fingerprint', fingerprint, 'ends_at', ends_at), 7, id::text
      FROM alerts WHERE incident_id = :incident_id AND status = 'resolved'
     UNION ALL
    SELECT published_at, published_by, 'postmortem_published', jsonb_build_object('number', number), 8, id
      FROM postmortems WHERE incident_id = :incident_id AND published_at IS NOT NULL
) happened
 ORDER BY at, place, key
""")
