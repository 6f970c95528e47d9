"""Answers what `claims` asks about incidents (`claims.OutageLookup`), from what `incidents` knows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select

import incidents
from claims import Outage
from foundation.clock import Clock
from foundation.database import Tx


@dataclass(frozen=True, slots=True)
class Outages:
    """A `claims.OutageLookup`."""

    clock: Clock

    async def open_outages(self, tx: Tx) -> Sequence[Outage]:
        """Every incident that is not resolved, the newest first."""
        return [_outage(one) for one in await incidents.open_incidents(tx)]

    async def outages(self, tx: Tx, ids: Collection[str]) -> Mapping[str, Outage]:
        """The incidents among `ids` that exist, resolved or not."""
        if not ids:
            return {}
        found = await incidents.find_incidents(tx, ids)
        return {incident_id: _outage(one) for incident_id, one in found.items()}

    async def affected(self, tx: Tx, incident_id: str, customer_ids: Collection[int]) -> set[int]:
        """Those of `customer_ids` who are in the incident's audience."""
        if not customer_ids:
            return set()
        audience = incidents.audience_of(incident_id, self.clock()).subquery()
        asked = bindparam("asked", list(customer_ids), ARRAY(BigInteger))
        rows = await tx.execute(select(audience.c.customer_id).where(audience.c.customer_id == any_(asked)))
        return {row[0] for row in rows}

    async def next_update_at(self, tx: Tx, incident_id: str) -> datetime | None:
        """By when the next update was promised in the newest one published."""
        return await incidents.standing_promise(tx, incident_id)


def _outage(incident: incidents.Incident) -> Outage:
    return Outage(incident.id, incident.title, incident.phase)
