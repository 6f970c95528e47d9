"""What came back: contacts, their cases and what was asked in them. The report's figures from the facts of claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from babel.numbers import get_currency_precision
from sqlalchemy import Double, and_, case, cast, func, or_, select

from foundation.database import Tx
from metrics.facts import case_facts, claim_facts, contact_facts, pair_facts, payment_facts

# Minutes that are counted together: five, and more only where a storm lasted so long that nobody could read it.
_STEPS = (5, 60, 1440)
_BARS = 300


@dataclass(frozen=True, slots=True)
class Contacts:
    """Every contact about an incident: `placed` are in a case, after so many seconds (`median`, `p95`).

    `answered` by a person in time or `late`; `overdue` and not answered yet; the rest may still wait.
    """

    total: int
    placed: int
    median: float | None
    p95: float | None
    answered: int
    late: int
    overdue: int
    first: float | None
    last: float | None

    @property
    def unplaced(self) -> int:
        """How many nobody has found the case of."""
        return self.total - self.placed


@dataclass(frozen=True, slots=True)
class Cases:
    """The live cases of an incident. `undone`: joins taken apart again; `grey`: pairs that wait for a person."""

    total: int
    open: int
    merged: int
    undone: int
    grey: int


@dataclass(frozen=True, slots=True)
class Bar:
    """`contacts` came from `minute` after we knew, until the next bar's."""

    minute: int
    contacts: int


@dataclass(frozen=True, slots=True)
class Asked:
    """So many asked for `kind`; `result`: what was decided, or the state it is in."""

    kind: str
    result: str
    claims: int


@dataclass(frozen=True, slots=True)
class ClaimClocks:
    """Claims in all, decided in time or `late`, still open and `overdue`; how many decisions were appealed."""

    total: int
    late: int
    overdue: int
    appeals: int


@dataclass(frozen=True, slots=True)
class Compensated:
    """In one currency: how many entitlements were worked out, and how many paid; amounts in its units."""

    currency: str
    computed: int
    entitled: float
    payments: int
    paid: float


async def contacts(tx: Tx, incident: str, *, aware_at: datetime, now: datetime) -> Contacts:
    """What came in, and how soon it had a case and an answer."""
    c = contact_facts.c
    took = cast(func.extract("epoch", c.resolved_at - c.received_at), Double)
    since = cast(func.extract("epoch", c.received_at - aware_at), Double)
    query = select(
        func.count().label("total"),
        func.count().filter(c.state == "resolved").label("placed"),
        func.percentile_cont(0.5).within_group(took).label("median"),
        func.percentile_cont(0.95).within_group(took).label("p95"),
        func.count().filter(c.answered_at.is_not(None)).label("answered"),
        func.count().filter(c.answered_at > c.answer_by).label("late"),
        func.count().filter(c.answered_at.is_(None) & (c.answer_by < now)).label("overdue"),
        func.min(since).label("first"),
        func.max(since).label("last"),
    ).where(c.incident_id == incident)
    return Contacts(**(await tx.execute(query)).one()._mapping)


async def contacts_by_channel(tx: Tx, incident: str) -> list[tuple[str, int]]:
    """How many came each way, the most first."""
    c = contact_facts.c
    query = select(c.channel, func.count()).where(c.incident_id == incident).group_by(c.channel)
    return [(row[0], row[1]) for row in await tx.execute(query.order_by(func.count().desc(), c.channel))]


async def storm(tx: Tx, incident: str, *, aware_at: datetime, span: float) -> tuple[int, list[Bar]]:
    """Contacts by time since we knew: the minutes of a bar, and the bars that are not empty. `span`: in seconds."""
    step = next((one for one in _STEPS if span / 60 / one <= _BARS), _STEPS[-1])
    c = contact_facts.c
    minutes = cast(func.extract("epoch", c.received_at - aware_at), Double) / 60
    bar = (func.floor(minutes / step) * step).label("minute")
    query = select(bar, func.count()).where(c.incident_id == incident).group_by(bar).order_by(bar)
    return step, [Bar(int(minute), count) for minute, count in await tx.execute(query)]


