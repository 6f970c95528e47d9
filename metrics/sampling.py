"""What the database knows at this moment, measured from the facts when somebody asks, with a short memory.

One statement over each view. Of all processes on one database one tells these figures and the others leave them out
(`metrics.turns`), so nothing is counted twice. Drills count in no clock. It knows no package's tables.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
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
from metrics.turns import Turn

_REACHED = {"first": 0.0, "median": 0.5, "p95": 0.95, "last": 1.0}
# Contacts of the last so many minutes tell how long they wait for a case.
_LATELY = 15


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one instant; ages and waits in seconds. Keys are label values, as `metrics.exposition` names them.

    `told`: first, median, p95, last → seconds from the latest update's publication until so many had it.
    `notice_due`: until the first word about an incident is due of which none was said; negative when it is late.
    """

    deliveries: dict[tuple[str, str, str], int] = field(default_factory=dict)
    unsent: dict[tuple[str, str], int] = field(default_factory=dict)
    oldest_unsent_seconds: dict[str, float] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    promises: dict[str, int] = field(default_factory=dict)
    promise_due: float | None = None
    notice_due: float | None = None
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


async def take_sample(tx: Tx) -> Sample:
    """Count now. `tx` should be a snapshot, so that the figures agree."""
    return Sample(**await _sending(tx), **await _promised(tx), **await _contacts(tx), **await _cases(tx))


async def _sending(tx: Tx) -> dict[str, Any]:
    d, q = delivery_facts.c, queue_facts.c
    counts = select(d.channel, d.state, d.reason, func.count()).group_by(d.channel, d.state, d.reason)
    deliveries: Counter[tuple[str, str, str]] = Counter()
    for channel, state, reason, count in await tx.execute(counts):
        deliveries[channel, state, reason_class(reason)] += count
    age = func.extract("epoch", func.now() - func.min(q.planned_at))
    waiting = select(q.channel, q.waits, func.sum(q.deliveries), age).group_by(q.channel, q.waits)
    unsent: dict[tuple[str, str], int] = {}
    oldest: dict[str, float] = {}
    for channel, waits, count, seconds in await tx.execute(waiting):
        unsent[channel, waits] = int(count)
        oldest[channel] = max(oldest.get(channel, 0.0), float(seconds))
    return {
        "deliveries": dict(deliveries),
        "unsent": unsent,
        "oldest_unsent_seconds": oldest,
        "told": await _told(tx),
    }


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


async def _promised(tx: Tx) -> dict[str, Any]:
    p, i = promise_facts.c, incident_facts.c
    counts = select(p.state, func.count()).where(p.exercise == "no").group_by(p.state)
    due = func.extract("epoch", func.min(p.due_at) - func.now())
    waited_for = select(due).where(p.exercise == "no", p.followed_at.is_(None))
    limit = func.make_interval(0, 0, 0, 0, 0, 0, func.coalesce(i.notice_limit_seconds, 1800))
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
    }


async def _contacts(tx: Tx) -> dict[str, Any]:
    c = contact_facts.c
    counts = select(c.channel, c.state, func.count()).group_by(c.channel, c.state)
    took = cast(func.extract("epoch", c.resolved_at - c.received_at), Double)
    lately = c.received_at > func.now() - func.make_interval(0, 0, 0, 0, 0, _LATELY)
    quantiles = select(*(func.percentile_disc(one).within_group(took) for one in (0.5, 0.95))).where(lately)
    late = select(
        func.count().filter(c.answer_by < func.now()),
        func.extract("epoch", func.now() - func.min(c.received_at)),
    ).where(c.answered_at.is_(None), c.answer_by.is_not(None))
    row, waiting = (await tx.execute(quantiles)).one(), (await tx.execute(late)).one()
    return {
        "contacts": {(channel, state): count for channel, state, count in await tx.execute(counts)},
        "to_case": {name: float(s) for name, s in zip(("median", "p95"), row, strict=True) if s is not None},
        "unanswered_late": waiting[0],
        "oldest_unanswered_seconds": float(waiting[1] or 0),
    }


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

    def __init__(self, database: Database, *, seconds: float = 10.0, clock: Monotonic = time.monotonic) -> None:
        self._database = database
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
                    return Seen(seconds, await take_sample(tx))
        except (DatabaseAway, TimeoutError):
            return Seen(None, None)
