"""IDOR, over every id in every URL: real ids of somebody else's things lead nobody to them who may not see them.

The routes are taken from the application, and each kind of id has a real object behind it; a kind that nobody made one
for fails the test. Whoever tries is a stranger, the holder of another customer's links, or staff without the right.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx2
from starlette.routing import Route

from app.asgi import create_app
from app.rights import ROLES, TABLE
from app.staff.accounts import add_user, open_link
from app.wiring import Parts
from foundation.access import entry_of
from foundation.database import Driver, driver
from incidents import draft_update
from incidents.maintenance import Plan, schedule
from notify.references import References, delivery_reference
from notify.subscriptions import confirm_token, stop_token
from tests.support.claimants import a_customer, resolve
from tests.support.followers import a_subscriber
from tests.support.incidents import WRITER, a_draft, declared, say, texts
from tests.support.web import entrances, inner, open_client, parts_for, staff_token

LINE = "LINE-7"
# What is Anna's, and what is not for everybody: nothing of it may come back to any of these.
HERS = ("anna@x.example", "Anna Jansen", "her secret words", "her secret file", "a secret draft", "secret.txt")
# What a form may name besides: ids of Anna's things, sent with whatever link.
INSIDE = {
    "decision": "1",
    "entitlement": "1",
    "offer": "1",
    "contact": "1",
    "claim": "1",
    "answer": "yes",
    "words": "x",
}


@dataclass(frozen=True)
class Things:
    """Real ids by kind (what stands before it in the path, and its name), and ids alike that are nobody's."""

    real: Mapping[str, str]
    unknown: Mapping[str, str]

    def path(self, route: str, ids: Mapping[str, str]) -> str:
        """`route` with these ids in it."""
        kinds = kinds_of(route)
        missing = kinds.keys() - self.real.keys()
        assert not missing, f"{route}: make a real object of somebody else for {missing}"
        return re.sub(r"\{(\w+)\}", lambda found: quote(ids[kinds_by_name(route)[found[1]]]), route)


def kinds_of(route: str) -> dict[str, str]:
    """`cases/{number}` and the like, each with the parameter's name."""
    found = {}
    for part in re.finditer(r"(?<=/)([^/]+)/(?=\{(\w+)\})", route):
        found[f"{part[1]}/{{{part[2]}}}"] = part[2]
    return found


def kinds_by_name(route: str) -> dict[str, str]:
    return {name: kind for kind, name in kinds_of(route).items()}


async def told(web: httpx2.AsyncClient, incident: str, who: str, number: str) -> tuple[str, str]:
    """A contact with a file: its receipt and the token of its link."""
    words = {"message": f"{who} secret words", "customer_number": number, "asks_for": "refund", "incident": incident}
    answer = await web.post(
        "/api/v1/contacts",
        data={"contact": json.dumps(words)},
        files=[("file", ("secret.txt" if who == "her" else "his.txt", f"{who} secret file".encode(), "text/plain"))],
        headers={"Idempotency-Key": who},
    )
    assert answer.status_code == 202, answer.text
    return answer.json()["receipt"].replace("-", ""), answer.json()["track_url"].rpartition("/")[2]


async def asked_to_follow(connection: Driver, customer: int, address: str) -> int:
    found: int = await connection.fetchval(
        "INSERT INTO follow_requests (channel, address, host, language, client, customer_id, created_at)"
        " VALUES ('mail', $1, 'example', 'en', '', $2, now()) RETURNING id",
        address,
        customer,
    )
    return found


@dataclass(frozen=True)
class Town:
    """Anna's things, and the tokens of Bert, who has the same kinds of his own."""

    web: httpx2.AsyncClient
    parts: Parts
    things: Things
    tokens: Mapping[str, str]
    staff: Mapping[str, Mapping[str, str]]
    boss: Mapping[str, str]