async def cases(tx: Tx, incident: str) -> Cases:
    """The incident's cases, and how sure we were of who is whom."""
    c, p = case_facts.c, pair_facts.c
    query = select(
        func.count().label("total"),
        func.count().filter(c.state == "open").label("open"),
        func.coalesce(func.sum(c.cases_merged_in), 0).label("merged"),
        func.coalesce(func.sum(c.joins_undone), 0).label("undone"),
    ).where(c.incident_id == incident)
    row = (await tx.execute(query)).one()
    grey = await tx.scalar(select(func.count()).select_from(pair_facts).where(p.incident_id == incident))
    return Cases(row.total, row.open, int(row.merged), int(row.undone), grey or 0)


async def contacts_per_case(tx: Tx, incident: str) -> list[tuple[int, int]]:
    """(contacts in a case, cases that have so many), the fewest first."""
    c = case_facts.c
    query = select(c.contacts, func.count()).where(c.incident_id == incident).group_by(c.contacts)
    return [(row[0], row[1]) for row in await tx.execute(query.order_by(c.contacts))]


async def asked(tx: Tx, incident: str) -> list[Asked]:
    """What was asked for and what came of it, the most first."""
    c = claim_facts.c
    result = func.coalesce(c.outcome, c.state)
    query = select(c.kind, result, func.count()).where(c.incident_id == incident).group_by(c.kind, result)
    return [Asked(*row) for row in await tx.execute(query.order_by(func.count().desc(), c.kind, result))]


async def claim_clocks(tx: Tx, incident: str, *, now: datetime) -> ClaimClocks:
    """How claims stand against the time there is to decide them."""
    c = claim_facts.c
    late = or_(c.ended_at > c.decide_by, and_(c.ended_at.is_(None), c.decided_at > c.decide_by))
    query = select(
        func.count().label("total"),
        func.count().filter(late).label("late"),
        func.count().filter(c.state == "open", c.decide_by < now).label("overdue"),
        func.coalesce(func.sum(c.appeals), 0).label("appeals"),
    ).where(c.incident_id == incident)
    row = (await tx.execute(query)).one()
    return ClaimClocks(row.total, row.late, row.overdue, int(row.appeals))


async def compensated(tx: Tx, incident: str) -> list[Compensated]:
    """What people are entitled to and what of it was paid; what was made void counts as nothing."""
    p = payment_facts.c
    query = select(
        p.currency,
        func.count().filter(p.entitled_minor > 0),
        func.sum(p.entitled_minor),
        func.count().filter(p.paid_minor > 0),
        func.sum(p.paid_minor),
    )
    found = []
    for currency, computed, entitled, payments, paid in await tx.execute(
        query.where(p.incident_id == incident).group_by(p.currency).order_by(p.currency)
    ):
        unit = 10 ** get_currency_precision(currency)
        found.append(Compensated(currency, computed, float(entitled) / unit, payments, float(paid) / unit))
    return found


async def contacts_of_each(tx: Tx, incidents: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Incident → contacts, those of them in a case, live cases."""
    c, k = contact_facts.c, case_facts.c
    placed = func.count(case((c.state == "resolved", 1)))
    came: dict[str, tuple[int, int]] = {
        row[0]: (row[1], row[2])
        for row in await tx.execute(
            select(c.incident_id, func.count(), placed).where(c.incident_id.in_(incidents)).group_by(c.incident_id)
        )
    }
    query: Any = select(k.incident_id, func.count()).where(k.incident_id.in_(incidents)).group_by(k.incident_id)
    live: dict[str, int] = {row[0]: row[1] for row in await tx.execute(query)}
    return {one: (*came.get(one, (0, 0)), live.get(one, 0)) for one in incidents}
