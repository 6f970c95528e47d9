"""A desk and its customers over real HTTP: a site with one incident, and the calls that stories about cases make."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from app.wiring import Parts
from foundation.database import Database, driver
from tests.support.claimants import an_incident, resolve
from tests.support.site import site
from tests.support.web import parts_for, staff_token


@dataclass
class Office:
    """A running site. `token`: of somebody who may do everything."""

    web: httpx2.AsyncClient
    database: Database
    parts: Parts
    incident: str
    token: str

    async def tell(self, **said: str) -> str:
        """Send a contact and let it find its case; the path of its link."""
        answer = await self.web.post("/api/v1/contacts", json={"incident": self.incident, **said})
        assert answer.status_code == 202, answer.text
        await resolve(self.database)
        url: str = answer.json()["track_url"]
        return url.removeprefix("https://status.example.com")

    async def call(self, path: str, body: dict[str, Any] | None = None, *, status: int = 200) -> Any:
        """A call of the desk's API: POST when there is a body."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is None:
            answer = await self.web.get(f"/api/v1/{path}", headers=headers)
        else:
            answer = await self.web.post(f"/api/v1/{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def see(self, path: str, *, status: int = 200) -> str:
        """The text of a page."""
        answer = await self.web.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def act(self, path: str, name: str, *, status: int = 303, **typed: str) -> httpx2.Response:
        """Send one of the forms on the page of a case."""
        answer = await self.web.post(f"{path}/{name}", data=typed)
        assert answer.status_code == status, answer.text
        return answer

    async def number_of(self, path: str) -> str:
        """The number of the case a link shows."""
        found = re.search(r"Your case (C-\d+)", await self.see(path))
        assert found is not None
        return found[1]

    async def rows(self, query: str, *values: object) -> list[Any]:
        """What the database holds."""
        async with self.database.transaction() as tx:
            return list(await (await driver(tx)).fetch(query, *values))

    async def letters(self) -> list[Any]:
        """Every message planned so far: (channel, subject, body, address)."""
        return await self.rows(
            """
            SELECT d.channel, m.subject, m.body, a.value AS address, p.topic, d.id FROM deliveries d
              JOIN messages m ON m.id = d.message_id JOIN dispatches p ON p.id = d.dispatch_id
              LEFT JOIN addresses a ON a.id = d.address_id ORDER BY d.id
            """
        )


@asynccontextmanager
async def office(database: Database, database_url: str, folder: Path, **changes: object) -> AsyncIterator[Office]:
    """An office for the block, with one incident."""
    incident = await an_incident(database)
    parts = parts_for(database_url, folder, **changes)
    async with site(parts) as address, httpx2.AsyncClient(base_url=address) as web:
        yield Office(web, database, parts, incident, await staff_token(parts))
    await parts.database.close()
