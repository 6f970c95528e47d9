"""Writing updates: a draft, its edits, and what becomes of one nobody wants. None of these commits.

A draft may be edited until it is approved. Every edit is a revision with its own writer, and clears the approvals that
were given to the one before.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid
from incidents.identifiers import new_id
from incidents.journal import note
from incidents.lifecycle import Draft, check_update, tidy
from incidents.moving import check_declared
from incidents.records import Incident, Update, find_incident, find_update, stored_texts
from incidents.segments import unknown_segments
from incidents.tables import parties, update_approvals, updates


async def draft_update(tx: Tx, actor: Actor, incident_id: str, draft: Draft, *, now: datetime) -> Update:
    """Write an update without publishing it. Raises Invalid with every fault, NotFound and Conflict."""
    incident = await find_incident(tx, incident_id)
    values = await _values(tx, incident, draft, now)
    update_id = new_id()
    await tx.execute(
        insert(updates).values(
            id=update_id,
            incident_id=incident.id,
            **values,
            created_by=str(actor),
            created_at=now,
            written_by=str(actor),
            written_at=now,
        )
    )
    return await find_update(tx, update_id)


async def edit_update(
    tx: Tx, actor: Actor, update_id: str, draft: Draft, *, now: datetime, revision: int | None = None
) -> Update:
    """Write a draft anew. `revision`: the one the writer looked at; Conflict when somebody was quicker.

    Whoever approved the text before did not approve this one: their word is gone. Raises as `draft_update` does.
    """
    found = await lock_update(tx, update_id)
    if found.state != "draft":
        raise Conflict(_NOT_TO_EDIT[found.state], code="not_a_draft")
    if revision is not None and revision != found.revision:
        raise Conflict(
            f"{found.written_by} has changed this text meanwhile. Look at it, and write yours anew.",
            code="edited_meanwhile",
        )
    incident = await find_incident(tx, found.incident_id)
    values = await _values(tx, incident, draft, now)
    # Whom a draft is for is decided by what made it, not by who words it.
    values["audience"] = found.audience
    await _clear_approvals(tx, update_id)
    await tx.execute(
        update(updates)
        .where(updates.c.id == update_id, updates.c.state == "draft", updates.c.revision == found.revision)
        .values(**values, revision=found.revision + 1, written_by=str(actor), written_at=now)
    )
    details = {"update": update_id, "revision": found.revision + 1}
    await note(tx, found.incident_id, actor, "update_edited", details, now=now)
    return await find_update(tx, update_id)


async def take_back(tx: Tx, actor: Actor, update_id: str, *, now: datetime) -> Update:
    """Make an approved update a draft again, with nobody's approval, so that it can be edited."""
    found = await lock_update(tx, update_id)
    if found.state not in ("draft", "approved"):
        raise Conflict(_NOT_TO_EDIT[found.state], code="not_a_draft")
    await _clear_approvals(tx, update_id)
    await tx.execute(
        update(updates)
        .where(updates.c.id == update_id, updates.c.state.in_(("draft", "approved")))
        .values(state="draft", approved_by=None, approved_at=None)
    )
    if found.approvals:
        names = {"update": update_id, "approved_by": [one.approved_by for one in found.approvals]}
        await note(tx, found.incident_id, actor, "approval_taken_back", names, now=now)
    return await find_update(tx, update_id)


async def discard_update(tx: Tx, actor: Actor, update_id: str, *, now: datetime) -> Update:
    """Put an update aside that was not published; it stays on record. Doing so again changes nothing."""
    found = await lock_update(tx, update_id)
    if found.state == "published":
        raise Conflict(_NOT_TO_EDIT["published"], code="not_a_draft")
    await tx.execute(
        update(updates).where(updates.c.id == update_id, updates.c.state != "published").values(state="discarded")
    )
    if found.state != "discarded":
        await note(tx, found.incident_id, actor, "update_discarded", {"update": update_id}, now=now)
    return await find_update(tx, update_id)


_NOT_TO_EDIT = {
    "approved": "This update is approved. Take the approval back first, then change it and have it approved again.",
    "published": "What was published is never changed. Publish a correction instead.",
    "discarded": "This draft was put aside. Write a new one.",
}


async def lock_update(tx: Tx, update_id: str) -> Update:
    """The update with this id, which nobody else changes until the transaction ends. Raises NotFound."""
    await tx.execute(select(updates.c.id).where(updates.c.id == update_id).with_for_update())
    return await find_update(tx, update_id)


async def _values(tx: Tx, incident: Incident, draft: Draft, now: datetime) -> dict[str, Any]:
    """What the row holds of a draft. Raises Invalid with every fault."""
    check_declared(incident)
    draft = tidy(draft)
    check_update(draft, incident.phase, now, reopening=incident.reopening)
    if faults := await _unknown(tx, incident.id, draft):
        raise Invalid("Some of what the update names does not exist.", faults)
    return {
        "phase": draft.phase,
        "texts": stored_texts(draft.texts),
        "cause_certainty": draft.cause_certainty,
        "cause_party_key": draft.cause_party,
        "cause_stated_by_key": draft.cause_stated_by,
        "cause_evidence": draft.cause_evidence,
        "component_status": draft.component_status,
        "impact": draft.impact,
        "next_update_at": draft.next_update_at,
        "corrects_id": draft.corrects,
        "audience": draft.audience,
    }


async def _unknown(tx: Tx, incident_id: str, draft: Draft) -> list[Fault]:
    """A fault for everything the draft names that is not there."""
    faults = []
    named = {"cause_party": draft.cause_party, "cause_stated_by": draft.cause_stated_by}
    keys = {key for key in named.values() if key is not None}
    known = set((await tx.execute(select(parties.c.key).where(parties.c.key.in_(keys)))).scalars()) if keys else set()
    faults += [
        Fault(field, f"We do not know “{key}”.") for field, key in named.items() if key is not None and key not in known
    ]
    spoken_to = {one.segment for text in draft.texts.values() for one in text.advice_for}
    faults += [
        Fault("texts", f"We do not know the segment “{key[:60]}”.") for key in await unknown_segments(tx, spoken_to)
    ]
    if draft.corrects is not None:
        faults += await _uncorrectable(tx, incident_id, draft.corrects)
    return faults


async def _uncorrectable(tx: Tx, incident_id: str, update_id: str) -> list[Fault]:
    query = select(updates.c.state).where(updates.c.id == update_id, updates.c.incident_id == incident_id)
    if (await tx.execute(query)).scalar_one_or_none() != "published":
        return [Fault("corrects", "Name a published update of this incident by its id.")]
    if (by := (await find_update(tx, update_id)).corrected_by) is not None:
        return [Fault("corrects", f"This update is withdrawn already. Correct what withdrew it instead: {by}.")]
    return []


async def _clear_approvals(tx: Tx, update_id: str) -> None:
    await tx.execute(delete(update_approvals).where(update_approvals.c.update_id == update_id))
