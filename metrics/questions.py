"""What an analyst may ask for: which facts, of which incident, time, component and channel, with people named or not.

One SELECT over a facts view comes of it. People are named only when that is asked for; otherwise a keyed hash stands in
the place of what names them (`pseudonyms.py`), with a key that no other export has.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_bytes
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, TableClause, func, select

from foundation.errors import Fault, Invalid, NotFound
from metrics.dictionary import PERSONAL
from metrics.facts import (
    affected_facts,
    case_facts,
    claim_facts,
    contact_facts,
    delivery_facts,
    incident_facts,
    payment_facts,
    promise_facts,
    update_facts,
)

EXPORTS: dict[str, TableClause] = {
    "deliveries": delivery_facts,
    "contacts": contact_facts,
    "cases": case_facts,
    "claims": claim_facts,
    "incidents": incident_facts,
    "updates": update_facts,
    "promises": promise_facts,
    "affected": affected_facts,
    "payments": payment_facts,
}
# The column that `since` and `until` go by: when the thing a row is about began.
TIMES: dict[str, str | None] = {
    "deliveries": "planned_at",
    "contacts": "received_at",
    "cases": "opened_at",
    "claims": "made_at",
    "payments": "computed_at",
    "incidents": "started_at",
    "updates": "created_at",
    "promises": "due_at",
    "affected": None,
}
_INCIDENT = re.compile(r"[a-z0-9]{12}")


@dataclass(frozen=True, slots=True)
class Question:
    """What to export. `since` (included) and `until` (not) go by the column in `TIMES`; `personal`: people by name.

    `component`: only incidents that affect it. A filter for which the export has no column is refused: half of an
    answer looks like a whole one. `key`: what pseudonyms are made with; the same key gives the same ones.
    """

    name: str
    incident: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    component: str | None = None
    channel: str | None = None
    personal: bool = False
    key: bytes = field(default_factory=lambda: token_bytes(32), repr=False)

    def check(self) -> None:
        """Raises `NotFound` for a name, `Invalid` for filters that cannot be."""
        if self.name not in EXPORTS:
            raise NotFound(
                f"There is no export called {self.name[:50]!r}. There are: {', '.join(EXPORTS)}.", code="no_such_export"
            )
        faults = []
        if self.incident is not None and _INCIDENT.fullmatch(self.incident) is None:
            faults.append(
                Fault("incident", "An incident id has 12 characters, a-z and 0-9; `export incidents` lists them.")
            )
        if self.channel is not None and "channel" not in EXPORTS[self.name].c:
            faults.append(Fault("channel", f"The export {self.name} has no channel; leave this out."))
        if (self.since or self.until) is not None and TIMES[self.name] is None:
            faults.append(Fault("since", f"The export {self.name} has no time; leave this out."))
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None and moment.tzinfo is None:
                faults.append(Fault(name, "A time needs its zone, as in 2026-11-24T09:00:00Z."))
        if faults:
            raise Invalid("This cannot be exported: " + " ".join(one.message for one in faults), faults)

    def rows(self) -> Select[Any]:
        """The rows as a SELECT: every column of the view under its own name, times in UTC without a zone.

        People stand in it by number: whoever hands rows on puts pseudonyms into the columns in `hidden`.
        """
        facts = EXPORTS[self.name]
        columns = [in_utc(one).label(one.name) for one in facts.c]
        return select(*columns).where(*self._conditions(facts))

    @property
    def hidden(self) -> frozenset[str]:
        """The columns in which pseudonyms must take the place of what `rows` brings."""
        return frozenset() if self.personal else PERSONAL

    def _conditions(self, facts: TableClause) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.incident is not None:
            found.append(facts.c.incident_id == self.incident)
        if self.component is not None:
            concerned = select(affected_facts.c.incident_id).where(affected_facts.c.component_key == self.component)
            found.append(facts.c.incident_id.in_(concerned))
        if self.channel is not None:
            found.append(facts.c.channel == self.channel)
        time = TIMES[self.name]
        if time is not None and self.since is not None:
            found.append(facts.c[time] >= self.since)
        if time is not None and self.until is not None:
            found.append(facts.c[time] < self.until)
        return found


def in_utc(one: ColumnElement[Any]) -> ColumnElement[Any]:
    """A time as UTC's clock shows it; anything else as it is."""
    return func.timezone("UTC", one, type_=one.type) if isinstance(one.type, DateTime) else one
