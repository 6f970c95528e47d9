"""What the database knows at this moment, measured from the facts when somebody asks, with a short memory.

One statement over each view. Each process that is scraped measures for itself, but remembers the answer for a few
seconds, so scraping it more often costs no more. It knows no package's tables.
"""

import asyncio
import time
from dataclasses import dataclass

from sqlalchemy import func, select

from foundation.clock import Monotonic
from foundation.database import Database, DatabaseAway, Tx
from metrics.facts import case_facts, contact_facts, delivery_facts

UNSENT = ("planned", "sending", "deferred")


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one instant. Keys: (channel, state) of deliveries, channel, state of contacts; ages in seconds."""

    deliveries: dict[tuple[str, str], int]
    oldest_unsent_seconds: dict[str, float]
    contacts: dict[str, int]
    live_cases: int

    @property
    def collapse_ratio(self) -> float | None:
        """Resolved contacts per live case; None while there is no case."""
        return self.contacts.get("resolved", 0) / self.live_cases if self.live_cases else None


async def take_sample(tx: Tx) -> Sample:
    """Count now. `tx` should be a snapshot, so that the figures agree."""
    per_channel = select(
        delivery_facts.c.channel,
        delivery_facts.c.state,
        func.count(),
        func.extract("epoch", func.now() - func.min(delivery_facts.c.planned_at)),
    ).group_by(delivery_facts.c.channel, delivery_facts.c.state)
    deliveries: dict[tuple[str, str], int] = {}
    oldest: dict[str, float] = {}
    for channel, state, count, age in await tx.execute(per_channel):
        deliveries[channel, state] = count
        if state in UNSENT:
            oldest[channel] = max(oldest.get(channel, 0.0), float(age))
    states = select(contact_facts.c.state, func.count()).group_by(contact_facts.c.state)
    contacts = {state: count for state, count in await tx.execute(states)}  # noqa: C416 (rows, not pairs)
    live = (await tx.execute(select(func.count()).select_from(case_facts))).scalar_one()
    return Sample(deliveries, oldest, contacts, live)


class Sampler:
    """Takes a sample when asked and remembers it for `seconds`, so that many scrapers cost what one does."""

    def __init__(self, database: Database, *, seconds: float = 5.0, clock: Monotonic = time.monotonic) -> None:
        self._database = database
        self._seconds = seconds
        self._clock = clock
        self._turn = asyncio.Lock()
        self._taken: tuple[float, Sample | None] | None = None

    async def sample(self) -> Sample | None:
        """The figures, at most `seconds` old; None when the database cannot say within a few seconds."""
        async with self._turn:
            if self._taken is None or self._clock() - self._taken[0] >= self._seconds:
                self._taken = (self._clock(), await self._measure())
            return self._taken[1]

    async def _measure(self) -> Sample | None:
        try:
            async with asyncio.timeout(8), self._database.snapshot() as tx:
                return await take_sample(tx)
        except (DatabaseAway, TimeoutError):
            return None
