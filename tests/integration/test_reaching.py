"""Staff look after how people are reached: over the API and at the desk, with rights, and on record."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.wiring import Parts
from notify import preview, take_reports
from notify.reports import Report, waiting_step
from tests.support.desk import a_person, field, signed_in
from tests.support.people import everyone, people
from tests.support.web import client, parts_for, staff_token


@pytest.fixture
async def parts(database_url: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = parts_for(database_url, tmp_path)
    await people(made.database, 3)
    async with made.database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO addresses (customer_id, channel, value) "
                "SELECT id, 'sms', '+3161234000' || id FROM customers"
            )
        )
        await tx.execute(
            text(
                "UPDATE addresses SET health = 'suppressed', suppressed_because = 'soft_bounces'"
                " WHERE value = 'p2@example.org'"
            )
        )
        await tx.execute(
            text("INSERT INTO opt_outs (customer_id, topic, how) SELECT min(id), 'news', 'page' FROM customers")
        )
    yield made
    await made.database.close()


@pytest.fixture
async def api(parts: Parts) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(parts) as web:
        web.headers["Authorization"] = f"Bearer {await staff_token(parts)}"
        yield web


async def rows(parts: Parts, statement: str) -> list[Any]:
    async with parts.database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(statement))]


async def test_how_a_customer_is_reached_is_shown(api: httpx2.AsyncClient) -> None:
    first = (await api.get("/api/v1/customers/C1/reach")).json()
    assert (first["name"], first["prefers"]) == ("Zoë 1", None)
    assert [(one["channel"], one["health"]) for one in first["addresses"]] == [("mail", "usable"), ("sms", "usable")]
    assert [one["topic"] for one in first["left"]] == ["news"]
    second = (await api.get("/api/v1/customers/C2/reach")).json()
    assert [one["may_be_lifted"] for one in second["addresses"]] == [True, False]
    assert (await api.get("/api/v1/customers/C9/reach")).json()["code"] == "no_such_customer"


async def test_a_preference_counts_from_the_next_update_on(api: httpx2.AsyncClient, parts: Parts) -> None:
    answer = await api.put("/api/v1/customers/C3/preference", json={"channel": "sms"})
    assert answer.json()["prefers"] == "sms"
    async with parts.database.transaction() as tx:
        reach = await preview(tx, everyone(), ["en"], ["mail", "sms"])
    assert {one.channel: one.recipients for one in reach} == {"mail": 1, "sms": 2}  # C2's mailbox was given up
    assert (await api.put("/api/v1/customers/C3/preference", json={"channel": None})).json()["prefers"] is None
    assert (await api.put("/api/v1/customers/C3/preference", json={"channel": "pigeon"})).status_code == 422
    assert (await api.put("/api/v1/customers/C9/preference", json={"channel": "sms"})).status_code == 404
    record = await rows(parts, "SELECT action, object, outcome FROM audit_log ORDER BY id LIMIT 1")
    assert record == [("customers.change put", "customers/C3/preference", "done")]


async def test_an_address_is_used_again_with_a_reason_on_record(api: httpx2.AsyncClient, parts: Parts) -> None:
    lift = {"channel": "mail", "address": "p2@example.org", "reason": "She says there is room again."}
    refused = await api.post("/api/v1/addresses/lift", json={**lift, "reason": " "})
    assert (refused.status_code, "Write a reason." in refused.text) == (422, True)
    assert (await api.post("/api/v1/addresses/lift", json=lift)).json() == {"customers": 1}
    assert (await api.post("/api/v1/addresses/lift", json=lift)).json()["code"] == "not_suppressed"
    assert (await api.post("/api/v1/addresses/lift", json={**lift, "address": "x"})).json()["code"] == "no_such_address"
    assert await rows(parts, "SELECT event, reason FROM address_journal") == [("lifted", lift["reason"])]
    (deed,) = await rows(parts, "SELECT object, reason FROM audit_log WHERE outcome = 'done'")
    assert deed == ("addresses/lift: p2@example.org", lift["reason"])


async def test_seeds_are_replaced_as_a_whole(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/api/v1/seeds")).json() == {"seeds": []}
    assert (await api.put("/api/v1/seeds", json={"customers": ["C2", "C1"]})).status_code == 200
    assert (await api.put("/api/v1/seeds", json={"customers": ["C3", "C9"]})).json()[
        "detail"
    ] == "There is no customer C9."
    found = (await api.get("/api/v1/seeds")).json()["seeds"]
    assert [one["customer_number"] for one in found] == ["C1", "C2"]
    assert (await api.put("/api/v1/seeds", json={"customers": []})).json() == {"seeds": []}


async def strays(parts: Parts, count: int) -> None:
    at = datetime(2026, 2, 8, tzinfo=UTC)
    reports = [
        Report("mail", f"k{n}", b"raw", None, "hard_bounce", "5.1.1", f"<b>{n}</b>", at) for n in range(1, count + 1)
    ]
    async with parts.database.transaction() as tx:
        await take_reports(tx, reports)
    await waiting_step(parts.database)


async def test_reports_without_a_delivery_are_listed_page_by_page(api: httpx2.AsyncClient, parts: Parts) -> None:
    await strays(parts, 3)
    first = (await api.get("/api/v1/reports/stray", params={"limit": 2})).json()
    assert [one["text"] for one in first["reports"]] == ["<b>3</b>", "<b>2</b>"]
    rest = (await api.get("/api/v1/reports/stray", params={"before": first["next"]})).json()
    assert ([one["text"] for one in rest["reports"]], rest["next"]) == (["<b>1</b>"], None)


async def test_at_the_desk_an_agent_changes_a_customer_and_a_commander_the_seeds(parts: Parts) -> None:
    await strays(parts, 1)
    async with client(parts) as web:
        await signed_in(web, parts, await a_person(parts, "noor", "agent"))
        page = await web.get("/desk/customers/C2")
        assert "soft_bounces" in page.text
        csrf = field(page)
        answer = await web.post("/desk/customers/C2/preference", data={"csrf": csrf, "channel": "sms"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/desk/customers/C2")
        lift = {"csrf": csrf, "channel": "mail", "address": "p2@example.org", "reason": "Room again."}
        assert (await web.post("/desk/customers/C2/lift", data=lift)).status_code == 303
        page = await web.get("/desk/customers/C2")
        assert "soft_bounces" not in page.text
        assert 'value="sms" selected' in page.text
        assert (await web.post("/desk/sending/seeds", data={"csrf": csrf, "numbers": "C1"})).status_code == 403
    async with client(parts) as web:
        await signed_in(web, parts, await a_person(parts, "lee", "commander"))
        page = await web.get("/desk/sending")
        assert "&lt;b&gt;1&lt;/b&gt;" in page.text
        answer = await web.post("/desk/sending/seeds", data={"csrf": field(page), "numbers": "C9"})
        assert (answer.status_code, "There is no customer C9." in answer.text) == (422, True)
        await web.post("/desk/sending/seeds", data={"csrf": field(page), "numbers": "C1\r\nC3, C1"})
        assert "Zoë 3" in (await web.get("/desk/sending")).text
    assert await rows(parts, "SELECT count(*) FROM seeds") == [(2,)]
    deeds = await rows(parts, "SELECT actor, object FROM audit_log WHERE action = 'seeds.manage post'")
    assert ("staff:lee", "desk/sending/seeds: C1, C3") in deeds
