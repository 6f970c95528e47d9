"""Who heard of incidents, when first, and what became of each message: the report's figures from the deliveries.

One pass over the deliveries a figure, whatever their number. People are customers: nobody owes subscribers or
colleagues a notice. A message that was accepted and bounced later is no notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, Double, String, case, cast, func, literal, literal_column, select, union_all

from foundation.database import Tx
from metrics.facts import delivery_facts, incident_facts

ANY = "any"
_ENDLESS = literal_column("CAST('Infinity' AS double precision)", Double)
# Seconds between two points of a curve: the first that needs no more than so many points.
_STEPS = (1, 2, 5, 15, 60, 300, 900, 3600, 21_600, 86_400)
_POINTS = 150


@dataclass(frozen=True, slots=True)
class People:
    """How the people that an incident's updates were for heard of it. Times are seconds since we knew.

    Each of `people` is in one of the four after it. `told`: a message was accepted for them; `waiting`: none yet, but
    one is on its way; `unreachable`: there is no address that may be used; `failed`: what was tried did not arrive.
    `median`, `p95`, `last`: by when half, 95 % and all of those told or waiting had heard; None while too many wait.
    `latest`: when the last of the told heard.
    `in_time`: how many of the told heard within `limit`.
    """

    incident_id: str
    people: int
    told: int
    waiting: int
    unreachable: int
    failed: int
    first: float | None
    median: float | None
    p95: float | None
    last: float | None
    latest: float | None
    limit: float
    in_time: int

    @property
    def share_in_time(self) -> float | None:
        """Of all it was for, the share that heard within the limit."""
        return self.in_time / self.people if self.people else None

    @property
    def late(self) -> int:
        """How many heard, but later than the limit."""
        return self.told - self.in_time


@dataclass(frozen=True, slots=True)
class Point:
    """`people` had been told over `channel` (`any`: over whichever was first) within `seconds` since we knew."""

    channel: str
    seconds: float
    people: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """So many messages of `channel` stand in `state`, for `reason`; `doubtful` may have left twice."""

    channel: str
    state: str
    reason: str
    deliveries: int
    doubtful: int


async def people_of(tx: Tx, incidents: Sequence[str], *, limit: float) -> dict[str, People]:
    """How people heard of each of `incidents`. `limit`: seconds they had, where the incident says nothing else."""
    person = _persons(incidents)
    heard = person.c.told.is_not(None) | person.c.waits
    at = func.coalesce(person.c.told, _ENDLESS)
    known = incident_facts.c
    allowed = func.coalesce(cast(known.notice_limit_seconds, Double), cast(literal(limit), Double))

    def by(share: float) -> ColumnElement[Any]:
        return func.nullif(func.percentile_disc(share).within_group(at).filter(heard), _ENDLESS)

    untold = person.c.told.is_(None) & ~person.c.waits
    query = (
        select(
            known.incident_id,
            func.count(person.c.customer_number).label("people"),
            func.count(person.c.told).label("told"),
            func.count().filter(person.c.told.is_(None) & person.c.waits).label("waiting"),
            func.count().filter(untold & person.c.unreachable).label("unreachable"),
            func.count().filter(untold & ~person.c.unreachable).label("failed"),
            func.min(person.c.told).label("first"),
            by(0.5).label("median"),
            by(0.95).label("p95"),
            by(1.0).label("last"),
            func.max(person.c.told).label("latest"),
            allowed.label("limit"),
            func.count().filter(person.c.told <= allowed).label("in_time"),
        )
        .select_from(incident_facts.outerjoin(person, person.c.incident_id == known.incident_id))
        .where(known.incident_id.in_(incidents))
        .group_by(known.incident_id, known.notice_limit_seconds)
    )
    return {row.incident_id: People(**row._mapping) for row in await tx.execute(query)}


async def reach_curve(tx: Tx, incident: str, *, last: float) -> list[Point]:
    """How many had been told by when, over each channel and over any; `last`: seconds until the last of them was."""
    step = next((one for one in _STEPS if last / one <= _POINTS), _STEPS[-1])
    first = _persons([incident], "channel")
    told = select(first.c.channel, first.c.customer_number, first.c.told).where(first.c.told.is_not(None)).cte("told")
    whichever = select(literal(ANY, String).label("channel"), func.min(told.c.told).label("told"))
    firsts = union_all(select(told.c.channel, told.c.told), whichever.group_by(told.c.customer_number)).subquery()
    by = (func.ceil(firsts.c.told / step) * step).label("seconds")
    rows = await tx.execute(select(firsts.c.channel, by, func.count()).group_by(firsts.c.channel, by).order_by(by))
    sums: dict[str, int] = {}
    points = []
    for channel, seconds, count in rows:
        sums[channel] = sums.get(channel, 0) + count
        points.append(Point(channel, float(seconds), sums[channel]))
    return points


async def outcomes(tx: Tx, incident: str) -> list[Outcome]:
    """What became of every message about the incident, the most first. Colleagues' are left out."""
    d = delivery_facts.c
    reason = func.coalesce(d.reason, "")
    query = (
        select(
            d.channel,
            d.state,
            reason,
            func.count().label("deliveries"),
            func.count().filter(d.doubtful_attempts > 0).label("doubtful"),
        )
        .where(d.incident_id == incident, d.recipient_kind != "staff")
        .group_by(d.channel, d.state, reason)
        .order_by(func.count().desc(), d.channel, d.state, reason)
    )
    return [Outcome(*row) for row in await tx.execute(query)]


def _persons(incidents: Sequence[str], *besides: str) -> CTE:
    """One row for each customer an incident's updates were for: `told`, seconds since we knew, or null."""
    d, known = delivery_facts.c, incident_facts.c
    accepted = case((d.state.in_(("accepted", "delivered")), d.final_at))
    keys = [d.incident_id, d.customer_number, *(d[name] for name in besides)]
    return (
        select(
            *keys,
            cast(func.extract("epoch", func.min(accepted) - known.aware_at), Double).label("told"),
            func.bool_or(d.final_at.is_(None)).label("waits"),
            func.bool_and(d.state == "suppressed").label("unreachable"),
        )
        .select_from(delivery_facts.join(incident_facts, known.incident_id == d.incident_id))
        .where(d.incident_id.in_(incidents), d.recipient_kind == "customer")
        .group_by(*keys, known.aware_at)
        .cte("person")
    )
