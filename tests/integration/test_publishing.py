"""Publishing an update: one commit or nothing, once, and in order."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

import notify
from foundation.database import Database, Tx
from foundation.errors import Conflict, Invalid, NotFound
from incidents import (
    Component,
    Party,
    approve,
    declare,
    define_components,
    define_parties,
    draft_update,
    publish,
    register_components,
)
from incidents.audience import dispatch_key
from incidents.publishing import amend, preview_update
from incidents.records import find_incident, find_update
from tests.support.incidents import (
    BOSS,
    CHIEF,
    COMPOSER,
    NOW,
    WRITER,
    a_customer,
    a_declaration,
    a_draft,
    a_text,
    declared,
    say,
    texts,
)


async def _scalars(database: Database, query: str, **values: Any) -> list[Any]:
    async with database.transaction() as tx:
        return list((await tx.execute(text(query), values)).scalars())


async def _statuses(database: Database) -> dict[str, str]:
    async with database.transaction() as tx:
        rows = await tx.execute(text("SELECT key, status FROM components"))
        return {row.key: row.status for row in rows}


@pytest.fixture
async def check_in(database: Database) -> str:
    """The id of an incident about check-in, which two customers of three rely on."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags")])
    await a_customer(database, "C1", ("check-in", "R1", NOW + timedelta(hours=3)))
    await a_customer(database, "C2", ("check-in", "R2", None), language="nl")
    await a_customer(database, "C3", ("bags", "R3", None))
    async with database.transaction() as tx:
        return await declared(tx)


