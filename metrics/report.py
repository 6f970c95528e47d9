"""The report of an incident: what happened, who was told when, what came back, and what went wrong, as numbers.

All of it from the facts views, in one snapshot, so that its figures agree. It draws nothing and words nothing: that is
`report_page`'s and the template's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from foundation.database import Tx
from foundation.errors import NotFound
from metrics import report_people, report_storm
from metrics.facts import cost_facts, incident_facts, promise_facts, update_facts
from metrics.report_people import Outcome, People, Point
from metrics.report_storm import Asked, Bar, Cases, ClaimClocks, Compensated, Contacts

# As many incidents as a table can show side by side.
COMPARED = 12
_MILLIONTHS = 1_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """An incident as it is known."""

    incident_id: str
    titles: dict[str, str]
    phase: str
    impact: str
    severity: int | None
    started_at: datetime
    aware_at: datetime
    resolved_at: datetime | None
    exercise: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A published update. `after`: seconds since we knew; `corrects`: the number of the update it takes back."""

    number: int
    titles: dict[str, str]
    phase: str
    certainty: str
    party: str | None
    published_at: datetime
    after: float
    corrects: int | None
    bypassed: bool


@dataclass(frozen=True, slots=True)
class Promised:
    """The time of a next update, promised in update `number`. `late`: seconds it came after that; None: not yet."""

    number: int
    due_at: datetime
    followed_at: datetime | None
    state: str

    @property
    def late(self) -> float | None:
        if self.followed_at is None:
            return None
        return max((self.followed_at - self.due_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What texts cost, in units of `currency`."""

    currency: str
    spent: float
    segments: int


@dataclass(frozen=True, slots=True)
class Beside:
    """An incident in the comparison over time."""

    incident_id: str
    titles: dict[str, str]
    aware_at: datetime
    people: People
    kept: int
    promised: int
    contacts: int
    placed: int
    cases: int
    costs: list[Cost]

    @property
    def contacts_per_thousand(self) -> float | None:
        return 1000 * self.contacts / self.people.people if self.people.people else None

    @property
    def collapse(self) -> float | None:
        """Contacts per case, of those that have one."""
        return self.placed / self.cases if self.cases else None

    def each(self, cost: Cost) -> float | None:
        """What telling one person cost."""
        return cost.spent / self.people.told if self.people.told else None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the report says. `written_at`: when its figures were true."""

    written_at: datetime
    incident: Told
    updates: list[Said]
    promises: list[Promised]
    people: People
    curve: list[Point]
    outcomes: list[Outcome]
    contacts: Contacts
    channels: list[tuple[str, int]]
    bar_minutes: int
    bars: list[Bar]
    cases: Cases
    per_case: list[tuple[int, int]]
    asked: list[Asked]
    claims: ClaimClocks
    compensated: list[Compensated]
    costs: list[Cost]
    others: list[Beside]

    @property
    def first_said(self) -> float | None:
        """Seconds from when we knew until the first update was published."""
        return self.updates[0].after if self.updates else None

    def deliveries(self, *states: str) -> int:
        """How many messages ended so."""
        return sum(one.deliveries for one in self.outcomes if not states or one.state in states)

    def promised(self, state: str) -> int:
        """How many promises are kept, missed or standing."""
        return sum(one.state == state for one in self.promises)


async def incident_report(tx: Tx, incident: str, *, now: datetime, limit: timedelta) -> Report:
    """The report on `incident`, as things stand at `now`. `limit`: within what people must hear, unless it says.

    `tx` should be a snapshot. Raises `NotFound`.
    """
    i = incident_facts.c
    told = await _told(tx, i.incident_id == incident, i.kind == "incident", i.state == "declared")
    if not told:
        raise NotFound(f"There is no declared incident {incident[:40]!r}.", code="no_such_incident")
    known = told[0]
    seconds = limit.total_seconds()
    updates = await _said(tx, known)
    people = (await report_people.people_of(tx, [incident], limit=seconds))[incident]
    came = await report_storm.contacts(tx, incident, aware_at=known.aware_at, now=now)
    minutes, bars = await report_storm.storm(tx, incident, aware_at=known.aware_at, span=came.last or 0.0)
    return Report(
        written_at=now,
        incident=known,
        updates=updates,
        promises=await _promised(tx, incident),
        people=people,
        curve=await report_people.reach_curve(tx, incident, last=people.latest or 0.0),
        outcomes=await report_people.outcomes(tx, incident),
        contacts=came,
        channels=await report_storm.contacts_by_channel(tx, incident),
        bar_minutes=minutes,
        bars=bars,
        cases=await report_storm.cases(tx, incident),
        per_case=await report_storm.contacts_per_case(tx, incident),
        asked=await report_storm.asked(tx, incident),
        claims=await report_storm.claim_clocks(tx, incident, now=now),
        compensated=await report_storm.compensated(tx, incident),
        costs=(await _costs(tx, [incident])).get(incident, []),
        others=await comparison(tx, known, limit=seconds),
    )


async def comparison(tx: Tx, incident: Told, *, limit: float) -> list[Beside]:
    """The incidents up to this one, the newest first; planned work, drafts and drills are none."""
    i, p = incident_facts.c, promise_facts.c
    real = (i.exercise == "no", i.kind == "incident", i.state == "declared", i.aware_at <= incident.aware_at)
    told = await _told(tx, *real, order=i.aware_at.desc(), most=COMPARED)
    ids = [one.incident_id for one in told]
    people = await report_people.people_of(tx, ids, limit=limit)
    came = await report_storm.contacts_of_each(tx, ids)
    settled = select(p.incident_id, func.count().filter(p.state == "kept"), func.count())
    query = settled.where(p.incident_id.in_(ids), p.state != "standing").group_by(p.incident_id)
    promises = {row[0]: (row[1], row[2]) for row in await tx.execute(query)}
    costs = await _costs(tx, ids)
    return [
        Beside(
            one.incident_id,
            one.titles,
            one.aware_at,
            people[one.incident_id],
            *promises.get(one.incident_id, (0, 0)),
            *came[one.incident_id],
            costs.get(one.incident_id, []),
        )
        for one in told
    ]


async def incidents_to_report(tx: Tx, *, most: int = 100) -> list[Told]:
    """What there can be a report on, the newest first: incidents and drills, not planned work."""
    i = incident_facts.c
    return await _told(tx, i.kind == "incident", i.state == "declared", order=i.aware_at.desc(), most=most)


async def _told(
    tx: Tx, *which: ColumnElement[bool], order: ColumnElement[datetime] | None = None, most: int = 1
) -> list[Told]:
    i = incident_facts.c
    query = select(incident_facts).where(*which).order_by(order if order is not None else i.aware_at, i.incident_id)
    return [
        Told(
            incident_id=row.incident_id,
            titles=_titles(row.title, row.title_nl),
            phase=row.phase,
            impact=row.impact,
            severity=row.severity,
            started_at=row.started_at,
            aware_at=row.aware_at,
            resolved_at=row.resolved_at,
            exercise=row.exercise == "yes",
        )
        for row in await tx.execute(query.limit(most))
    ]


async def _said(tx: Tx, incident: Told) -> list[Said]:
    u = update_facts.c
    query = select(update_facts).where(u.incident_id == incident.incident_id).order_by(u.number)
    rows = (await tx.execute(query)).all()
    numbers = {row.update_id: row.number for row in rows}
    return [
        Said(
            number=row.number,
            titles=_titles(row.title, row.title_nl),
            phase=row.phase,
            certainty=row.cause_certainty,
            party=row.cause_party_key,
            published_at=row.published_at,
            after=(row.published_at - incident.aware_at).total_seconds(),
            corrects=numbers.get(row.corrects_id),
            bypassed=row.bypassed == "yes",
        )
        for row in rows
    ]


async def _promised(tx: Tx, incident: str) -> list[Promised]:
    p, u = promise_facts.c, update_facts.c
    query = (
        select(u.number, p.due_at, p.followed_at, p.state)
        .join_from(promise_facts, update_facts, u.update_id == p.update_id)
        .where(p.incident_id == incident)
        .order_by(p.due_at, u.number)
    )
    return [Promised(*row) for row in await tx.execute(query)]


async def _costs(tx: Tx, incidents: Sequence[str]) -> dict[str, list[Cost]]:
    k = cost_facts.c
    query = select(cost_facts).where(k.incident_id.in_(incidents), k.segments > 0).order_by(k.currency)
    found: dict[str, list[Cost]] = {}
    for row in await tx.execute(query):
        cost = Cost(row.currency, row.spent_millionths / _MILLIONTHS, row.segments)
        found.setdefault(row.incident_id, []).append(cost)
    return found


def _titles(english: str | None, dutch: str | None) -> dict[str, str]:
    return {language: title for language, title in (("en", english), ("nl", dutch)) if title}
