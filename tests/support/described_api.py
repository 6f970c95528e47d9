"""The whole application in a thread with an event loop of its own, for tests that are not async: Schemathesis' cases.

What it has in its database is known by name, so that a case can ask for something that exists.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import requests
from anyio.from_thread import BlockingPortal, start_blocking_portal
from schemathesis import APIOperation, Case
from sqlalchemy import text

from app.asgi import create_app, status_page
from app.auth import create_token
from app.rights import ROLES
from app.staff.accounts import add_user
from app.wiring import Parts
from claims import Intake
from claims.receipts import grouped
from foundation.clock import system_clock
from foundation.database import driver
from incidents import Component, Party, approve, define_components, define_parties, draft_update
from incidents.maintenance import Plan, schedule
from tests.support import claimants
from tests.support.incidents import BOSS, COMPOSER, WRITER, a_customer, a_draft, declared, say
from tests.support.web import inner, parts_for

AnyOperation: TypeAlias = APIOperation[Any, Any, Any, Any]
AnyCase: TypeAlias = "Case[AnyOperation]"
HERE = "https://status.example.com"


@dataclass
class DescribedApi:
    """`ask` sends a case as somebody (a name in `tokens`, or a stranger).

    `known`: what exists, by the part of the path it stands behind, and under "" by the field of a body; `sound`: what
    the rules allow besides, by call.
    """

    document: dict[str, Any]
    tokens: Mapping[str, str]
    known: Mapping[str, Mapping[str, Any]]
    sound: Mapping[str, Mapping[str, Any]]
    _send: Callable[[httpx2.Request], httpx2.Response]
    _asked: int = 0

    def ask(self, case: AnyCase, who: str) -> httpx2.Response:
        """The answer to `case`. A valid one asks for what exists, and every second one says what makes sense."""
        if case.meta is not None and not case.meta.generation.mode.is_negative:
            self._make_real(case)
        sent = case.as_transport_kwargs(base_url=HERE)
        ready = requests.Request(**{name: sent[name] for name in sent if name in _PREPARED}).prepare()
        assert ready.method is not None
        assert ready.url is not None
        headers = {name: _text(value) for name, value in ready.headers.items()} | {"Host": "status.example.com"}
        headers.pop("Authorization", None)
        if who in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        body = ready.body.encode() if isinstance(ready.body, str) else ready.body
        assert body is None or isinstance(body, bytes)
        if case.meta is not None and not case.meta.generation.mode.is_negative and "/signed/" in ready.url:
            headers |= _signed(body or b"")
        return self._send(httpx2.Request(ready.method, ready.url, headers=headers, content=body))

    def _make_real(self, case: AnyCase) -> None:
        for name in case.path_parameters or {}:
            known = self.known.get(case.operation.path.split("/")[3], {})
            case.path_parameters[name] = known.get(name, case.path_parameters[name])
        self._asked += 1
        if self._asked % 2 and isinstance(case.body, dict):
            known = {name: value for name, value in self.known[""].items() if name in case.body}
            case.body = {**case.body, **known, **self.sound.get(case.operation.label, {})}


def _signed(body: bytes) -> dict[str, str]:
    stamp = str(int(system_clock().timestamp()))
    signature = hmac.digest(_SECRET, stamp.encode() + b"." + body, "sha256").hex()
    return {"X-Stormdesk-Timestamp": stamp, "X-Stormdesk-Signature": signature}


_SECRET = b"a secret that only tests sign alerts with"
_PREPARED = ("method", "url", "headers", "params", "data", "json", "files")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@contextmanager
def described_api(database_url: str, folder: Path) -> Iterator[DescribedApi]:
    """The application on `database_url`, with an incident, its updates, a customer, a contact and its case."""
    parts = parts_for(database_url, folder, status_dir=folder / "status", alert_secrets={"builds": _SECRET})
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
                yield DescribedApi(document, tokens, known, _sound(), _in(portal, client))
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


async def _furnish(parts: Parts) -> dict[str, dict[str, Any]]:
    database, now = parts.database, system_clock()
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "KPN", "supplier")])
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags", "Airport")])
    await a_customer(database, "C1", ("check-in", "R1", None))
    async with database.transaction() as tx:
        incident = await declared(tx, now=now, started_at=now - timedelta(minutes=5))
        said = await say(tx, incident, a_draft(next_update_at=now + timedelta(hours=1)), now=now)
        approved = await draft_update(tx, WRITER, incident, a_draft(next_update_at=now + timedelta(hours=2)), now=now)
        await approve(tx, BOSS, approved.id, COMPOSER.messages, now=now)
        plan = Plan(
            title={"en": "New switches", "nl": "Nieuwe switches"},
            scheduled_for=now + timedelta(hours=1),
            scheduled_until=now + timedelta(hours=3),
            components=["check-in"],
        )
        work = await schedule(tx, WRITER, plan, now=now)
        await add_user(tx, "ann", ["operator"])
        component = await tx.scalar(text("SELECT public_id FROM components WHERE key = 'check-in'"))
    intake = Intake(database)
    async with intake.running():
        receipt = await claimants.send(intake, incident=incident, email="C1@example.com", message="Where is it?")
    await claimants.resolve(database)
    await status_page(parts).refresh(database)
    async with database.snapshot() as tx:
        case = await (await driver(tx)).fetchval("SELECT number FROM cases")
        contact = await (await driver(tx)).fetchval("SELECT id FROM contacts")
    return {
        "": {"incident": incident, "contact": contact, "contacts": [contact], "numbers": [case], "version": None},
        "incidents": {"id": incident},
        "updates": {"id": said.update.id},
        "maintenances": {"id": work.id},
        "components": {"id": component},
        "colleagues": {"name": "ann"},
        "alerts": {"source": "builds"},
        "cases": {"number": case},
        "customers": {"number": "C1"},
        "contacts": {"receipt": grouped(receipt)},
    }


def _sound() -> dict[str, dict[str, Any]]:
    """What makes sense in each body whose fields depend on each other, or on the time."""
    said = {"title": "Check-in has stopped", "body": "It has.", "advice": "Keep your booking at hand."}
    promise = (system_clock() + timedelta(hours=3)).isoformat()
    return {
        "POST /api/v1/contacts": {"message": "Where is my bag?", "language": "en"},
        "POST /api/v1/saved-replies": {"name": "Soon", "language": "en", "text": "We look at it."},
        "POST /api/v1/mass-replies": {
            "key": "once-and-for-all",
            "texts": {"en": {"subject": "Your flight", "text": "It leaves at noon."}},
            "kind": "",
            "waiting": False,
        },
        "POST /api/v1/incidents": {
            "title": {"en": "No check-in", "nl": "Geen incheck"},
            "started_at": system_clock().isoformat(),
            "components": ["check-in"],
            "groups": [],
        },
        "POST /api/v1/maintenances": {
            "title": {"en": "New switches", "nl": "Nieuwe switches"},
            "scheduled_for": promise,
            "scheduled_until": (system_clock() + timedelta(hours=5)).isoformat(),
            "components": ["check-in"],
            "groups": [],
        },
        "PUT /api/v1/colleagues/{name}": {"mail": "ann@example.com", "phone": None},
        "PUT /api/v1/alert-mappings": {"components": ["check-in"], "groups": []},
        "PUT /api/v1/components": {"components": [{"key": "gates", "name": "Gates"}]},
        "PUT /api/v1/incidents/{id}/roles/{role}": {"holder": "ann"},
        "PUT /api/v1/incidents/{id}/postmortem": {"texts": {"en": "A switch failed.", "nl": "Een switch ging stuk."}},
        "POST /api/v1/incidents/{id}/confirmations": {
            "party": "kpn",
            "component": "check-in",
            "what": "cause",
            "confirmed_at": (system_clock() - timedelta(minutes=5)).isoformat(),
            "evidence": "They looked at the switch.",
        },
        "POST /api/v1/alerts/alertmanager": {
            "version": "4",
            "groupKey": "{}",
            "alerts": [{"status": "firing", "labels": {"alertname": "Down"}, "startsAt": system_clock().isoformat()}],
        },
        "POST /api/v1/incidents/{id}/updates": {
            "phase": "identified",
            "texts": {"en": said, "nl": said},
            "next_update_at": promise,
            "cause_certainty": "unknown",
            "cause_party": None,
            "corrects": None,
        },
    }
