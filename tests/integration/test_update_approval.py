"""From draft to publication: who writes, who approves, what an approval is for, and what happens in an emergency."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from foundation.database import Database
from foundation.errors import Conflict, Invalid
from incidents import Component, Link, Party, SegmentAdvice, approve, define_components, define_parties, draft_update
from incidents.approving import bypass_approval
from incidents.drafting import discard_update, edit_update, take_back
from incidents.journal import timeline
from incidents.publishing import amend, publish
from incidents.records import Update, find_update
from incidents.segments import Segment, define_segment
from incidents.update_preview import preview
from tests.support.incidents import BOSS, CHIEF, COMPOSER, NOW, WRITER, a_customer, a_draft, declared, say, texts

SAY = COMPOSER.messages


@pytest.fixture
async def incident(database: Database) -> str:
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "KPN", "supplier")])
        await define_components(tx, [Component("check-in", "Check-in"), Component("bags", "Bags", "Airport")])
        made = await declared(tx)
    await a_customer(database, "C1", ("check-in", "R1", None))
    await a_customer(database, "C2", ("check-in", "R2", None), language="de")
    return made


async def _drafted(database: Database, incident: str, **changes: object) -> Update:
    async with database.transaction() as tx:
        return await draft_update(tx, WRITER, incident, a_draft(**changes), now=NOW)


async def _refused(database: Database, act: Callable[..., Awaitable[object]]) -> str:
    with pytest.raises(Conflict) as refused:
        async with database.transaction() as tx:
            await act(tx)
    return refused.value.code


async def test_nobody_approves_their_own_text_not_even_past_the_rules(database: Database, incident: str) -> None:
    draft = await _drafted(database, incident)
    assert await _refused(database, lambda tx: approve(tx, WRITER, draft.id, SAY, now=NOW)) == "own_text"
    with pytest.raises(IntegrityError):
        async with database.transaction() as tx:
            await tx.execute(
                text(
                    "INSERT INTO update_approvals (update_id, revision, written_by, approved_by, approved_at, digest)"
                    " VALUES (:id, 1, 'staff:writer', 'staff:writer', now(), repeat('0', 64))"
                ),
                {"id": draft.id},
            )


@pytest.mark.parametrize("needed", [0, 1, 2])
async def test_as_many_others_approve_as_an_installation_asks(database: Database, incident: str, needed: int) -> None:
    draft = await _drafted(database, incident)
    for approver in (BOSS, CHIEF)[:needed]:
        code = await _refused(database, lambda tx: publish(tx, BOSS, draft.id, SAY, now=NOW, needed=needed))
        assert code == "not_approved"
        async with database.transaction() as tx:
            approved = await approve(tx, approver, draft.id, SAY, now=NOW, needed=needed)
    if needed:
        assert approved.state == "approved"
    async with database.transaction() as tx:
        assert (await publish(tx, BOSS, draft.id, SAY, now=NOW, needed=needed)).newly


async def test_an_edit_clears_approvals_and_the_database_holds_to_that(database: Database, incident: str) -> None:
    draft = await _drafted(database, incident)
    async with database.transaction() as tx:
        await approve(tx, BOSS, draft.id, SAY, now=NOW, needed=2)
        edited = await edit_update(tx, CHIEF, draft.id, a_draft(texts=texts(body="Better.")), now=NOW, revision=1)
    assert (edited.revision, edited.written_by, edited.created_by) == (2, "staff:chief", "staff:writer")
    assert (edited.approvals, edited.texts["en"].body) == ((), "Better.")
    assert await _refused(database, lambda tx: approve(tx, CHIEF, draft.id, SAY, now=NOW)) == "own_text"
    late = a_draft(texts=texts(body="Late."))
    assert (
        await _refused(database, lambda tx: edit_update(tx, WRITER, draft.id, late, now=NOW, revision=1))
        == "edited_meanwhile"
    )
    async with database.transaction() as tx:
        await approve(tx, WRITER, draft.id, SAY, now=NOW)
    with pytest.raises(IntegrityError):
        async with database.transaction() as tx:
            await tx.execute(text("UPDATE updates SET revision = 3"))


async def test_what_is_approved_is_changed_only_after_it_is_taken_back(database: Database, incident: str) -> None:
    draft = await _drafted(database, incident)
    async with database.transaction() as tx:
        await approve(tx, BOSS, draft.id, SAY, now=NOW)
    assert await _refused(database, lambda tx: edit_update(tx, WRITER, draft.id, a_draft(), now=NOW)) == "not_a_draft"
    async with database.transaction() as tx:
        again = await take_back(tx, WRITER, draft.id, now=NOW)
        assert (again.state, again.approvals, again.approved_by) == ("draft", (), None)
        await edit_update(tx, WRITER, draft.id, a_draft(), now=NOW)
        gone = await discard_update(tx, WRITER, draft.id, now=NOW)
    assert gone.state == "discarded"
    assert await _refused(database, lambda tx: publish(tx, BOSS, draft.id, SAY, now=NOW, needed=0)) == "not_a_draft"


async def test_what_was_published_is_never_changed(database: Database, incident: str) -> None:
    async with database.transaction() as tx:
        said = (await say(tx, incident, a_draft())).update
    assert await _refused(database, lambda tx: edit_update(tx, WRITER, said.id, a_draft(), now=NOW)) == "not_a_draft"
    assert await _refused(database, lambda tx: discard_update(tx, WRITER, said.id, now=NOW)) == "not_a_draft"
    for change in (
        "UPDATE updates SET cause_evidence = 'x'",
        "UPDATE updates SET state = 'draft'",
        "DELETE FROM updates",
    ):
        with pytest.raises(IntegrityError, match="never changed"):
            async with database.transaction() as tx:
                await tx.execute(text(change))


async def test_an_approval_is_for_one_text_and_one_audience(database: Database, incident: str) -> None:
    draft = await _drafted(database, incident, cause_certainty="suspected", cause_party="kpn")
    async with database.transaction() as tx:
        seen = (await preview(tx, draft.id, SAY, needed=1, texting=None, now=NOW)).digest
        await approve(tx, BOSS, draft.id, SAY, now=NOW, seen=seen)
    async with database.transaction() as tx:
        await amend(tx, WRITER, incident, components=["bags"], now=NOW)
    publishing = _refused(database, lambda tx: publish(tx, BOSS, draft.id, SAY, now=NOW))
    assert await publishing == "approval_outdated"
    assert (
        await _refused(database, lambda tx: approve(tx, CHIEF, draft.id, SAY, now=NOW, seen=seen))
        == "changed_meanwhile"
    )
    async with database.transaction() as tx:
        again = await approve(tx, CHIEF, draft.id, SAY, now=NOW)
        assert [one.approved_by for one in again.approvals] == ["staff:chief"]
        await define_parties(tx, [Party("kpn", "KPN Netwerk", "supplier")])
    assert await _refused(database, lambda tx: publish(tx, BOSS, draft.id, SAY, now=NOW)) == "approval_outdated"
    renamed = replace(COMPOSER, page_name="Another page").messages
    assert await _refused(database, lambda tx: publish(tx, BOSS, draft.id, renamed, now=NOW)) == "approval_outdated"


async def test_an_emergency_needs_a_reason_and_stays_visible(database: Database, incident: str) -> None:
    draft = await _drafted(database, incident)
    with pytest.raises(Invalid):
        async with database.transaction() as tx:
            await bypass_approval(tx, WRITER, draft.id, "  quick ", SAY, now=NOW)
    async with database.transaction() as tx:
        approved = await bypass_approval(tx, WRITER, draft.id, "Gates close in\n five minutes.", SAY, now=NOW)
        assert approved.state == "approved"
        said = (await publish(tx, WRITER, draft.id, SAY, now=NOW, needed=2)).update
    assert said.bypassed is not None
    assert (said.bypassed.approved_by, said.bypassed.bypass_reason) == ("staff:writer", "Gates close in five minutes.")
    async with database.transaction() as tx:
        happened = [(one.event, one.details.get("reason")) for one in await timeline(tx, incident)]
        facts = (await tx.execute(text("SELECT approvals, bypassed FROM update_facts"))).one()
    assert ("approval_bypassed", "Gates close in five minutes.") in happened
    assert tuple(facts) == (0, "yes")


async def test_the_preview_shows_exactly_what_goes_out_and_what_is_doubtful(database: Database, incident: str) -> None:
    advice = SegmentAdvice("germans", "You read German", "Use the kiosk.", (Link("Kiosks", "https://a.example/k"),))
    said = texts(
        body="It stopped due to a cut cable.", advice_for=(advice,), links=(Link("Call us", "tel:+31201234567"),)
    )
    async with database.transaction() as tx:
        await define_segment(tx, WRITER, Segment("germans", {"en": "German", "nl": "Duits"}, languages=["de"]), now=NOW)
    draft = await _drafted(database, incident, texts=said)
    async with database.transaction() as tx:
        shown = await preview(tx, draft.id, SAY, needed=1, texting=None, now=NOW)
        assert shown.recipients == 2
        missing = {one.language: (one.instead, one.recipients) for one in shown.missing}
        assert missing == {"de": ("English", 1), "fr": ("English", 0), "es": ("English", 0)}
        assert [one.field for one in shown.stated_as_fact] == ["texts.en.body"]
        assert [(one.key, one.people) for one in shown.segments] == [("germans", 1)]
        assert (shown.approvals.needed, shown.approvals.given) == (1, [])
        await approve(tx, BOSS, draft.id, SAY, now=NOW, seen=shown.digest)
        await publish(tx, BOSS, draft.id, SAY, now=NOW)
        bodies = await tx.execute(text("SELECT language, subject, body FROM messages WHERE channel = 'mail'"))
        stored = {row.language: row for row in bodies}
    mails = {one.language: one for one in shown.mail}
    assert set(mails) == {"en", "nl", "de", "fr", "es"} == set(stored)
    english = mails["en"]
    assert english.subject == stored["en"].subject
    for part in (
        "Call us: +31201234567",
        "You read German\nUse the kiosk.\nKiosks: https://a.example/k",
        "Hello [name],",
    ):
        assert part in english.text
    assert '<a href="https://a.example/k"' in english.html
    assert "auf Englisch" in mails["de"].text.partition("Check-in")[0]
    plain = stored["en"].body.replace("{heading}", "").replace("{footer}", "---").rstrip("\n")
    for slot in ("name", "leave_url", "check_code"):
        plain = plain.replace("{" + slot + "}", f"[{slot}]")
    assert english.text.rstrip("\n") == plain


async def test_a_correction_is_linked_both_ways_says_what_was_wrong_and_reaches_who_got_it(
    database: Database, incident: str
) -> None:
    async with database.transaction() as tx:
        wrong = (await say(tx, incident, a_draft(texts=texts(title="All flights are cancelled")))).update
        await tx.execute(
            text(
                "UPDATE deliveries SET state = 'accepted', final_at = now() WHERE customer_id ="
                " (SELECT id FROM customers WHERE number = 'C1')"
            )
        )
    with pytest.raises(Invalid) as refused:
        await _drafted(database, incident, corrects=wrong.id)
    assert {fault.field for fault in refused.value.faults} == {"texts.en.wrong", "texts.nl.wrong"}
    right = a_draft(corrects=wrong.id, texts=texts(wrong="Not all of them: only those after noon."))
    async with database.transaction() as tx:
        said = (await say(tx, incident, right, now=NOW + timedelta(minutes=1))).update
        before = await find_update(tx, wrong.id)
        told = await tx.execute(
            text(
                "SELECT c.number, d.state, m.body FROM deliveries d JOIN customers c ON c.id = d.customer_id"
                " JOIN dispatches p ON p.id = d.dispatch_id JOIN messages m ON m.id = d.message_id WHERE p.key = :key"
            ),
            {"key": f"update:{said.id}"},
        )
        rows = told.all()
    assert (said.corrects, before.corrected_by) == (wrong.id, said.id)
    assert [row.number for row in rows] == ["C1"]
    assert "“All flights are cancelled”" in rows[0].body
    assert "Not all of them: only those after noon." in rows[0].body
    with pytest.raises(Invalid) as twice:
        await _drafted(database, incident, corrects=wrong.id, texts=texts(wrong="Again."))
    assert said.id in twice.value.faults[0].message


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "http://a.example", "data:text/html,x", "https://a b", 'https://a"']
)
async def test_links_lead_nowhere_dangerous(database: Database, incident: str, url: str) -> None:
    with pytest.raises(Invalid) as refused:
        await _drafted(database, incident, texts=texts(links=(Link("Here", url),)))
    assert {fault.field for fault in refused.value.faults} == {"texts.en.links.0.url", "texts.nl.links.0.url"}
