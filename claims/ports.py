"""What claims needs to know about incidents, in its own words. `app` joins it to functions of `incidents`.

It names no table and no class of theirs; the type checker compares the shapes.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Select

from foundation.database import Tx


@dataclass(frozen=True, slots=True)
class Outage:
    """An incident as a customer knows it. `title`: language → text; `phase`: as in `incidents`."""

    id: str
    title: Mapping[str, str]
    phase: str
    started_at: datetime


class OutageLookup(Protocol):
    """Which incidents there are, and whom they concern. Set-based: one call a batch."""

    async def open_outages(self, tx: Tx) -> Sequence[Outage]:
        """Every incident that is not resolved, the newest first."""
        ...

    async def past_outages(self, tx: Tx) -> Sequence[Outage]:
        """The newest few that were resolved not long ago: people still write about them."""
        ...

    async def outages(self, tx: Tx, ids: Collection[str]) -> Mapping[str, Outage]:
        """The incidents among `ids` that exist, resolved or not."""
        ...

    async def public(self, tx: Tx, ids: Collection[str]) -> set[str]:
        """Those of `ids` about which something was published: only these may be named to strangers."""
        ...

    async def affected(self, tx: Tx, incident_id: str, customer_ids: Collection[int]) -> set[int]:
        """Those of `customer_ids` whom the incident concerns."""
        ...

    async def next_update_at(self, tx: Tx, incident_id: str) -> datetime | None:
        """By when the next update about the incident is promised."""
        ...


# Everyone an incident concerns, as a SELECT with the column customer_id.
AudienceOf: TypeAlias = Callable[[str], Select[Any]]
# The shown name of an account that may work cases; None: there is no such account.
StaffName: TypeAlias = Callable[[Tx, str], Awaitable[str | None]]
