"""What a published update does to its incident: its components, phase, impact and promises. One transaction with it.

Shared by what people publish and what planned work says by itself. It sends nothing and writes no text.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import update

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Conflict
from incidents.component_status import restate_components
from incidents.impact import restate_impact
from incidents.journal import note
from incidents.lifecycle import OVER, needs_reopening
from incidents.promises import settle_and_promise
from incidents.records import Incident, Update
from incidents.tables import incidents


def check_declared(incident: Incident) -> None:
    """Raise Conflict while nobody has declared what an alert opened: nothing may be said of it."""
    if incident.state != "declared":
        raise Conflict("This incident is a draft. Declare it first.", code="not_declared")


async def restate(tx: Tx, incident: Incident, said: Update, *, now: datetime) -> None:
    """Give the components what the update states. Before it is numbered: it reads what was said until then."""
    await restate_components(tx, incident.id, said.id, said.component_status, now=now, exercise=incident.exercise)


async def move(tx: Tx, actor: Actor, incident: Incident, said: Update, *, now: datetime) -> None:
    """Take the incident where its update, which has just been published, says. `incident`: as it was, locked."""
    values: dict[str, Any] = {"phase": said.phase, "updated_at": now}
    if said.impact is not None:
        values |= {"impact": said.impact, "impact_set": said.impact}
    if said.phase == "monitoring" and incident.monitoring_at is None:
        values["monitoring_at"] = now
    if said.phase == "in_progress" and incident.phase == "scheduled":
        values["started_at"] = now
    if said.phase in OVER:
        values["resolved_at"] = incident.resolved_at or now
    if incident.phase == "postmortem" and said.phase == "resolved":
        values["phase"] = "postmortem"  # one more word afterwards does not take back what we found out
    if needs_reopening(incident.phase, said.phase):
        values |= {"reopening": False, "resolved_at": None}
        await note(tx, incident.id, actor, "reopened", {"update": said.id}, now=now)
    await tx.execute(update(incidents).where(incidents.c.id == incident.id).values(**values))
    await restate_impact(tx, incident.id, over=said.phase in OVER)
    await settle_and_promise(tx, said.id, at=now)
