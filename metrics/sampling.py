"""What the database knows at this moment, measured from the facts when somebody asks, with a short memory.

One statement over each view. Of all processes on one database one tells these figures and the others leave them out
(`metrics.turns`), so nothing is counted twice. What reads every row is counted more seldom the longer it takes
(`metrics.seldom`). Drills count in no clock. It knows no package's tables.
"""

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Double, cast, func, select

from foundation.clock import Monotonic
from foundation.database import Database, DatabaseAway, Tx
from metrics.facts import (
    case_facts,
    claim_facts,
    contact_facts,
    delivery_facts,
    incident_facts,
    pair_facts,
    promise_facts,
    queue_facts,
    update_facts,
)
from metrics.reasons import reason_class
from metrics.report_people import people_of
from metrics.seldom import Seldom
from metrics.turns import Turn

# Where neither the incident nor the installation says more (14 CFR 259.8).
USUAL_LIMIT = timedelta(minutes=30)
_HEARD = ("median", "p95", "last")
_REACHED = {"first": 0.0, "median": 0.5, "p95": 0.95, "last": 1.0}
# Contacts of the last so many minutes tell how long they wait for a case.
_LATELY = 15


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one instant; ages and waits in seconds. Keys are label values, as `metrics.exposition` names them.

    `told`: first, median, p95, last → seconds from the latest update's publication until so many had it.
    `notice_due`: until the first word about an incident is due of which none was said; negative when it is late.
    `hearing_due`: median, p95, last → until so many must have heard of an incident of which they have not, the soonest.
    `hearing_left`: the same → what was left of that time when they had, or is by now; the least of the last day.
    """

    deliveries: dict[tuple[str, str, str], int] = field(default_factory=dict)
    unsent: dict[tuple[str, str], int] = field(default_factory=dict)
    oldest_unsent_seconds: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    promises: dict[str, int] = field(default_factory=dict)
    promise_due: float | None = None
    notice_due: float | None = None
    hearing_due: dict[str, float] = field(default_factory=dict)
    hearing_left: dict[str, float] = field(default_factory=dict)
    open_incidents: int = 0
    contacts: dict[tuple[str, str], int] = field(default_factory=dict)
    to_case: dict[str, float] = field(default_factory=dict)
    unanswered_late: int = 0
    oldest_unanswered_seconds: float = 0.0
    cases: dict[str, int] = field(default_factory=dict)
    joins_undone: int = 0
    grey_pairs: int = 0
    claims: dict[str, int] = field(default_factory=dict)

    @property
    def live_cases(self) -> int:
        return sum(self.cases.values())

    @property
    def collapse_ratio(self) -> float | None:
        """Resolved contacts per live case; None while there is no case."""
        placed = sum(count for (_, state), count in self.contacts.items() if state == "resolved")
        return placed / self.live_cases if self.live_cases else None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a process saw. `seconds`: how long the database took to answer; None: it did not. `sample`: if it tells."""

    seconds: float | None
    sample: Sample | None


async def take_sample(tx: Tx, *, usual: timedelta = USUAL_LIMIT, seldom: Seldom | None = None) -> Sample:
    """Count now. `tx` should be a snapshot, so that the figures agree.

    `usual`: within what people must hear of an incident without a limit of its own; `seldom`: what was counted before.
    """
    known = seldom or Seldom()
    return Sample(
        deliveries=await known.figure("deliveries", lambda: _deliveries(tx)),
        told=await known.figure("told", lambda: _told(tx)),
        **await _waiting(tx),
        **await _promised(tx, usual, known),
        **await known.figure("contacts", lambda: _contacts(tx)),
        **await _late(tx),
        **await known.figure("cases", lambda: _cases(tx)),
    )


async def _deliveries(tx: Tx) -> dict[tuple[str, str, str], int]:
    d = delivery_facts.c
    counts = select(d.channel, d.state, d.reason, func.count()).group_by(d.channel, d.state, d.reason)
    deliveries: Counter[tuple[str, str, str]] = Counter()
    for channel, state, reason, count in await tx.execute(counts):
        deliveries[channel, state, reason_class(reason)] += count
    return dict(deliveries)


