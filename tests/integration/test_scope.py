"""Whom an incident concerns, what overlaps, and what those hear for whom that changes."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, Invalid, NotFound
from incidents import Component, approve, define_components
from incidents.audience import Scope
from incidents.publishing import publish
from incidents.scope import change_scope, overlaps, preview_audience, sample_audience
from incidents.segments import Segment, define_segment
from incidents.update_templates import (
    UpdateTemplate,
    all_templates,
    define_template,
    drop_template,
    plain_moment,
    start_from,
)
from tests.support.incidents import BOSS, COMPOSER, NOW, WRITER, a_customer, a_draft, a_text, declared, say, texts

SOON, LATER = NOW + timedelta(hours=2), NOW + timedelta(hours=30)


@pytest.fixture
async def incident(database: Database) -> str:
    async with database.transaction() as tx:
        parts = [Component("check-in", "Check-in"), Component("bags", "Bags", "Airport")]
        await define_components(tx, [*parts, Component("kiosk", "Kiosk", needs=["check-in"])])
        await define_segment(
            tx,
            WRITER,
            Segment("today", {"en": "You leave today", "nl": "U vertrekt vandaag"}, until_minutes=600),
            now=NOW,
        )
        made = await declared(tx)
    await a_customer(database, "C1", ("check-in", "R1", SOON), ("bags", "R1", SOON))
    await a_customer(database, "C2", ("kiosk", "R2", LATER), language="nl")
    await a_customer(database, "C3", ("bags", "R3", SOON))
    return made


async def _told(database: Database, update_id: str) -> set[str]:
    async with database.transaction() as tx:
        rows = await tx.execute(
            text(
                "SELECT c.number FROM deliveries d JOIN customers c ON c.id = d.customer_id"
                " JOIN dispatches p ON p.id = d.dispatch_id WHERE p.key = :key"
            ),
            {"key": f"update:{update_id}"},
        )
        return set(rows.scalars())


async def test_a_change_of_scope_drafts_what_the_two_groups_must_hear(database: Database, incident: str) -> None:
    async with database.transaction() as tx:
        await say(tx, incident, a_draft())
        changed = await change_scope(
            tx, WRITER, incident, Scope(components=["bags"]), plain_moment, now=NOW + timedelta(minutes=1)
        )
    assert (changed.joined, changed.left) == (1, 1)
    joined, left = changed.drafts
    assert (joined.audience, left.audience, joined.state, left.state) == ("joined", "left", "draft", "draft")
    assert joined.texts["en"].title == "Check-in is not available: this concerns you too"
    assert "Check-in has stopped at all airports." in joined.texts["en"].body
    assert set(left.texts) == {"en", "nl", "de", "fr", "es"}
    later = NOW + timedelta(minutes=2)
    async with database.transaction() as tx:
        for draft in changed.drafts:
            await approve(tx, BOSS, draft.id, COMPOSER.messages, now=later)
            await publish(tx, BOSS, draft.id, COMPOSER.messages, now=later)
        farewell = await tx.scalar(
            text(
                "SELECT m.body FROM messages m JOIN dispatches p ON p.id = m.dispatch_id"
                " WHERE p.key = :key AND m.language = 'en'"
            ),
            {"key": f"update:{left.id}"},
        )
    assert await _told(database, joined.id) == {"C3"}
    assert await _told(database, left.id) == {"C2"}
    assert "We will tell you more by" not in farewell
    # Both have been told, so the same scope again changes nothing for anybody; and coming back is being new again.
    async with database.transaction() as tx:
        again = await change_scope(tx, WRITER, incident, Scope(components=["bags"]), plain_moment, now=later)
        assert (again.joined, again.left, again.drafts) == (0, 0, ())
        back = await change_scope(tx, WRITER, incident, Scope(components=["bags", "check-in"]), plain_moment, now=later)
    assert (back.joined, back.left) == (1, 0)


async def test_before_the_first_update_there_is_nobody_to_tell(database: Database, incident: str) -> None:
    async with database.transaction() as tx:
        changed = await change_scope(tx, WRITER, incident, Scope(groups=["Airport"]), plain_moment, now=NOW)
        assert (changed.incident.groups, changed.drafts) == (("Airport",), ())
        await say(tx, incident, a_draft(phase="resolved", next_update_at=None, component_status=None))
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await change_scope(tx, WRITER, incident, Scope(groups=["Airport"]), plain_moment, now=NOW)


async def test_a_scope_names_what_exists(database: Database, incident: str) -> None:
    scope = Scope(components=["none"], segments=["nobody"], needed_from=LATER, needed_until=SOON)
    with pytest.raises(Invalid) as refused:
        async with database.transaction() as tx:
            await change_scope(tx, WRITER, incident, scope, plain_moment, now=NOW)
    assert {fault.field for fault in refused.value.faults} == {"components", "segments", "needed_until"}


async def test_an_audience_is_counted_and_sampled_before_anybody_is_told(database: Database, incident: str) -> None:
    async with database.transaction() as tx:
        whole = await preview_audience(tx, incident, NOW)
        assert (whole.people, whole.soonest, whole.no_time) == (2, SOON, 0)
        assert [(one.key, one.people) for one in whole.components] == [("check-in", 1), ("kiosk", 1)]
        assert {(one.key, one.people) for one in whole.languages} == {("en", 1), ("nl", 1)}
        assert {one.customer_number for one in await sample_audience(tx, incident, NOW)} == {"C1", "C2"}
        narrowed = Scope(["check-in"], ["Airport"], ["today"])
        part = await preview_audience(tx, narrowed, NOW)
        assert (part.people, [(one.key, one.people) for one in part.segments]) == (2, [("today", 2)])
        window = Scope(["check-in"], needed_from=NOW + timedelta(hours=24))
        assert [one.customer_number for one in await sample_audience(tx, window, NOW)] == ["C2"]


async def test_overlap_is_visible(database: Database, incident: str) -> None:
    async with database.transaction() as tx:
        other = await declared(tx, components=["bags"])
        await declared(tx, components=["kiosk"])
        found = await overlaps(tx, incident, NOW)
    assert [(one.people, one.components) for one in found if one.incident_id == other] == [(1, [])]
    assert [(one.people, one.components) for one in found if one.incident_id != other] == [(1, ["kiosk"])]


async def test_a_draft_starts_from_a_template_and_its_own_ones_stand_in(database: Database, incident: str) -> None:
    async with database.transaction() as tx:
        started = await start_from(tx, incident, "investigating", plain_moment, next_update_at=SOON)
        assert set(started) == {"en", "nl", "de", "fr", "es"}
        assert started["de"].title == "Check-in is not available"
        assert "2026-02-08 16:10 UTC" in started["en"].advice
        assert "Check-in." in started["nl"].body
        own = UpdateTemplate("investigating", "investigating", "Ours", texts(body="{title}: {latest}"))
        await define_template(tx, WRITER, own, now=NOW)
        assert [one.own for one in await all_templates(tx) if one.key == "investigating"] == [True]
        said = (await start_from(tx, incident, "investigating", plain_moment))["en"].body
        assert said == "Check-in is not available: …"
        await drop_template(tx, "investigating")
        with pytest.raises(NotFound):
            await drop_template(tx, "investigating")


async def test_an_unknown_placeholder_is_refused_with_a_sentence(database: Database) -> None:
    bad = UpdateTemplate("ours", "identified", "Ours", {"en": a_text(body="{{ 7*7 }} {config}"), "nl": a_text()})
    with pytest.raises(Invalid) as refused:
        async with database.transaction() as tx:
            await define_template(tx, WRITER, bad, now=NOW)
    assert [fault.field for fault in refused.value.faults] == ["texts.en.body", "texts.en.body"]
    assert "“{config}” is no placeholder. There are {title}, " in refused.value.faults[1].message
