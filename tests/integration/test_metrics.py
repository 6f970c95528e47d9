"""What a scrape tells: figures from the database, measured once for many scrapers, and silence when it is away."""

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

import metrics
from foundation.database import Database
from metrics.exposition import exposition
from metrics.sampling import Sample, Sampler, take_sample
from tests.support.claimants import an_incident
from tests.support.customer_files import a_file, a_line, load
from tests.support.outbox import a_dispatch


def figures(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) → value, as Prometheus reads the page."""
    families = text_string_to_metric_families(page.decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


async def two_deliveries(database: Database) -> None:
    incident = await an_incident(database)
    async with database.transaction() as tx:
        await load(tx, a_file(a_line(), a_line(customer_number="C2", email="")))
        await a_dispatch(tx, incident)
        await tx.execute(text("UPDATE deliveries SET created_at = now() - interval '90 seconds'"))


async def test_a_sample_counts_what_is_there(database: Database) -> None:
    await two_deliveries(database)
    async with database.snapshot() as tx:
        sample = await take_sample(tx)
    assert sample.deliveries == {("mail", "planned"): 1, ("mail", "suppressed"): 1}
    assert 90 <= sample.oldest_unsent_seconds["mail"] < 120
    assert (sample.contacts, sample.live_cases, sample.collapse_ratio) == ({}, 0, None)


async def test_the_page_speaks_the_format_of_prometheus(database: Database) -> None:
    metrics.record_deliveries("mail", "accepted", 3)
    found = figures(exposition(Sample({("mail", "accepted"): 7}, {"mail": 1.5}, {"received": 1, "resolved": 9}, 3)))
    assert found["stormdesk_deliveries", (("channel", "mail"), ("state", "accepted"))] == 7
    assert found["stormdesk_oldest_unsent_seconds", (("channel", "mail"),)] == 1.5
    assert found["stormdesk_oldest_unsent_seconds", (("channel", "sms"),)] == 0
    assert found["stormdesk_contacts", (("state", "received"),)] == 1
    assert found["stormdesk_live_cases", ()] == 3
    assert found["stormdesk_collapse_ratio", ()] == 3
    assert found["stormdesk_database_up", ()] == 1
    assert found["stormdesk_deliveries_recorded_total", (("channel", "mail"), ("state", "accepted"))] >= 3


async def test_many_scrapers_cost_what_one_does(database: Database) -> None:
    now = 0.0
    sampler = Sampler(database, seconds=5, clock=lambda: now)
    first = await sampler.sample()
    await two_deliveries(database)
    assert await sampler.sample() is first
    now = 5.0
    later = await sampler.sample()
    assert later is not None
    assert sum(later.deliveries.values()) == 2


async def test_without_its_database_the_process_still_tells_how_it_fares() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    found = figures(exposition(await Sampler(away).sample()))
    assert found["stormdesk_database_up", ()] == 0
    assert not any(name == "stormdesk_live_cases" for name, _ in found)
    await away.close()


def test_a_label_is_never_what_somebody_wrote() -> None:
    metrics.record_contact("<script>")
    metrics.record_deliveries("carrier pigeon", "lost", 1)
    page = exposition(None)
    assert b"<script>" not in page
    assert b"pigeon" not in page
    assert figures(page)["stormdesk_contacts_received_total", (("channel", "other"),)] >= 1
