"""Answers what claims asks about outages, with the functions of incidents. The two packages never meet but here."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from claims import Outage
from foundation.clock import Clock
from foundation.database import Tx
from incidents import (
    Incident,
    audience_of,
    find_incidents,
    open_incidents,
    public_incidents,
    resolved_incidents,
    standing_promise,
)

# Claims come in for weeks after an outage. More than a few past ones would only be a list to get lost in.
STILL_WRITTEN_ABOUT = timedelta(days=30)
MOST_PAST = 5


class Outages:
    """`claims.OutageLookup`, met by incidents."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def open_outages(self, tx: Tx) -> Sequence[Outage]:
        return [_outage(incident) for incident in await open_incidents(tx)]

    async def past_outages(self, tx: Tx) -> Sequence[Outage]:
        since = self._clock() - STILL_WRITTEN_ABOUT
        return [_outage(incident) for incident in await resolved_incidents(tx, since=since, limit=MOST_PAST)]

    async def outages(self, tx: Tx, ids: Collection[str]) -> Mapping[str, Outage]:
        # Nobody claims anything about a drill, a draft or planned work, whoever names it.
        return {key: _outage(one) for key, one in (await find_incidents(tx, ids)).items() if one.real}

    async def public(self, tx: Tx, ids: Collection[str]) -> set[str]:
        return await public_incidents(tx, ids)

    async def affected(self, tx: Tx, incident_id: str, customer_ids: Collection[int]) -> set[int]:
        people = audience_of(incident_id, self._clock()).subquery("people")
        found = select(people.c.customer_id).where(people.c.customer_id.in_(customer_ids))
        return set((await tx.execute(found)).scalars())

    async def next_update_at(self, tx: Tx, incident_id: str) -> datetime | None:
        return await standing_promise(tx, incident_id)


def _outage(incident: Incident) -> Outage:
    return Outage(incident.id, incident.title, incident.phase, incident.started_at)


async def public_titles(tx: Tx, ids: Collection[str]) -> Mapping[str, Mapping[str, str]]:
    """`notify.following.PublicTitles`, met by incidents: those of `ids` the public knows of, with their titles."""
    found = await find_incidents(tx, await public_incidents(tx, ids))
    return {key: incident.title for key, incident in found.items()}
