"""What parties confirm: that the cause lies in a component of theirs, or that it works again, and on what evidence.

A confirmation is kept as it was given and never changed; whoever was wrong confirms something else later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import insert, select

from foundation.actors import Actor
from foundation.database import Tx
from foundation.errors import Fault, Invalid
from incidents.records import find_incident
from incidents.tables import components, parties, party_confirmations
from incidents.wording import prose_faults

What = Literal["cause", "restoration"]
LONGEST_EVIDENCE = 2000


@dataclass(frozen=True, slots=True)
class Confirmed:
    """That a party confirms something: `confirmed_at` is when it did, `noted_at` when we wrote it down.

    `party` and `component` are keys, with the names as they are now.
    """

    party: str
    party_name: str
    component: str
    component_name: str
    what: What
    confirmed_at: datetime
    evidence: str
    noted_by: str
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is to be noted."""

    party: str
    component: str
    what: What
    confirmed_at: datetime
    evidence: str


async def note_confirmation(
    tx: Tx, actor: Actor, incident_id: str, said: Confirmation, *, now: datetime
) -> Sequence[Confirmed]:
    """Keep what a party confirmed; answers all that was. Raises Invalid with every fault."""
    incident = await find_incident(tx, incident_id)
    faults = list(prose_faults("evidence", said.evidence, LONGEST_EVIDENCE))
    if said.what not in get_args(What):
        faults.append(Fault("what", "A party confirms the cause or the restoration."))
    if said.confirmed_at > now:
        faults.append(Fault("confirmed_at", "Nobody can have confirmed it in the future."))
    if (await tx.execute(select(parties.c.key).where(parties.c.key == said.party))).first() is None:
        faults.append(Fault("party", f"We do not know “{said.party[:100]}”."))
    if (await tx.execute(select(components.c.key).where(components.c.key == said.component))).first() is None:
        faults.append(Fault("component", f"We do not know “{said.component[:100]}”."))
    if faults:
        raise Invalid("This confirmation cannot be kept.", faults)
    await tx.execute(
        insert(party_confirmations).values(
            incident_id=incident.id,
            party_key=said.party,
            component_key=said.component,
            what=said.what,
            confirmed_at=said.confirmed_at,
            evidence=said.evidence.strip(),
            noted_by=str(actor),
            noted_at=now,
        )
    )
    return await confirmations_of(tx, incident.id)


async def confirmations_of(tx: Tx, incident_id: str) -> list[Confirmed]:
    """Everything parties confirmed about an incident, in the order in which they did."""
    c = party_confirmations.c
    rows = await tx.execute(
        select(
            c.party_key.label("party"),
            parties.c.name.label("party_name"),
            c.component_key.label("component"),
            components.c.name.label("component_name"),
            c.what,
            c.confirmed_at,
            c.evidence,
            c.noted_by,
            c.noted_at,
        )
        .join(parties, parties.c.key == c.party_key)
        .join(components, components.c.key == c.component_key)
        .where(c.incident_id == incident_id)
        .order_by(c.confirmed_at, c.id)
    )
    return [Confirmed(**row._mapping) for row in rows]
