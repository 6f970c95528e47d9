"""Whoever follows hears every update: counted before, told once, after those it concerns; machines as by Statuspage."""

import json
from datetime import timedelta
from typing import Any

import pytest

import notify
from foundation.database import Database, driver
from incidents import Component, define_components, draft_update
from incidents.audience import dispatch_key
from incidents.publishing import preview_update
from notify.following import confirm, stop_following
from notify.outbox import begin, claim
from tests.support.followers import a_subscriber
from tests.support.incidents import NOW, WRITER, a_customer, a_draft, declared, say, texts


@pytest.fixture
async def incidents(database: Database) -> tuple[str, str]:
    """An incident about check-in, on which C1 and C2 rely, and another one."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags")])
    await a_customer(database, "C1", ("check-in", "R1", NOW + timedelta(hours=3)))
    await a_customer(database, "C2", ("check-in", "R2", None))
    await a_customer(database, "C3", ("bags", "R3", None))
    async with database.transaction() as tx:
        return await declared(tx), await declared(tx, components=["bags"])


async def rows(database: Database, query: str, *values: Any) -> list[Any]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query, *values)]


_TOLD = """
SELECT c.number, d.channel, d.state FROM deliveries d JOIN customers c ON c.id = d.customer_id
  JOIN dispatches p ON p.id = d.dispatch_id WHERE p.key = $1 ORDER BY d.needed_at, d.id