async def test_an_update_and_its_deliveries_are_one_commit(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        said = await say(tx, check_in, a_draft())
        incident = await find_incident(tx, check_in)
    assert (said.newly, said.update.number, said.update.state) == (True, 1, "published")
    assert (said.update.approved_by, said.update.published_by) == ("staff:boss", "staff:boss")
    assert incident.phase == "investigating"
    assert (await _statuses(database)) == {"check-in": "major_outage", "bags": "operational"}
    async with database.transaction() as tx:
        counts = await notify.delivery_summary(tx, dispatch_key(said.update.id))
    assert counts["planned"] == sum(counts.values()) == 2


async def test_what_breaks_after_planning_leaves_nothing_behind(database: Database, check_in: str) -> None:
    async def publish_and_break() -> None:
        async with database.transaction() as tx:
            await say(tx, check_in, a_draft())
            raise ConnectionError("the process died before the commit")

    with pytest.raises(ConnectionError):
        await publish_and_break()
    assert await _scalars(database, "SELECT state FROM updates") == []
    assert await _scalars(database, "SELECT id FROM deliveries") == []
    assert (await _statuses(database))["check-in"] == "operational"


async def test_messages_that_cannot_be_sent_leave_nothing_published(database: Database, check_in: str) -> None:
    def nothing(*_: object) -> Sequence[notify.MessageText]:
        return []

    async with database.transaction() as tx:
        written = await draft_update(tx, WRITER, check_in, a_draft(), now=NOW)
        await approve(tx, BOSS, written.id, nothing, now=NOW)
    with pytest.raises(Invalid):
        async with database.transaction() as tx:
            await publish(tx, BOSS, written.id, nothing, now=NOW)
    assert await _scalars(database, "SELECT state FROM updates") == ["approved"]


async def test_publishing_twice_plans_nothing_more_and_answers_the_same(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        first = await say(tx, check_in, a_draft())
    async with database.transaction() as tx:
        again = await publish(tx, WRITER, first.update.id, COMPOSER.messages, now=NOW + timedelta(days=2))
    assert (again.update, again.newly) == (first.update, False)
    assert len(await _scalars(database, "SELECT id FROM deliveries")) == 2
    assert len(await _scalars(database, "SELECT update_id FROM update_components")) == 1


async def test_one_update_published_by_eight_at_once_is_published_once(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        written = await draft_update(tx, WRITER, check_in, a_draft(), now=NOW)
        await approve(tx, BOSS, written.id, COMPOSER.messages, now=NOW)

    async def one() -> bool:
        async with database.transaction() as tx:
            return (await publish(tx, BOSS, written.id, COMPOSER.messages, now=NOW)).newly

    assert sorted(await asyncio.gather(*(one() for _ in range(8)))) == [False] * 7 + [True]
    assert len(await _scalars(database, "SELECT id FROM deliveries")) == 2


async def test_updates_published_at_once_get_numbers_without_gaps(database: Database, check_in: str) -> None:
    async def one() -> int | None:
        async with database.transaction() as tx:
            return (await say(tx, check_in, a_draft())).update.number

    assert sorted(await asyncio.gather(*(one() for _ in range(6))), key=int) == [1, 2, 3, 4, 5, 6]  # type: ignore[arg-type]  # published ones have numbers


async def test_newer_news_supersedes_what_is_unsent(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        older = await say(tx, check_in, a_draft())
    async with database.transaction() as tx:
        newer = await say(tx, check_in, a_draft(phase="identified"))
        before = await notify.delivery_summary(tx, dispatch_key(older.update.id))
        after = await notify.delivery_summary(tx, dispatch_key(newer.update.id))
    assert (before["superseded"], before["planned"], after["planned"]) == (2, 0, 2)


async def test_a_draft_is_not_published_before_somebody_approved_it(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        written = await draft_update(tx, WRITER, check_in, a_draft(), now=NOW)
    with pytest.raises(Conflict) as refused:
        async with database.transaction() as tx:
            await publish(tx, BOSS, written.id, COMPOSER.messages, now=NOW)
    assert refused.value.code == "not_approved"


async def test_a_promise_that_lapsed_while_waiting_stops_publication(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        written = await draft_update(tx, WRITER, check_in, a_draft(), now=NOW)
        await approve(tx, BOSS, written.id, COMPOSER.messages, now=NOW)
    with pytest.raises(Conflict) as refused:
        async with database.transaction() as tx:
            await publish(tx, BOSS, written.id, COMPOSER.messages, now=NOW + timedelta(hours=1))
    assert refused.value.code == "promise_lapsed"


async def test_the_first_approval_stays(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        written = await draft_update(tx, WRITER, check_in, a_draft(), now=NOW)
        await approve(tx, BOSS, written.id, COMPOSER.messages, now=NOW)
        again = await approve(tx, CHIEF, written.id, COMPOSER.messages, now=NOW + timedelta(minutes=1))
    assert (again.approved_by, again.approved_at) == ("staff:boss", NOW)


async def test_phases_leave_their_marks(database: Database, check_in: str) -> None:
    later = [NOW + timedelta(minutes=minutes) for minutes in range(1, 5)]
    promise = NOW + timedelta(hours=1)
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(next_update_at=promise, impact="critical"), now=later[0])
        await say(tx, check_in, a_draft(phase="monitoring", next_update_at=promise), now=later[1])
        await say(tx, check_in, a_draft(phase="monitoring", next_update_at=promise), now=later[2])
        await say(tx, check_in, a_draft(phase="resolved", component_status=None, next_update_at=None), now=later[3])
        incident = await find_incident(tx, check_in)
    assert (incident.phase, incident.impact) == ("resolved", "critical")
    assert (incident.monitoring_at, incident.resolved_at) == (later[1], later[3])
    assert (await _statuses(database))["check-in"] == "operational"


async def test_a_component_two_incidents_hold_keeps_the_worse_state(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        other = await declared(tx)
        await say(tx, other, a_draft(component_status="degraded_performance"))
        await say(tx, check_in, a_draft(component_status="major_outage"))
    assert (await _statuses(database))["check-in"] == "major_outage"
    async with database.transaction() as tx:
        await say(tx, check_in, a_draft(phase="resolved", component_status=None))
    assert (await _statuses(database))["check-in"] == "degraded_performance"
    async with database.transaction() as tx:
        await say(tx, other, a_draft(phase="resolved", component_status=None))
    assert (await _statuses(database))["check-in"] == "operational"


async def test_what_depends_on_the_named_is_journalled_and_not_declared_down(database: Database) -> None:
    async with database.transaction() as tx:
        await define_components(
            tx, [Component("power", "Power"), Component("belt", "Belt", needs=["power"]), Component("far", "Far")]
        )
        said = await say(tx, await declared(tx, components=["power"]), a_draft())
        rows = await tx.execute(
            text("SELECT component_key, old_status, new_status FROM update_components WHERE update_id = :id"),
            {"id": said.update.id},
        )
        assert {tuple(row) for row in rows} == {
            ("power", "operational", "major_outage"),
            ("belt", "operational", "operational"),
        }


async def test_a_party_and_a_scope_must_exist(database: Database, check_in: str) -> None:
    with pytest.raises(Invalid) as refused:
        async with database.transaction() as tx:
            await declare(tx, WRITER, a_declaration(components=["check-in", "nope"], groups=["none"]), now=NOW)
    assert {fault.field for fault in refused.value.faults} == {"components", "groups"}
    with pytest.raises(Invalid) as refused:
        async with database.transaction() as tx:
            await draft_update(
                tx, WRITER, check_in, a_draft(cause_certainty="suspected", cause_party="nobody"), now=NOW
            )
    assert [fault.field for fault in refused.value.faults] == ["cause_party"]


async def test_what_is_not_there_is_not_found(database: Database) -> None:
    for ask in (find_incident, find_update):
        with pytest.raises(NotFound):
            async with database.transaction() as tx:
                await ask(tx, "nothing")


async def test_an_incident_is_amended_and_widened(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        title = {"en": "All of it", "nl": "Alles"}
        with capture_logs() as logs:
            changed = await amend(
                tx, WRITER, check_in, title=title, impact="minor", components=["bags", "check-in"], now=NOW
            )
    assert [(line["incident"], line["actor"], line["changed"]) for line in logs] == [
        (check_in, "staff:writer", ["impact", "title"])
    ]
    assert (changed.title, changed.impact, changed.components) == (title, "minor", ("bags", "check-in"))
    with pytest.raises(Invalid):
        async with database.transaction() as tx:
            await amend(tx, WRITER, check_in, title={"en": "Only English"}, started_at=NOW + timedelta(days=1), now=NOW)


async def test_preview_counts_whom_publishing_reaches(database: Database, check_in: str) -> None:
    async with database.transaction() as tx:
        written = await draft_update(tx, WRITER, check_in, a_draft(), now=NOW)
        reach = await preview_update(tx, written.id, now=NOW)
    assert {(one.channel, one.language): one.recipients for one in reach} == {("mail", "en"): 1, ("mail", "nl"): 1}
    assert await _scalars(database, "SELECT id FROM deliveries") == []


async def test_messages_say_what_is_known_and_leave_braces_alone(database: Database, check_in: str) -> None:
    said = {
        "en": a_text(title="{name} is down", body="Look {here}.", cause="a cut {cable}"),
        "nl": a_text(cause="een kabel"),
    }
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "KPN {net}", "supplier")])
        await say(tx, check_in, a_draft(texts=said, cause_certainty="suspected", cause_party="kpn"))
    [body] = await _scalars(database, "SELECT body FROM messages WHERE language = 'en'")
    assert body.startswith("Hello {name},")
    assert "Look {{here}}." in body
    assert "We suspect: a cut {{cable}}. This is not confirmed." in body
    assert "the cause lies with KPN {{net}}. This is not confirmed." in body
    assert "by 8 Feb 2026, 09:30 EST" in body
    assert f"https://status.example.com/incidents/{check_in}?lang=en" in body
    assert f"https://status.example.com/claim?incident={check_in}&lang=en" in body


async def test_components_are_registered_once(database: Database) -> None:
    async def names(tx: Tx) -> list[str]:
        return list((await tx.execute(text("SELECT name FROM components ORDER BY key"))).scalars())

    async with database.transaction() as tx:
        assert await register_components(tx, ["b", "a", "b"]) == 2
        await define_components(tx, [Component("a", "Flight A", group="G", position=3)])
        assert await register_components(tx, ["a", "c"]) == 1
        assert await names(tx) == ["Flight A", "b", "c"]


async def test_defining_again_changes_nothing(database: Database) -> None:
    described = [Component("a", "A", group="G", needs=["b"]), Component("b", "B", party="kpn")]
    for _ in range(2):
        async with database.transaction() as tx:
            await define_parties(tx, [Party("kpn", "KPN", "supplier")])
            await define_components(tx, described)
    assert len(set(await _scalars(database, "SELECT updated_at FROM components"))) == 1
    assert await _scalars(database, "SELECT needs_key FROM component_dependencies") == ["b"]


async def test_two_incidents_over_the_same_components_never_deadlock(database: Database) -> None:
    async with database.transaction() as tx:
        await define_components(tx, [Component(f"k{n:03}", f"K{n}") for n in range(60)])
        keys = [f"k{n:03}" for n in range(60)]
        ids = [await declared(tx, components=order) for order in (keys, keys[::-1], keys[30:] + keys[:30])]

    async def one(incident_id: str) -> None:
        for _ in range(3):
            async with database.transaction() as tx:
                await say(tx, incident_id, a_draft(texts=texts()))

    await asyncio.gather(*(one(incident_id) for incident_id in ids))
    assert set((await _statuses(database)).values()) == {"major_outage"}
