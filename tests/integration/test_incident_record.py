"""What is known of an incident afterwards: how long the first word took, what parties confirmed, what was found out."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict
from incidents import Component, Party, define_components, define_parties
from incidents.affected import affected_by_incident
from incidents.confirmations import Confirmation, note_confirmation
from incidents.notice import notice_clock
from incidents.postmortems import postmortems_of, publish_postmortem, write_postmortem
from incidents.snapshot import read_snapshot
from tests.support import directory
from tests.support.incidents import BOSS, NOW, WRITER, a_customer, a_draft, declared, say

MINUTE = timedelta(minutes=1)
TEXTS = {"en": "A switch failed.", "nl": "Een switch ging stuk."}


@pytest.fixture
async def outage(database: Database) -> str:
    """An incident about check-in, which BSM stands under, and on which ten customers rely; one cannot be reached."""
    async with database.transaction() as tx:
        await define_parties(tx, [Party("kpn", "KPN", "supplier")])
        await define_components(
            tx,
            [
                Component("check-in", "Check-in"),
                Component("bags", "Bags", needs=["check-in"]),
                Component("DL 1", "DL 1", "Flights", needs=["bags"]),
            ],
        )
        await directory.a_customer(tx, "C0", exposures=[("check-in", "R", None)])
    for number in range(1, 10):
        await a_customer(database, f"C{number}", ("check-in", "R", None))
    async with database.transaction() as tx:
        return await declared(tx, now=NOW)


async def _accepted(database: Database, *minutes: int) -> None:
    """The first deliveries that wait were accepted so many minutes after NOW."""
    accept = """
        UPDATE deliveries SET state = 'accepted', final_at = :at
         WHERE id = (SELECT min(id) FROM deliveries WHERE final_at IS NULL)
    """
    async with database.transaction() as tx:
        for minute in minutes:
            await tx.execute(text(accept), {"at": NOW + minute * MINUTE})


async def test_the_clock_runs_from_when_we_knew_to_the_last_person(database: Database, outage: str) -> None:
    async with database.transaction() as tx:
        before = await notice_clock(tx, outage, now=NOW)
        await say(tx, outage, a_draft(), now=NOW)
    assert (before.heard.people, before.median_after, before.met) == (0, None, None)
    await _accepted(database, 4, 5, 6)
    async with database.transaction() as tx:
        some = await notice_clock(tx, outage, now=NOW + 7 * MINUTE)
        late = await notice_clock(tx, outage, now=NOW + 31 * MINUTE)
    assert (some.heard.people, some.heard.told, some.heard.waiting, some.heard.unreachable) == (10, 3, 6, 1)
    assert (some.first_after, some.median_after, some.last_after) == (4 * MINUTE, None, None)
    assert (some.met, late.met) == (None, False)
    await _accepted(database, 7, 8, 9, 10, 11, 31)
    async with database.transaction() as tx:
        done = await notice_clock(tx, outage, now=NOW + timedelta(hours=2))
        longer = await notice_clock(tx, outage, now=NOW + timedelta(hours=2), usual=timedelta(hours=1))
    assert (done.median_after, done.p95_after, done.last_after) == (8 * MINUTE, 31 * MINUTE, 31 * MINUTE)
    assert (done.heard.within_limit, done.met, longer.met) == (8, False, True)


async def test_what_depends_on_it_is_affected_through_the_shortest_way(database: Database, outage: str) -> None:
    async with database.transaction() as tx:
        found = await affected_by_incident(tx, outage)
    assert [(one.key, list(one.through)) for one in found] == [
        ("check-in", []),
        ("bags", ["check-in"]),
        ("DL 1", ["check-in", "bags"]),
    ]


async def test_a_postmortem_is_published_once_it_is_over_and_then_stands(database: Database, outage: str) -> None:
    async with database.transaction() as tx:
        await say(tx, outage, a_draft(), now=NOW)
        await write_postmortem(tx, WRITER, outage, {**TEXTS, "en": "Not yet."}, now=NOW)
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await publish_postmortem(tx, BOSS, outage, now=NOW)
    async with database.transaction() as tx:
        await say(tx, outage, a_draft(phase="resolved", next_update_at=None, component_status=None), now=NOW)
        await write_postmortem(tx, WRITER, outage, TEXTS, now=NOW)
        await publish_postmortem(tx, BOSS, outage, now=NOW)
        await write_postmortem(tx, WRITER, outage, {**TEXTS, "en": "Two did."}, now=NOW)
        shown = await read_snapshot(tx, at=NOW, closed=[outage])
        versions = await postmortems_of(tx, outage)
    assert [(one.number, one.texts["en"]) for one in versions] == [(1, "A switch failed."), (None, "Two did.")]
    (incident,) = shown.closed
    assert incident.phase == "postmortem"
    assert incident.postmortem is not None
    assert incident.postmortem.texts == TEXTS


async def test_what_a_party_confirms_is_kept_with_its_evidence(database: Database, outage: str) -> None:
    async with database.transaction() as tx:
        said = Confirmation("kpn", "bags", "restoration", NOW - MINUTE, "Their engineer measured it.")
        (kept,) = await note_confirmation(tx, WRITER, outage, said, now=NOW)
    assert (kept.party_name, kept.component_name, kept.what) == ("KPN", "Bags", "restoration")
    assert (kept.confirmed_at, kept.evidence) == (NOW - MINUTE, "Their engineer measured it.")
