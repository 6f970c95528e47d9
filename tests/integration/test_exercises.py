"""A drill reaches nobody outside the seed list, by whatever way: each way out is tried."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

import notify
from app.outages import Outages, public_titles
from foundation.database import Database
from incidents import Component, define_components, public_incidents
from incidents.audience import people_to_tell
from incidents.postmortems import publish_postmortem, write_postmortem
from incidents.publishing import preview_update
from incidents.snapshot import fingerprint, read_snapshot
from tests.support import directory
from tests.support.followers import a_subscriber
from tests.support.incidents import BOSS, NOW, WRITER, a_customer, a_draft, a_page, declared, say, texts

RESOLVED = {"phase": "resolved", "next_update_at": None, "component_status": None}


@pytest.fixture
async def drill(database: Database) -> str:
    """A drill about check-in, on which a seed, a stranger, and machines and people that follow rely."""
    async with database.transaction() as tx:
        await define_components(tx, [Component("check-in", "Check-in")])
        await a_subscriber(tx, "S-fan", "fan@example.com", None)
        await a_subscriber(tx, "S-machine", "https://machine.example.com/hook", None, channel="webhook")
        numbers = (await tx.execute(text("SELECT number FROM customers WHERE kind = 'subscriber'"))).scalars().all()
        await directory.a_customer(tx, "SEED", "seed@example.com", phones=["+31612345678"])
        await notify.set_seeds(tx, ["SEED", *numbers])
    await a_customer(database, "C1", ("check-in", "R1", None))
    async with database.transaction() as tx:
        return await declared(tx, exercise=True)


def _files_that_name(incident_id: str, folder: Path) -> list[Path]:
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert written
    return [path for path in written if incident_id.encode() in path.read_bytes()]


async def _reached(database: Database) -> set[str]:
    query = "SELECT DISTINCT c.number FROM deliveries d JOIN customers c ON c.id = d.customer_id"
    async with database.transaction() as tx:
        return set((await tx.execute(text(query))).scalars())


async def test_updates_corrections_and_the_end_of_a_drill_reach_seeds_only(database: Database, drill: str) -> None:
    async with database.transaction() as tx:
        wrong = await say(tx, drill, a_draft())
        await say(tx, drill, a_draft(corrects=wrong.update.id, texts=texts(wrong="It was not so.")))
        await say(tx, drill, a_draft(**RESOLVED))
    assert await _reached(database) == {"SEED"}
    async with database.transaction() as tx:
        rows = (await tx.execute(text("SELECT channel, subject, body FROM messages WHERE language = 'en'"))).all()
    assert {row.channel for row in rows} == {"mail"}
    assert all(row.subject.startswith("EXERCISE: ") and row.body.startswith("This is an exercise.") for row in rows)


async def test_nobody_reaches_others_by_asking_notify_directly(database: Database, drill: str) -> None:
    text_of_it = notify.MessageText("mail", "en", "News", "News.")
    machine = notify.MessageText("webhook", "en", "", "{{}}")
    topics = (f"incident:{drill}", f"promise:{drill}:x", f"case:{drill}:7", drill)
    async with database.transaction() as tx:
        for number, topic in enumerate(topics, 1):
            audience = people_to_tell(drill, NOW)
            await notify.enqueue(
                tx, key=topic, topic=topic, number=number, messages=[text_of_it, machine], audience=audience, hold=True
            )
        reach = await notify.preview(tx, people_to_tell(drill, NOW), ["en"], ["mail", "webhook"], topic=topics[0])
    assert await _reached(database) <= {"SEED"}
    assert {(one.channel, one.recipients) for one in reach} == {("mail", 1)}


async def test_nothing_of_a_drill_is_public(database: Database, drill: str, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        before = await fingerprint(tx)
        said = await say(tx, drill, a_draft())
        reach = await preview_update(tx, said.update.id, now=NOW)
        assert sum(one.recipients for one in reach) == 1
        assert await tx.scalar(text("SELECT status FROM components")) == "operational"
        assert before.split("/")[:3] == (await fingerprint(tx)).split("/")[:3]
        running = await read_snapshot(tx, at=NOW, closed=[drill])
    async with database.transaction() as tx:
        await say(tx, drill, a_draft(**RESOLVED))
        await write_postmortem(tx, WRITER, drill, {"en": "We learnt.", "nl": "We leerden."}, now=NOW)
        await publish_postmortem(tx, BOSS, drill, now=NOW)
        over = await read_snapshot(tx, at=NOW, closed=[drill])
        assert await public_incidents(tx, [drill]) == set()
        assert await public_titles(tx, [drill]) == {}
    for snapshot in (running, over):
        assert (snapshot.open, snapshot.closed, snapshot.maintenances) == ((), (), ())
    await a_page(tmp_path).refresh(database)
    assert _files_that_name(drill, tmp_path) == []


async def test_no_claim_can_be_made_about_a_drill(database: Database, drill: str) -> None:
    outages = Outages(lambda: NOW + timedelta(hours=1))
    async with database.transaction() as tx:
        await say(tx, drill, a_draft())
        assert await outages.open_outages(tx) == []
        assert await outages.outages(tx, [drill]) == {}
        assert await outages.public(tx, [drill]) == set()
        await say(tx, drill, a_draft(**RESOLVED))
        assert await outages.past_outages(tx) == []


async def test_a_drill_looks_real_from_inside(database: Database, drill: str) -> None:
    async with database.transaction() as tx:
        await say(tx, drill, a_draft(component_status="partial_outage"))
        await say(tx, drill, a_draft(component_status=None))
        await say(tx, drill, a_draft(**RESOLVED))
        query = """
            SELECT uc.old_status, uc.new_status FROM update_components uc JOIN updates u ON u.id = uc.update_id
             ORDER BY u.number
        """
        moves = [tuple(row) for row in await tx.execute(text(query))]
    assert moves == [
        ("operational", "partial_outage"),
        ("partial_outage", "partial_outage"),
        ("partial_outage", "operational"),
    ]
