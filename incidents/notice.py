"""The regulatory clock: from when we knew to when people had heard, against the time that the law or we allow."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import notify
from foundation.database import Tx
from incidents.audience import topic_of
from incidents.records import find_incident

# 14 CFR 259.8: within thirty minutes of becoming aware.
USUAL_LIMIT = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class NoticeClock:
    """How long the first word took. `due_at`: when everybody should have heard; times after `aware_at` are None until
    so many have. `met`: whether the last person heard in time, None while it may still turn out so."""

    incident_id: str
    aware_at: datetime
    limit: timedelta
    due_at: datetime
    heard: notify.FirstNotice
    first_after: timedelta | None
    median_after: timedelta | None
    p95_after: timedelta | None
    last_after: timedelta | None
    met: bool | None


async def notice_clock(tx: Tx, incident_id: str, *, now: datetime, usual: timedelta = USUAL_LIMIT) -> NoticeClock:
    """How the clock of an incident stands at `now`; `usual`: the limit where the incident has none of its own."""
    incident = await find_incident(tx, incident_id)
    limit = incident.notice_limit or usual
    due_at = incident.aware_at + limit
    heard = await notify.first_notice(tx, topic_of(incident.id), by=due_at)

    def after(at: datetime | None) -> timedelta | None:
        return None if at is None else at - incident.aware_at

    return NoticeClock(
        incident_id=incident.id,
        aware_at=incident.aware_at,
        limit=limit,
        due_at=due_at,
        heard=heard,
        first_after=after(heard.first_at),
        median_after=after(heard.median_at),
        p95_after=after(heard.p95_at),
        last_after=after(heard.last_at),
        met=_met(heard, due_at, now),
    )


def _met(heard: notify.FirstNotice, due_at: datetime, now: datetime) -> bool | None:
    if heard.last_at is not None:
        return heard.last_at <= due_at
    return False if now > due_at else None