"""


async def test_followers_are_told_after_those_concerned_and_only_of_what_they_follow(
    database: Database, incidents: tuple[str, str]
) -> None:
    this, other = incidents
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-PAGE", "page@example.org", None)
        await a_subscriber(tx, "S-THIS", "this@example.org", this)
        await a_subscriber(tx, "S-BOTH", "both@example.org", None, this)
        await a_subscriber(tx, "S-OTHER", "other@example.org", other)
        await a_subscriber(tx, "S-NEVER", "never@example.org")
        said = await say(tx, this, a_draft())
    told = await rows(database, _TOLD, dispatch_key(said.update.id))
    assert told[0] == ("C1", "mail", "planned"), "who leaves soonest comes first"
    assert {one[0] for one in told} == {"C1", "C2", "S-PAGE", "S-THIS", "S-BOTH"}
    assert len(told) == 5


async def test_the_preview_counts_followers_and_machines(database: Database, incidents: tuple[str, str]) -> None:
    this, _ = incidents
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-PAGE", "page@example.org", None)
        await a_subscriber(tx, "S-HOOK", "https://hooks.example.com/", None, channel="webhook")
        written = await draft_update(tx, WRITER, this, a_draft(), now=NOW)
        reach = await preview_update(tx, written.id, now=NOW)
    assert {(one.channel, one.language): one.recipients for one in reach if one.recipients} == {
        ("mail", "en"): 3,
        ("webhook", "en"): 1,
    }


async def test_who_is_concerned_and_also_follows_is_told_once(database: Database, incidents: tuple[str, str]) -> None:
    this, _ = incidents
    [(address,)] = await rows(
        database, "SELECT a.value FROM addresses a JOIN customers c ON c.id = a.customer_id WHERE c.number = 'C1'"
    )
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-SAME", address, None)
        said = await say(tx, this, a_draft())
    told = [one[0] for one in await rows(database, _TOLD, dispatch_key(said.update.id))]
    assert sorted(told) == ["C1", "C2"]


async def test_who_follows_is_told_of_what_does_not_concern_them_as_a_customer(
    database: Database, incidents: tuple[str, str]
) -> None:
    _, other = incidents
    [(address,)] = await rows(
        database, "SELECT a.value FROM addresses a JOIN customers c ON c.id = a.customer_id WHERE c.number = 'C1'"
    )
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-SAME", address, None)
        said = await say(tx, other, a_draft())
    assert {one[0] for one in await rows(database, _TOLD, dispatch_key(said.update.id))} == {"C3", "S-SAME"}


async def test_a_follower_whose_customer_cannot_be_reached_there_is_told(
    database: Database, incidents: tuple[str, str]
) -> None:
    this, _ = incidents
    [(address,)] = await rows(
        database,
        "UPDATE addresses a SET consent = false FROM customers c"
        " WHERE c.id = a.customer_id AND c.number = 'C1' RETURNING a.value",
    )
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-SAME", address, this)
        said = await say(tx, this, a_draft())
    told = await rows(database, _TOLD, dispatch_key(said.update.id))
    assert ("S-SAME", "mail", "planned") in told
    assert ("C1", "mail", "suppressed") in told


async def test_machines_are_told_in_statuspages_words(database: Database, incidents: tuple[str, str]) -> None:
    this, _ = incidents
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-HOOK", "https://hooks.example.com/", this, channel="webhook")
        await a_subscriber(tx, "S-OTHER", "https://other.example.com/", incidents[1], channel="webhook")
        said = await say(tx, this, a_draft())
        counts = await notify.delivery_summary(tx, dispatch_key(said.update.id))
    assert sum(counts.values()) == counts["planned"] == 3
    told = await rows(database, _TOLD, dispatch_key(said.update.id))
    assert [one[0] for one in told if one[1] == "webhook"] == ["S-HOOK"]
    [(body,)] = await rows(database, "SELECT body FROM messages WHERE channel = 'webhook'")
    told = json.loads(body.replace("{{", "{").replace("}}", "}"))
    assert told["page"]["status_indicator"] == "major"
    assert told["page"]["status_description"] == "Partial System Outage"
    incident = told["incident"]
    assert (incident["id"], incident["name"], incident["status"]) == (
        this,
        "Check-in is not available",
        "investigating",
    )
    [update] = incident["incident_updates"]
    assert update["id"] == said.update.id
    assert update["body"].startswith("Check-in has stopped at all airports.")
    assert [one["name"] for one in incident["components"]] == ["Check-in"]
    assert {"backfilled", "impact_override", "postmortem_body", "scheduled_for", "organization_id"} < set(incident)


async def test_the_last_update_tells_machines_that_it_is_over(database: Database, incidents: tuple[str, str]) -> None:
    this, _ = incidents
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-HOOK", "https://hooks.example.com/", this, channel="webhook")
        await say(tx, this, a_draft(phase="resolved", component_status=None, next_update_at=None))
    [(body,)] = await rows(database, "SELECT body FROM messages WHERE channel = 'webhook'")
    told = json.loads(body.replace("{{", "{").replace("}}", "}"))
    assert told["incident"]["status"] == "resolved"
    assert told["incident"]["resolved_at"] is not None


async def test_newer_news_overtakes_with_machines_as_with_people(
    database: Database, incidents: tuple[str, str]
) -> None:
    this, _ = incidents
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-HOOK", "https://hooks.example.com/", this, channel="webhook")
        await a_subscriber(tx, "S-MAIL", "mail@example.org", this)
        first = await say(tx, this, a_draft())
        second = await say(tx, this, a_draft(), now=NOW + timedelta(minutes=1))
    assert {one[2] for one in await rows(database, _TOLD, dispatch_key(first.update.id))} == {"superseded"}
    assert {one[2] for one in await rows(database, _TOLD, dispatch_key(second.update.id))} == {"planned"}


async def test_a_correction_reaches_the_followers_and_machines_that_were_told_and_nobody_else(
    database: Database, incidents: tuple[str, str]
) -> None:
    this, _ = incidents
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-HOOK", "https://hooks.example.com/", this, channel="webhook")
        await a_subscriber(tx, "S-MAIL", "mail@example.org", this)
        wrong = await say(tx, this, a_draft())
    await rows(database, "UPDATE deliveries SET state = 'accepted', final_at = now()")
    await rows(database, "DELETE FROM batches")
    async with database.transaction() as tx:
        await stop_following(tx, "S-HOOK")
        await a_subscriber(tx, "S-LATE", "late@example.org", None)
        correction = a_draft(corrects=wrong.update.id, texts=texts(wrong="It was not the cable."))
        right = await say(tx, this, correction, now=NOW + timedelta(minutes=1))
    told = await rows(database, _TOLD, dispatch_key(right.update.id))
    assert {one[0] for one in told if one[2] == "planned"} == {"C1", "C2", "S-MAIL"}
    assert {one[0] for one in told if one[2] == "suppressed"} == {"S-HOOK"}, "who said no more gets no more"
    assert len(told) == 4


async def test_who_stopped_the_news_with_the_link_in_a_mail_hears_no_more_until_they_follow_anew(
    database: Database, incidents: tuple[str, str]
) -> None:
    this, other = incidents
    async with database.transaction() as tx:
        one = await a_subscriber(tx, "S-ONE", "one@example.org", None)
        everything = await a_subscriber(tx, "S-ALL", "all@example.org", None)
    left = "INSERT INTO opt_outs (customer_id, topic, how) VALUES ($1, $2, 'page')"
    await rows(database, left, one, f"incident:{this}")
    await rows(database, left, everything, "news")
    assert await _followers_told(database, this) == set()
    assert await _followers_told(database, other) == {"S-ONE"}
    async with database.transaction() as tx:
        await (await driver(tx)).execute(
            "INSERT INTO follow_requests (channel, address, host, language, client, customer_id, created_at)"
            " SELECT 'mail', 'x', 'x', 'en', 'x', id, $1 FROM customers WHERE kind = 'subscriber'",
            NOW,
        )
        for row in await (await driver(tx)).fetch("SELECT id FROM follow_requests"):
            await confirm(tx, row[0], now=NOW)
    assert await _followers_told(database, this) == {"S-ONE", "S-ALL"}


async def test_who_stops_following_gets_neither_what_was_planned_nor_its_correction(
    database: Database, incidents: tuple[str, str]
) -> None:
    this, _ = incidents
    async with database.transaction() as tx:
        await a_subscriber(tx, "S-ONE", "one@example.org", this)
        await a_subscriber(tx, "S-ALL", "all@example.org", None)
    assert await _followers_told(database, this) == {"S-ONE", "S-ALL"}
    async with database.transaction() as tx:
        await stop_following(tx, "S-ONE", this)
        await stop_following(tx, "S-ALL")
        await stop_following(tx, "S-ALL")
    async with database.transaction() as tx:
        states, claimed = await claim(await begin(tx), "mail", 100, timedelta(seconds=60))
    assert not [one for one in claimed if one.customer_number.startswith("S-")]
    assert dict(states) == {"suppressed": 2}
    assert await rows(database, "SELECT topic FROM opt_outs ORDER BY 1") == [(f"incident:{this}",), ("news",)]


async def _followers_told(database: Database, incident: str) -> set[str]:
    async with database.transaction() as tx:
        said = await say(tx, incident, a_draft())
    told = await rows(database, _TOLD, dispatch_key(said.update.id))
    return {one[0] for one in told if one[0].startswith("S-") and one[2] == "planned"}
