"""What a scrape tells: figures from the database, measured once for many scrapers, and silence when it is away."""

import asyncio
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

import metrics
from foundation.database import Database
from metrics.exposition import exposition
from metrics.report_people import people_of
from metrics.sampling import Sample, Sampler, Seen, take_sample
from metrics.seldom import Seldom
from tests.support.claimants import an_incident
from tests.support.customer_files import a_file, a_line, load
from tests.support.outbox import a_dispatch
from tests.support.stories import STORM, a_story


def figures(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) → value, as Prometheus reads the page."""
    families = text_string_to_metric_families(page.decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


async def two_deliveries(database: Database) -> None:
    incident = await an_incident(database)
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(customer_number="C2", email="")))
        await a_dispatch(tx, incident)
        await tx.execute(text("UPDATE batches SET created_at = now() - interval '90 seconds'"))


async def test_a_sample_counts_what_is_there(database: Database) -> None:
    await two_deliveries(database)
    async with database.snapshot() as tx:
        sample = await take_sample(tx)
    assert sample.deliveries == {("mail", "planned", "none"): 1, ("mail", "suppressed", "address"): 1}
    assert sample.unsent == {("mail", "ready"): 1}
    assert 90 <= sample.oldest_unsent_seconds["mail"] < 120
    assert (sample.contacts, sample.live_cases, sample.collapse_ratio) == ({}, 0, None)
    assert sample.open_incidents == 1
    assert 1700 < (sample.notice_due or 0) <= 1800


async def test_the_page_speaks_the_format_of_prometheus(database: Database) -> None:
    metrics.record_deliveries("mail", "accepted", 3)
    sample = Sample(
        deliveries={("mail", "accepted", "none"): 7},
        oldest_unsent_seconds={"mail": 1.5},
        contacts={("web", "received"): 1, ("web", "resolved"): 9},
        cases={"open": 3},
    )
    found = figures(exposition(Seen(0.001, sample)))
    key = (("channel", "mail"), ("reason_class", "none"), ("state", "accepted"))
    assert found["stormdesk_deliveries", key] == 7
    assert found["stormdesk_oldest_unsent_seconds", (("channel", "mail"),)] == 1.5
    assert found["stormdesk_oldest_unsent_seconds", (("channel", "sms"),)] == 0
    assert found["stormdesk_contacts", (("channel", "web"), ("state", "received"))] == 1
    assert found["stormdesk_cases", (("state", "open"),)] == 3
    assert found["stormdesk_collapse_ratio", ()] == 3
    assert found["stormdesk_database_up", ()] == 1
    assert found["stormdesk_deliveries_recorded_total", (("channel", "mail"), ("state", "accepted"))] >= 3


async def test_a_story_is_told_in_the_figures_and_a_drill_in_no_clock(database: Database) -> None:
    now = datetime.now(UTC)
    await a_story(database, people=90, aware_at=now - timedelta(hours=3))
    await a_story(database, "drill0000001", people=30, aware_at=now - timedelta(minutes=10), exercise=True)
    async with database.transaction() as tx:
        await tx.execute(
            text("UPDATE promises SET followed_at = NULL, state = 'missed' WHERE due_at > settled_at - interval '1 s'")
        )
        await tx.execute(text("UPDATE contacts SET answer_by = now() - interval '1 hour' WHERE answered_at IS NULL"))
    async with database.snapshot() as tx:
        sample = await take_sample(tx)
        late = await tx.scalar(text("SELECT count(*) FROM contacts WHERE answered_at IS NULL"))
        parted = await tx.scalar(text("SELECT count(*) FROM case_journal WHERE event = 'parted'"))
    assert list(sample.told) == ["first", "median", "p95", "last"]
    assert 10 <= sample.told["first"] <= sample.told["median"] <= sample.told["p95"] <= sample.told["last"] < 600
    assert sample.promises == {"kept": 3, "missed": 1} or sum(sample.promises.values()) == 4
    assert sample.open_incidents == 0
    assert sample.notice_due is None
    assert sample.hearing_due == {}
    async with database.snapshot() as tx:
        people = (await people_of(tx, [STORM], limit=1800))[STORM]
    after = {"median": people.median, "p95": people.p95, "last": people.last}
    assert sample.hearing_left == {name: 1800 - (seconds or 0) for name, seconds in after.items()}
    assert sample.unanswered_late == late
    assert sample.joins_undone == parted
    assert sample.claims["overdue"] == 0


async def test_the_regulatory_clock_goes_by_the_limit_of_each_incident(database: Database) -> None:
    await two_deliveries(database)
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE incidents SET notice_limit = interval '10 minutes'"))
    async with database.snapshot() as tx:
        sample = await take_sample(tx, usual=timedelta(hours=1))
    assert set(sample.hearing_due) == {"median", "p95", "last"}
    assert sample.hearing_due == sample.hearing_left
    assert all(500 < seconds <= 600 for seconds in [*sample.hearing_due.values(), sample.notice_due or 0])
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE incidents SET notice_limit = NULL"))
    async with database.snapshot() as tx:
        sample = await take_sample(tx, usual=timedelta(hours=1))
    assert 3500 < (sample.notice_due or 0) <= 3600
    assert 3500 < sample.hearing_due["p95"] <= 3600


async def test_what_needs_every_row_is_counted_seldom() -> None:
    now, counts = 0.0, 0

    async def count() -> int:
        nonlocal counts
        counts += 1
        await asyncio.sleep(0.01)
        return counts

    seldom = Seldom(lambda: now)
    assert [await seldom.figure("x", count), await seldom.figure("x", count), await seldom.figure("y", count)] == [
        1,
        1,
        2,
    ]
    now = 0.9
    assert await seldom.figure("x", count) == 1
    assert await seldom.figure("x", count, of="something else") == 3
    now = 60.0
    assert await seldom.figure("x", count, of="something else") == 4


async def test_many_scrapers_cost_what_one_does(database: Database) -> None:
    now = 0.0
    sampler = Sampler(database, seconds=5, clock=lambda: now)
    first = await sampler.sample()
    await two_deliveries(database)
    assert await sampler.sample() is first
    now = 5000.0
    later = (await sampler.sample()).sample
    assert later is not None
    assert sum(later.deliveries.values()) == 2
    await sampler.close()


async def test_of_two_processes_one_tells_the_figures_of_the_database(database: Database) -> None:
    one, other = Sampler(database, seconds=0), Sampler(database, seconds=0)
    assert (await one.sample()).sample is not None
    seen = await other.sample()
    assert seen.sample is None
    assert seen.seconds is not None
    page = figures(exposition(seen))
    assert page["stormdesk_figures_told", ()] == 0
    assert page["stormdesk_database_up", ()] == 1
    assert not any(name == "stormdesk_cases" for name, _ in page)
    assert (await one.sample()).sample is not None
    await one.close()  # as when it is killed: the lock goes with its connection
    assert (await other.sample()).sample is not None
    await other.close()


async def test_without_its_database_the_process_still_tells_how_it_fares() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    found = figures(exposition(await Sampler(away).sample()))
    assert found["stormdesk_database_up", ()] == 0
    assert not any(name == "stormdesk_cases" for name, _ in found)
    await away.close()


def test_a_label_is_never_what_somebody_wrote() -> None:
    metrics.record_contact("<script>")
    metrics.record_deliveries("carrier pigeon", "lost", 1)
    page = exposition(Seen(None, None))
    assert b"<script>" not in page
    assert b"pigeon" not in page
    assert figures(page)["stormdesk_contacts_received_total", (("channel", "other"),)] >= 1
