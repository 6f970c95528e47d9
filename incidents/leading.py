"""Leading an incident: who commands and who writes, and opening again what was never over. Use cases; none commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid
from incidents.journal import note
from incidents.records import find_incident
from incidents.tables import incident_roles, incidents
from incidents.wording import prose_faults

Role = Literal["commander", "writer"]
ROLES: tuple[Role, ...] = ("commander", "writer")
LONGEST_REASON = 500


class Staff(Protocol):
    """Who works here. `app` knows."""

    async def works_here(self, tx: Tx, name: str) -> bool:
        """Whether somebody signs in as `name`, and still may."""
        ...


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a role. `holder`: the name they sign in with."""

    role: Role
    holder: str
    assigned_by: str
    assigned_at: datetime


async def assign(
    tx: Tx, actor: Actor, incident_id: str, role: Role, *, holder: str | None, staff: Staff, now: datetime
) -> Mapping[str, Holder]:
    """Give a role to somebody, instead of whoever has it; None: to nobody. Answers who has which role then.

    Raises Invalid when nobody of that name works here.
    """
    incident = await find_incident(tx, incident_id, lock=True)
    if holder is not None and not await staff.works_here(tx, holder):
        fault = Fault("holder", "Nobody signs in by this name. Add an account first.")
        raise Invalid("This role cannot be given.", [fault], code="no_such_colleague")
    before = await roles_of(tx, incident.id)
    if (before[role].holder if role in before else None) == holder:
        return before
    if holder is None:
        mine = (incident_roles.c.incident_id == incident.id) & (incident_roles.c.role == role)
        await tx.execute(delete(incident_roles).where(mine))
    else:
        given = {"holder": holder, "assigned_by": str(actor), "assigned_at": now}
        row = upsert(incident_roles).values(incident_id=incident.id, role=role, **given)
        await tx.execute(row.on_conflict_do_update(index_elements=["incident_id", "role"], set_=given))
    was = before[role].holder if role in before else None
    await note(tx, incident.id, actor, "role_given", {"role": role, "holder": holder, "before": was}, now=now)
    return await roles_of(tx, incident.id)


async def roles_of(tx: Tx, incident_id: str) -> dict[str, Holder]:
    """Who has which role in an incident, by role."""
    c = incident_roles.c
    query = select(c.role, c.holder, c.assigned_by, c.assigned_at).where(c.incident_id == incident_id)
    return {row.role: Holder(**row._mapping) for row in await tx.execute(query.order_by(c.role))}


async def reopen(tx: Tx, actor: Actor, incident_id: str, *, reason: str, now: datetime) -> None:
    """Say that an incident was never over: from now on an update may open it again, and doing so tells people.

    Nothing the public sees changes before that. Raises Conflict when it is not over, Invalid without a reason.
    """
    incident = await find_incident(tx, incident_id, lock=True)
    if incident.phase not in ("resolved", "postmortem"):
        raise Conflict("Only what was resolved can be opened again.", code="not_resolved")
    if faults := list(prose_faults("reason", reason, LONGEST_REASON)):
        raise Invalid("Say why this is opened again.", faults)
    if incident.reopening:
        return
    await tx.execute(update(incidents).where(incidents.c.id == incident.id).values(reopening=True, updated_at=now))
    await note(tx, incident.id, actor, "reopening", {"reason": reason.strip()}, now=now)
