"""What we found out afterwards: written while nobody is in a hurry, published once, and then never changed.

A better one is published behind it; the page shows the last. Use cases; none commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Invalid
from incidents.identifiers import new_id
from incidents.promises import settle
from incidents.records import find_incident
from incidents.tables import incidents, postmortems
from incidents.wording import language_faults, prose_faults, tidy

LONGEST_POSTMORTEM = 25_000  # characters: what the Statuspage API allows in one body


@dataclass(frozen=True, slots=True)
class Postmortem:
    """One version. `texts`: prose per language. It is a draft as long as it has no `number`."""

    id: str
    incident_id: str
    number: int | None
    texts: Mapping[str, str]
    written_by: str
    written_at: datetime
    published_by: str | None
    published_at: datetime | None


async def write_postmortem(
    tx: Tx, actor: Actor, incident_id: str, texts: Mapping[str, str], *, now: datetime
) -> Postmortem:
    """Keep the draft of an incident's postmortem, instead of the one there was. Raises Invalid with every fault."""
    incident = await find_incident(tx, incident_id)
    said = {language: tidy(text) for language, text in texts.items()}
    faults = list(language_faults("texts", said))
    for language, text in said.items():
        faults += prose_faults(f"texts.{language[:20]}", text, LONGEST_POSTMORTEM)
    if faults:
        raise Invalid("The postmortem cannot be kept like this.", faults)
    given = {"texts": said, "written_by": str(actor), "written_at": now}
    row = upsert(postmortems).values(id=new_id(), incident_id=incident.id, **given)
    draft = postmortems.c.published_at.is_(None)
    await tx.execute(row.on_conflict_do_update(index_elements=["incident_id"], index_where=draft, set_=given))
    return (await postmortems_of(tx, incident.id))[-1]


async def publish_postmortem(tx: Tx, actor: Actor, incident_id: str, *, now: datetime) -> Postmortem:
    """Publish the draft: the incident's phase becomes postmortem, and the page shows the text.

    Raises Conflict before the incident is resolved (`not_resolved`), and when there is no draft (`no_draft`).
    """
    incident = await find_incident(tx, incident_id, lock=True)
    if incident.phase not in ("resolved", "postmortem"):
        raise Conflict("Resolve this incident first: this is written when it is over.", code="not_resolved")
    last = select(func.coalesce(func.max(postmortems.c.number), 0) + 1).where(postmortems.c.incident_id == incident.id)
    published = (
        update(postmortems)
        .where(postmortems.c.incident_id == incident.id, postmortems.c.published_at.is_(None))
        .values(number=last.scalar_subquery(), published_by=str(actor), published_at=now)
    )
    if (await tx.execute(published)).rowcount == 0:
        raise Conflict("There is no draft to publish. Write one first.", code="no_draft")
    moved = update(incidents).where(incidents.c.id == incident.id)
    await tx.execute(moved.values(phase="postmortem", reopening=False, updated_at=now))
    # Whoever was promised one more word has it.
    await settle(tx, incident.id, at=now)
    return (await postmortems_of(tx, incident.id))[-1]


async def postmortems_of(tx: Tx, incident_id: str) -> list[Postmortem]:
    """Every version, in the order of publication, and last the draft if there is one."""
    query = select(postmortems).where(postmortems.c.incident_id == incident_id)
    rows = await tx.execute(query.order_by(postmortems.c.number.nulls_last()))
    return [Postmortem(**row._mapping) for row in rows]