@asynccontextmanager
async def town(database_url: str, folder: Path) -> AsyncIterator[Town]:
    parts = parts_for(database_url, folder)
    now, tokens, database = datetime.now(UTC), parts.tokens, parts.database
    await a_customer(database, "Anna Jansen", number="N-1", mails=["anna@x.example"], references=["A1"], component=LINE)
    await a_customer(database, "Bert Bos", number="N-2", mails=["bert@y.example"], references=["B1"], component=LINE)
    async with database.transaction() as tx:
        incident = await declared(tx, components=[LINE], started_at=now, now=now)
        await say(tx, incident, a_draft(next_update_at=now + timedelta(hours=1)), now=now)
        draft = a_draft(texts=texts(title="a secret draft"), next_update_at=now + timedelta(hours=2))
        update = (await draft_update(tx, WRITER, incident, draft, now=now)).id
        plan = Plan({"en": "Works", "nl": "Werk"}, now + timedelta(hours=1), now + timedelta(hours=2), [LINE])
        planned = (await schedule(tx, WRITER, plan, now=now)).id
        account = await add_user(tx, "anna", ["agent"], shown_name="Anna Jansen")
        welcome = await open_link(tx, account, now=parts.clock())
        his_welcome = await open_link(tx, await add_user(tx, "bert", ["agent"]), now=parts.clock())
        followers = [
            await a_subscriber(tx, "S-1", "anna@x.example", incident),
            await a_subscriber(tx, "S-2", "bert@y.example", incident),
        ]
        connection = await driver(tx)
        asked = [
            await asked_to_follow(connection, followers[0], "anna@x.example"),
            await asked_to_follow(connection, followers[1], "bert@y.example"),
        ]
        deliveries = [
            row[0]
            for row in await connection.fetch(
                "SELECT d.id FROM deliveries d JOIN customers c ON c.id = d.customer_id"
                " WHERE c.number IN ('N-1', 'N-2') ORDER BY c.number"
            )
        ]
        run = await connection.fetchval(
            "INSERT INTO payment_runs (incident_id, pays, currency, payments, minor, made_by)"
            " VALUES ($1, 'compensation', 'EUR', 1, 100, 'staff:anna') RETURNING id",
            incident,
        )
        component = await connection.fetchval("SELECT public_id FROM components WHERE key = $1", LINE)
        parting = await connection.fetchval(
            "INSERT INTO identity_decisions (kind, incident_id, reason, actor)"
            " VALUES ('split', $1, 'x', 'staff:boss') RETURNING id",
            incident,
        )
    staff: dict[str, Mapping[str, str]] = {
        role: {"Authorization": f"Bearer {await staff_token(parts, role, roles=[role])}"} for role in ROLES
    }
    boss = {"Authorization": f"Bearer {await staff_token(parts, 'boss', roles=ROLES)}"}
    async with open_client(parts) as web:
        receipt, link = await told(web, incident, "her", "N-1")
        _, his_link = await told(web, incident, "his", "N-2")
        await resolve(database)
        body: dict[str, object] = {"names": {"en": "Soon", "nl": "Straks"}}
        assert (await web.put("/api/v1/segments/soon", json=body, headers=boss)).status_code < 300
        said = {"title": "We are on it", "body": "We are.", "advice": "Wait."}
        body = {"phase": "identified", "name": "Ours", "texts": {"en": said, "nl": said}}
        answer = await web.put("/api/v1/update-templates/ours", json=body, headers=boss)
        assert answer.status_code < 300, answer.text
        body = {"mail": "anna@x.example"}
        assert (await web.put("/api/v1/colleagues/anna", json=body, headers=boss)).status_code < 300
        async with database.transaction() as tx:
            connection = await driver(tx)
            [(case, contact, file)] = await connection.fetch(
                "SELECT c.number, k.id, a.id FROM contacts k JOIN cases c ON c.id = k.case_id"
                " JOIN attachments a ON a.contact_id = k.id WHERE k.receipt = $1",
                receipt,
            )
        appointment = await web.post(f"/api/v1/cases/{case}/appointments", json={"contact": contact}, headers=boss)
        assert appointment.status_code < 300, appointment.text
        references = References(tokens)
        leave = [references.leave_token(delivery_reference(tokens, one)) for one in deliveries]
        real = {
            "signed/{source}": "prometheus",
            "cases/{number}": case,
            "appointments/{id}": "1",
            "colleagues/{name}": "anna",
            "components/{id}": str(component),
            "contacts/{receipt}": receipt,
            "customers/{number}": "N-1",
            "exports/{name}": "deliveries",
            "incidents/{id}": incident,
            "maintenances/{id}": planned,
            "roles/{role}": "commander",
            "update-templates/{key}": "ours",
            "persons/{id}": str(parting),
            "segments/{key}": "soon",
            "updates/{id}": update,
            "files/{id}": str(file),
            "payments/{run}": str(run),
            "posts/{contact}": str(contact),
            "{contact}/{end}": "answered",
            "reports/{id}": incident,
            "users/{id}": str(account),
            "welcome/{token}": welcome,
            "received/{token}": link,
            "confirm/{token}": confirm_token(tokens, asked[0]),
            "stop/{token}": stop_token(tokens, "S-1"),
            "t/{token}": link,
            "u/{token}": leave[0],
        }
        his = {
            "welcome/{token}": his_welcome,
            "received/{token}": his_link,
            "confirm/{token}": confirm_token(tokens, asked[1]),
            "stop/{token}": stop_token(tokens, "S-2"),
            "t/{token}": his_link,
            "u/{token}": leave[1],
        }
        yield Town(web, parts, Things(real, {kind: unlike(one) for kind, one in real.items()}), his, staff, boss)
    await database.close()