async def _waiting(tx: Tx) -> dict[str, Any]:
    q = queue_facts.c
    age = func.extract("epoch", func.now() - func.min(q.planned_at))
    waiting = select(q.channel, q.waits, func.sum(q.deliveries), age).group_by(q.channel, q.waits)
    unsent: dict[tuple[str, str], int] = {}
    oldest: dict[str, float] = {}
    for channel, waits, count, seconds in await tx.execute(waiting):
        unsent[channel, waits] = int(count)
        oldest[channel] = max(oldest.get(channel, 0.0), float(seconds))
    return {"unsent": unsent, "oldest_unsent_seconds": oldest}


async def _told(tx: Tx) -> dict[str, float]:
    """Of the latest update that people got, in the last day."""
    u, i, d = update_facts.c, incident_facts.c, delivery_facts.c
    latest = (
        select(u.incident_id, u.number)
        .join_from(update_facts, incident_facts, i.incident_id == u.incident_id)
        .where(i.exercise == "no", u.published_at > func.now() - func.make_interval(0, 0, 0, 1))
        .order_by(u.published_at.desc())
        .limit(1)
        .cte("latest")
    )
    took = cast(func.extract("epoch", d.final_at - d.planned_at), Double)
    query = (
        select(*(func.percentile_disc(one).within_group(took) for one in _REACHED.values()))
        .select_from(delivery_facts)
        .join(latest, (latest.c.incident_id == d.incident_id) & (latest.c.number == d.update_number))
        .where(d.state.in_(("accepted", "delivered")), d.recipient_kind == "customer", d.final_at.is_not(None))
    )
    row = (await tx.execute(query)).one()
    return {name: float(value) for name, value in zip(_REACHED, row, strict=True) if value is not None}


async def _promised(tx: Tx, usual: timedelta, seldom: Seldom) -> dict[str, Any]:
    p, i = promise_facts.c, incident_facts.c
    counts = select(p.state, func.count()).where(p.exercise == "no").group_by(p.state)
    due = func.extract("epoch", func.min(p.due_at) - func.now())
    waited_for = select(due).where(p.exercise == "no", p.followed_at.is_(None))
    limit = func.make_interval(0, 0, 0, 0, 0, 0, func.coalesce(i.notice_limit_seconds, usual.total_seconds()))
    real = (i.exercise == "no", i.kind == "incident", i.state == "declared", i.resolved_at.is_(None))
    unsaid = select(func.extract("epoch", func.min(i.aware_at + limit) - func.now())).where(
        *real, i.first_published_at.is_(None)
    )
    promise, notice = await tx.scalar(waited_for), await tx.scalar(unsaid)
    return {
        "promises": {state: count for state, count in await tx.execute(counts)},  # noqa: C416 (rows, not pairs)
        "promise_due": None if promise is None else float(promise),
        "notice_due": None if notice is None else float(notice),
        "open_incidents": await tx.scalar(select(func.count()).select_from(incident_facts).where(*real)) or 0,
        **await _hearing(tx, usual, seldom),
    }


async def _hearing(tx: Tx, usual: timedelta, seldom: Seldom) -> dict[str, Any]:
    """The clock of each incident that is open or of the last day: when half, 95 % and the last heard, and its limit."""
    i = incident_facts.c
    since = cast(func.extract("epoch", func.now() - i.aware_at), Double)
    lately = (i.resolved_at.is_(None)) | (i.aware_at > func.now() - func.make_interval(0, 0, 0, 1))
    real = (i.exercise == "no", i.kind == "incident", i.state == "declared", lately)
    clocks = {
        row[0]: (row[1], row[2])
        for row in await tx.execute(select(i.incident_id, since, i.first_published_at).where(*real))
    }
    heard = await seldom.figure(
        "heard", lambda: people_of(tx, list(clocks), limit=usual.total_seconds()), of=" ".join(sorted(clocks))
    )
    due: dict[str, float] = {}
    left: dict[str, float] = {}
    for incident, people in heard.items():
        passed, said = clocks[incident]
        for name in _HEARD:
            after = getattr(people, name)
            if after is None:
                if said is not None and not people.waiting:
                    continue  # nobody is there who could still hear
                due[name] = min(due.get(name, math.inf), people.limit - passed)
            left[name] = min(left.get(name, math.inf), people.limit - (passed if after is None else after))
    return {"hearing_due": due, "hearing_left": left}


