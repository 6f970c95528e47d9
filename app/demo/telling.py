"""Tells the story through the staff API: declares, writes, approves, publishes, and watches the page and the counts.

It is two members of staff with a token each, one who writes and one who approves, over HTTP; it reads no table.
"""

import asyncio
import html
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.demo.http_client import Connection, StaffClient
from app.demo.story import TITLE, Act

_PAGE_PATIENCE = 30.0  # seconds until the page must show what was published
_PROMISE = timedelta(minutes=30)


class PageIsSilent(Exception):
    """The status page does not show an update that was published; the message says which."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An approved update that nobody has read yet."""

    id: str
    act: Act


@dataclass(frozen=True, slots=True)
class Told:
    """An update that was published. `page_seconds`: from the answer of the call until the page showed it."""

    id: str
    act: Act
    planned: int
    page_seconds: float


@dataclass(slots=True)
class Teller:
    """Says one thing after another about one incident."""

    staff: StaffClient
    approver: StaffClient
    host: str
    port: int
    incident_id: str = ""
    told: list[Told] = field(default_factory=list)

    async def declare(self, components: Sequence[str]) -> None:
        """Declare the incident over `components`."""
        body = {"title": TITLE, "impact": "critical", "components": components}
        self.incident_id = (await self.staff.post("/api/v1/incidents", body))["id"]

    async def prepare(self, act: Act) -> Prepared:
        """Write an update and have it approved, ready to be said."""
        promise = datetime.now(UTC) + _PROMISE if act.phase != "resolved" else None
        draft = await self.staff.post(f"/api/v1/incidents/{self.incident_id}/updates", act.draft(promise))
        await self.approver.post(f"/api/v1/updates/{draft['id']}/approve")
        return Prepared(draft["id"], act)

    async def publish(self, prepared: Prepared) -> Told:
        """Say it; returns when the public page shows it. Raises `PageIsSilent`."""
        answer = await self.staff.post(f"/api/v1/updates/{prepared.id}/publish")
        shown = await self._seconds_until_shown(prepared.act)
        told = Told(prepared.id, prepared.act, sum(answer["deliveries"].values()), shown)
        self.told.append(told)
        return told

    async def deliveries(self, told: Told) -> dict[str, int]:
        """The deliveries of an update by state, every state named."""
        counts: dict[str, int] = (await self.staff.get(f"/api/v1/updates/{told.id}/deliveries"))["states"]
        return counts

    async def _seconds_until_shown(self, act: Act) -> float:
        """As a stranger sees it: a connection of its own, no token."""
        title = html.escape(act.texts["en"].title).encode()
        since = time.monotonic()
        connection = Connection(self.host, self.port)
        try:
            while time.monotonic() - since < _PAGE_PATIENCE:
                page = await connection.exchange(connection.request("GET", f"/incidents/{self.incident_id}"))
                if page.status == 200 and title in page.body:
                    return time.monotonic() - since
                await asyncio.sleep(0.02)
        finally:
            connection.close()
        raise PageIsSilent(f"The status page does not show “{act.texts['en'].title}” after {_PAGE_PATIENCE:.0f} s.")