def unlike(real: str) -> str:
    """An id of the same shape that is nobody's."""
    turned = {"9": "7", "z": "y", "Z": "Y"}
    return real[:-1] + turned.get(real[-1], "9" if real[-1].isdigit() else "Z" if real[-1].isupper() else "z")


def with_ids(parts: Parts) -> list[tuple[str, str, Route]]:
    """(method, path, route) of every route with an id in its path."""
    every = ((entrance.partition(" "), route) for entrance, route in entrances(inner(create_app(parts))))
    return [(method, path, route) for (method, _, path), route in every if "{" in path]


def right_of(route: Route) -> str | None:
    entry = entry_of(route.endpoint)
    assert entry is not None
    return entry.right


# All of Anna's that somebody else's hand could change, and what is said and paid.
_KEPT = (
    "SELECT * FROM contacts WHERE receipt = $1",
    "SELECT * FROM cases WHERE id = (SELECT case_id FROM contacts WHERE receipt = $1)",
    *(
        f"SELECT * FROM {table} WHERE contact_id = (SELECT id FROM contacts WHERE receipt = $1) ORDER BY id"
        for table in ("claims", "appointments", "attachments")
    ),
    *(
        f"SELECT * FROM {table} t JOIN customers c ON c.id = t.customer_id"
        " WHERE c.number IN ('N-1', 'S-1') AND $1 <> '' ORDER BY 1, 2"
        for table in ("opt_outs", "followers", "follow_requests", "addresses", "deliveries")
    ),
    *(
        f"SELECT * FROM {table} WHERE $1 <> '' ORDER BY 1"
        for table in ("incidents", "updates", "incident_roles", "payment_runs", "segments", "update_templates", "users")
    ),
)


async def kept(town: Town) -> list[object]:
    """The rows of `_KEPT` as they are now. Bert's account may have been entered: he has the link."""
    async with town.parts.database.snapshot() as tx:
        connection = await driver(tx)
        found = [await connection.fetch(query, town.things.real["contacts/{receipt}"]) for query in _KEPT]
    return [[dict(row) for row in rows if row.get("name") != "bert"] for rows in found]


def seen(answer: httpx2.Response, *ids: str) -> tuple[int, str, str]:
    """What an answer tells, apart from the id that was asked for."""
    assert not (found := [one for one in HERS if one in answer.text]), f"{answer.request.url} tells {found}"
    text, onward = answer.text, answer.headers.get("location", "")
    for one in ids:
        text, onward = text.replace(one, "…"), onward.replace(quote(one), "…").replace(quote(quote(one)), "…")
    return answer.status_code, text, onward


