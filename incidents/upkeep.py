"""Begins and ends planned work when its time has come, whoever works and however often they were killed meanwhile."""

from dataclasses import dataclass

import structlog

from foundation.actors import SYSTEM
from foundation.clock import Clock
from foundation.database import Database
from incidents.maintenance import Tell, Words, begin, due, end

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PlannedWork:
    """What a worker does about planned work; any number of workers may."""

    database: Database
    words: Words
    tell: Tell | None
    clock: Clock

    async def step(self) -> bool:
        """Begin or end one piece of work, in one transaction. True when it did: there may be more."""
        now = self.clock()
        async with self.database.transaction() as tx:
            found = await due(tx, now=now)
            if found is None:
                return False
            incident_id, phase = found
            act = begin if phase == "scheduled" else end
            said = await act(tx, SYSTEM, incident_id, self.words, tell=self.tell, now=now)
        _log.info("planned work moved", incident=incident_id, phase=said.phase)
        return True