async def _contacts(tx: Tx) -> dict[str, Any]:
    c = contact_facts.c
    counts = select(c.channel, c.state, func.count()).group_by(c.channel, c.state)
    took = cast(func.extract("epoch", c.resolved_at - c.received_at), Double)
    lately = c.received_at > func.now() - func.make_interval(0, 0, 0, 0, 0, _LATELY)
    quantiles = select(*(func.percentile_disc(one).within_group(took) for one in (0.5, 0.95))).where(lately)
    row = (await tx.execute(quantiles)).one()
    return {
        "contacts": {(channel, state): count for channel, state, count in await tx.execute(counts)},
        "to_case": {name: float(s) for name, s in zip(("median", "p95"), row, strict=True) if s is not None},
    }


async def _late(tx: Tx) -> dict[str, Any]:
    c = contact_facts.c
    late = select(
        func.count().filter(c.answer_by < func.now()),
        func.extract("epoch", func.now() - func.min(c.received_at)),
    ).where(c.answered_at.is_(None), c.answer_by.is_not(None))
    waiting = (await tx.execute(late)).one()
    return {"unanswered_late": waiting[0], "oldest_unanswered_seconds": float(waiting[1] or 0)}


async def _cases(tx: Tx) -> dict[str, Any]:
    s, m = case_facts.c, claim_facts.c
    states = select(s.state, func.count()).group_by(s.state)
    late = (await tx.execute(select(func.count()).where(m.state == "open", m.decide_by < func.now()))).scalar_one()
    claims = {state: count for state, count in await tx.execute(select(m.state, func.count()).group_by(m.state))}  # noqa: C416 (rows, not pairs)
    return {
        "cases": {state: count for state, count in await tx.execute(states)},  # noqa: C416 (rows, not pairs)
        "joins_undone": int(await tx.scalar(select(func.sum(s.joins_undone))) or 0),
        "grey_pairs": await tx.scalar(select(func.count()).select_from(pair_facts)) or 0,
        "claims": claims | {"overdue": late},
    }


class Sampler:
    """Takes a sample when asked and remembers it for `seconds`, so that many scrapers cost what one does."""

    def __init__(
        self,
        database: Database,
        *,
        seconds: float = 10.0,
        clock: Monotonic = time.monotonic,
        usual: timedelta = USUAL_LIMIT,
    ) -> None:
        self._database = database
        self._usual = usual
        self._seldom = Seldom(clock)
        self._seconds = seconds
        self._clock = clock
        self._asked = asyncio.Lock()
        self._turn = Turn(database)
        self._taken: tuple[float, Seen] | None = None

    async def sample(self) -> Seen:
        """What there is to tell, at most `seconds` old; nothing of a database that cannot say within a few seconds."""
        async with self._asked:
            if self._taken is None or self._clock() - self._taken[0] >= self._seconds:
                self._taken = (self._clock(), await self._measure())
            return self._taken[1]

    async def close(self) -> None:
        """Let another process tell."""
        await self._turn.give_up()

    async def _measure(self) -> Seen:
        try:
            async with asyncio.timeout(8):
                began = time.perf_counter()
                mine = await self._turn.mine()
                seconds = time.perf_counter() - began
                if not mine:
                    return Seen(seconds, None)
                async with self._database.snapshot() as tx:
                    return Seen(seconds, await take_sample(tx, usual=self._usual, seldom=self._seldom))
        except (DatabaseAway, TimeoutError):
            return Seen(None, None)
