"""The whole application in a thread with an event loop of its own, for tests that are not async: Schemathesis' cases.

What it has in its database is known by name, so that a case can ask for something that exists.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from requests import Request as Prepared
from schemathesis import Case

from app.asgi import create_app
from app.auth import create_token
from app.rights import ROLES
from app.wiring import Parts
from claims import Intake, Resolver
from claims.receipts import grouped
from foundation.clock import system_clock
from incidents import Component, Party, approve, define_components, define_parties, draft_update
from tests.support import claimants
from tests.support.incidents import BOSS, WRITER, a_customer, a_draft, declared, say
from tests.support.web import inner, parts_for

HERE = "https://status.example.com"


@dataclass(frozen=True, slots=True)
class DescribedApi:
    """`ask` sends a case as `who` (a name in `tokens`; empty: a stranger). `known`: what exists, by place in the path."""

    document: dict[str, Any]
    tokens: Mapping[str, str]
    known: Mapping[str, Mapping[str, str]]
    _ask: Callable[[httpx2.Request], httpx2.Response]

    def ask(self, case: Case, who: str) -> httpx2.Response:
        """The answer to `case`."""
        kind = case.operation.path.split("/")[3]
        if case.meta is not None and not case.meta.generation.mode.is_negative:
            for name in case.path_parameters or {}:
                if name in self.known.get(kind, {}):
                    case.path_parameters[name] = self.known[kind][name]
        sent = case.as_transport_kwargs(base_url=HERE)
        sent.pop("cookies", None)
        ready = Prepared(**{name: sent[name] for name in sent if name in _PREPARED}).prepare()
        headers = {**ready.headers, "Host": "status.example.com"}
        headers.pop("Authorization", None)
        if who:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        body = ready.body.encode() if isinstance(ready.body, str) else ready.body
        return self._ask(httpx2.Request(ready.method, ready.url, headers=headers, content=body))


_PREPARED = ("method", "url", "headers", "params", "data", "json", "files")


@contextmanager
def described_api(database_url: str, folder: Path) -> Iterator[DescribedApi]:
    """The application on `database_url`, with an incident, its updates, a customer, a contact and its case."""
    parts = parts_for(database_url, folder, status_dir=folder / "status")
    app = create_app(parts)
    with start_blocking_portal() as portal:
        lifespan = inner(app).router.lifespan_context(inner(app))
        with portal.wrap_async_context_manager(lifespan):
            known = portal.call(_furnish, parts)
            tokens = portal.call(_tokens, parts)
            transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000), raise_app_exceptions=False)
            client = httpx2.AsyncClient(transport=transport, base_url=HERE)
            try:
                document = portal.call(client.get, "/api/v1/openapi.json").json()
                yield DescribedApi(document, tokens, known, _in(portal, client))
            finally:
                portal.call(client.aclose)
                portal.call(parts.database.close)


def _in(portal: BlockingPortal, client: httpx2.AsyncClient) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda request: portal.call(client.send, request)


async def _tokens(parts: Parts) -> dict[str, str]:
    async with parts.database.transaction() as tx:
        now = parts.clock()
        every = await create_token(tx, "everything", roles=ROLES, now=now)
        agent = await create_token(tx, "agent", roles=["agent"], now=now)
    return {"everything": every, "agent": agent}


async def _furnish(parts: Parts) -> dict[str, dict[str, str]]:
    database, now = parts.database, system_clock()
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "KPN", "supplier")])
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags", "Airport")])
    await a_customer(database, "C1", ("check-in", "R1", None))
    async with database.transaction() as tx:
        incident = await declared(tx, now=now, started_at=now - timedelta(minutes=5))
        said = await say(tx, incident, a_draft(next_update_at=now + timedelta(hours=1)), now=now)
        draft = await draft_update(tx, WRITER, incident, a_draft(next_update_at=now + timedelta(hours=2)), now=now)
        approved = await draft_update(tx, WRITER, incident, a_draft(next_update_at=now + timedelta(hours=2)), now=now)
        await approve(tx, BOSS, approved.id, now=now)
    intake = Intake(database)
    async with intake.running():
        receipt = await claimants.send(intake, incident=incident, email="C1@example.com", message="Where is it?")
    await claimants.resolve(database)
    async with database.snapshot() as tx:
        from foundation.database import driver

        case = await (await driver(tx)).fetchval("SELECT number FROM cases")
    return {
        "incidents": {"id": incident},
        "updates": {"id": said.update.id},
        "cases": {"number": case},
        "customers": {"number": "C1"},
        "contacts": {"receipt": grouped(receipt)},
    }
