"""What the approver sees of an update's texts: the words that will be sent, and what they will cost."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from foundation.clock import system_clock
from foundation.database import Database, driver
from incidents import Component, define_components
from notify.sms_prices import MICRO, Cost
from notify.sms_spend import reserve
from tests.support.directory import a_customer
from tests.support.smpp import PRICES
from tests.support.web import approved_by_another, client, parts_for, staff_token

EN = {"title": "Check-in’s down", "body": "It has stopped.", "advice": "Keep your booking at hand."}
NL = {"title": "Inchecken is geïmpacteerd", "body": "Het ligt stil.", "advice": "Houd uw boeking bij de hand."}


@pytest.fixture
async def api(database_url: str, database: Database, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    """Staff at the API of a process that sends texts; the directory has phones in four countries."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        everybody = [
            ("1", ["one@example.org"], ["+31612345678"], "nl"),
            ("2", [], ["+31612345679"], "nl"),
            ("3", [], ["+31687654321"], "en"),
            ("4", [], ["+12025550177"], "en"),
            ("5", [], ["+358401234567"], "en"),
        ]
        for number, mails, phones, language in everybody:
            exposures = [("check-in", "", None)]
            await a_customer(tx, number, *mails, phones=phones, language=language, exposures=exposures)
    parts = parts_for(
        database_url,
        tmp_path,
        status_dir=tmp_path / "status",
        smpp_urls=("smpp://us:pw@127.0.0.1:1",),
        sms_prices=PRICES,
        sms_cost_caps={"EUR": MICRO // 2},
    )
    token = await staff_token(parts)
    async with client(parts) as made:
        made.headers["Authorization"] = f"Bearer {token}"
        yield made


async def drafted(api: AsyncClient, **texts: dict[str, str]) -> tuple[str, str]:
    title = {"en": "Check-in is not available", "nl": "Inchecken lukt niet"}
    incident = await api.post("/api/v1/incidents", json={"title": title, "impact": "major", "components": ["check-in"]})
    promise = (system_clock() + timedelta(minutes=30)).isoformat()
    body: dict[str, Any] = {"phase": "investigating", "texts": {"en": EN, "nl": NL, **texts}}
    body |= {"next_update_at": promise, "component_status": "major_outage"}
    made = await api.post(f"/api/v1/incidents/{incident.json()['id']}/updates", json=body)
    assert made.status_code == 201, made.text
    return incident.json()["id"], made.json()["id"]


async def test_texts_are_shown_as_they_will_be_sent_with_what_was_replaced_and_what_they_cost(api: AsyncClient) -> None:
    incident, update = await drafted(api)
    found = (await api.get(f"/api/v1/updates/{update}/preview")).json()
    assert {(one["channel"], one["language"]): one["recipients"] for one in found["reach"]} == {
        ("mail", "en"): 0,
        ("mail", "nl"): 1,
        ("sms", "en"): 3,
        ("sms", "nl"): 1,
    }
    english, dutch, *_ = found["sms"]["texts"]
    link = f"https://status.example.com/incidents/{incident}?lang="
    assert english["text"] == f"Stormdesk: Check-in's down. Keep your booking at hand. {link}en"
    assert (english["encoding"], english["segments"], english["recipients"], english["at_most"]) == ("gsm7", 1, 3, 3)
    assert english["replacements"] == [{"found": "’", "replaced_by": "'", "why": "typography", "times": 1}]
    assert dutch["text"] == f"Stormdesk: Inchecken is geimpacteerd. Houd uw boeking bij de hand. {link}nl"
    assert dutch["replacements"] == [{"found": "ï", "replaced_by": "i", "why": "mark", "times": 1}]
    assert (dutch["recipients"], dutch["at_most"]) == (1, 2)
    # Two Dutch numbers at ten cents and an American one at 1.25; Finland has no sender.
    (cost,) = found["sms"]["costs"]
    assert (cost["currency"], cost["segments"], cost["cost"], cost["at_most"]) == ("EUR", 3, "0.22 EUR", "0.32 EUR")
    assert (cost["spent"], cost["cap"], cost["within_cap"]) == ("0.00 EUR", "0.50 EUR", True)
    assert found["sms"]["not_served"] == {"FI": 1}


async def test_what_has_been_spent_counts_against_the_cap(api: AsyncClient, database: Database) -> None:
    incident, update = await drafted(api)
    async with database.transaction() as tx:
        await reserve(await driver(tx), f"incident:{incident}", Cost(3, 300_000, "EUR"), MICRO)
    found = (await api.get(f"/api/v1/updates/{update}/preview")).json()
    (cost,) = found["sms"]["costs"]
    assert (cost["spent"], cost["within_cap"]) == ("0.30 EUR", False)


async def test_what_was_approved_is_what_is_planned(api: AsyncClient, database: Database) -> None:
    _, update = await drafted(api)
    shown = (await api.get(f"/api/v1/updates/{update}/preview")).json()["sms"]["texts"]
    await approved_by_another(api, database, update)
    await api.post(f"/api/v1/updates/{update}/publish")
    async with database.transaction() as tx:
        rows = await tx.execute(text("SELECT language, body FROM messages WHERE channel = 'sms' ORDER BY language"))
        assert [tuple(row) for row in rows] == sorted((one["language"], one["text"]) for one in shown)


async def test_advice_that_would_make_a_third_segment_is_left_to_the_page(api: AsyncClient) -> None:
    incident, update = await drafted(api, en={**EN, "advice": "Please keep your booking reference at hand. " * 8})
    english = (await api.get(f"/api/v1/updates/{update}/preview")).json()["sms"]["texts"][0]
    assert english["text"] == f"Stormdesk: Check-in's down. https://status.example.com/incidents/{incident}?lang=en"
    assert english["segments"] == 1


async def test_braces_in_a_text_are_text(api: AsyncClient, database: Database) -> None:
    _, update = await drafted(api, en={**EN, "title": "{name} is down for all"})
    english = (await api.get(f"/api/v1/updates/{update}/preview")).json()["sms"]["texts"][0]
    assert english["text"].startswith("Stormdesk: {name} is down for all. Keep")
    await approved_by_another(api, database, update)
    await api.post(f"/api/v1/updates/{update}/publish")
    async with database.transaction() as tx:
        body = await tx.scalar(text("SELECT body FROM messages WHERE channel = 'sms' AND language = 'en'"))
    assert body.startswith("Stormdesk: {{name}} is down for all.")


async def test_without_a_centre_nothing_is_said_of_texts(database_url: str, database: Database, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
    parts = parts_for(database_url, tmp_path, status_dir=tmp_path / "status")
    token = await staff_token(parts)
    async with client(parts) as plain:
        plain.headers["Authorization"] = f"Bearer {token}"
        _, update = await drafted(plain)
        assert (await plain.get(f"/api/v1/updates/{update}/preview")).json()["sms"] is None
        await approved_by_another(plain, database, update)
        await plain.post(f"/api/v1/updates/{update}/publish")
    async with database.transaction() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM messages WHERE channel <> 'mail'")) == 0