async def tried(town: Town, method: str, path: str, headers: Mapping[str, str]) -> httpx2.Response:
    if method == "GET":
        return await town.web.get(path, headers=headers)
    if path.startswith("/api/"):
        return await town.web.request(method, path, headers=headers, json=INSIDE)
    return await town.web.request(method, path, headers=headers, data=INSIDE)


async def the_same(town: Town, method: str, paths: Sequence[str], headers: Mapping[str, str] | None = None) -> int:
    """The status with which all of these are answered, in the same words."""
    answers = [await tried(town, method, path, headers or {}) for path in paths]
    names = [*town.things.real.values(), *town.things.unknown.values(), *town.tokens.values()]
    names += [unlike(one) for one in town.tokens.values()]
    shown = {seen(one, *sorted(names, key=len, reverse=True)) for one in answers}
    assert len(shown) == 1, f"{method} {paths} tell what exists: {shown}"
    return answers[0].status_code


async def test_real_ids_of_others_open_nothing_and_tell_nothing(database_url: str, tmp_path: Path) -> None:
    async with town(database_url, tmp_path) as here:
        before = await kept(here)
        assert all(before[:5]), "Anna has none of what is looked after here"
        for method, path, route in with_ids(here.parts):
            right = right_of(route)
            if right is None:
                await outsiders(here, method, path)
            else:
                await at_the_door(here, method, path, right)
        assert await kept(here) == before


async def at_the_door(here: Town, method: str, route: str, right: str) -> None:
    """What strangers, holders of links and staff without the right are told of real things and of none: the same."""
    paths = [here.things.path(route, ids) for ids in (here.things.real, here.things.unknown)]
    link = {"Authorization": f"Bearer {here.tokens['t/{token}']}"}
    for headers in ({}, link):
        status = await the_same(here, method, paths, headers)
        assert status == (303 if route.startswith("/desk") and method == "GET" else 401), f"{method} {route}: {status}"
    if method == "GET" and route.startswith("/api/"):
        answer = await tried(here, method, paths[0], here.boss)
        assert answer.status_code == 200, f"{route}: what it is tried with is not real: {answer.text}"
    # Whoever has the most rights and not this one.
    lacking = [role for role in ROLES if right not in TABLE[role]]
    role = max(lacking, key=lambda one: len(TABLE[one]))
    assert await the_same(here, method, paths, here.staff[role]) == 403, f"{method} {route}"


async def outsiders(here: Town, method: str, route: str) -> None:
    """A link almost Anna's is like any that is nobody's; Bert's show what is his, whatever ids are beside it."""
    things, kinds = here.things, kinds_of(route)
    almost = things.path(route, {**things.real} | {kind: unlike(things.real[kind]) for kind in kinds})
    token = next((kind for kind in kinds if kind in here.tokens), None)
    if token is None:  # a receipt, or where alerts come from: Anna's own answers, and tells nothing of hers
        seen(await tried(here, method, things.path(route, things.real), {}))
        await the_same(here, method, [almost])
        return
    foreign = [one for kind, one in here.tokens.items() if one != here.tokens[token]]
    nobodys = [things.path(route, {**things.real} | {token: one}) for one in (unlike(here.tokens[token]), *foreign)]
    status = await the_same(here, method, [almost, *nobodys])
    assert status >= 400, f"{method} {route}: {status}"
    answer = await tried(here, method, things.path(route, {**things.real} | {token: here.tokens[token]}), {})
    seen(answer)
    assert answer.status_code < 500, answer.text
    if len(kinds) == 1 and method == "GET":
        assert answer.status_code == 200, f"{route}: Bert's own link leads nowhere"
    elif len(kinds) > 1:
        assert answer.status_code == 404, f"{route}: Anna's in Bert's case"
