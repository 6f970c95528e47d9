"""An offer goes out once what it needs is true, and is taken back once when that stops being so."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.asgi import claims_writer
from claims import offers
from claims.cases import hold
from claims.offering import Offering
from claims.offers import Condition
from foundation.actors import Actor
from foundation.database import Database, driver
from foundation.errors import Invalid
from tests.support.casework import Office, office
from tests.support.claimants import a_customer

ADA = Actor("staff", "ada")
WORKS = Condition("component_works", "LINE-1")


@pytest.fixture
async def desk(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    await a_customer(database, "Anna Jansen", number="N-0001", mails=["anna@x.example"], references=["ABC123"])
    async with office(database, database_url, tmp_path) as made:
        yield made


async def offer(desk: Office, *conditions: Condition, hours: int = 4) -> tuple[str, int]:
    """A held offer; the owner's link, and its id."""
    link = await desk.tell(customer_number="N-0001", message="When do you come?")
    now = datetime.now(UTC)
    async with desk.database.transaction() as tx:
        case = await hold(tx, await desk.number_of(link))
        contact = await (await driver(tx)).fetchval("SELECT max(id) FROM contacts")
        made = await offers.make(
            tx,
            ADA,
            case,
            "technician",
            words="Kees comes by with a new modem.",
            conditions=conditions or (WORKS,),
            contact_id=contact,
            at=now + timedelta(hours=hours),
            answer_by=now + timedelta(hours=hours - 1),
            now=now,
        )
    return link, made


def worker(desk: Office) -> Offering:
    return Offering(desk.database, claims_writer(desk.parts), desk.parts.clock)


async def works(desk: Office, status: str) -> None:
    await desk.rows("UPDATE components SET status = $1 WHERE key = 'LINE-1'", status)


async def settled(desk: Office) -> str:
    while await worker(desk).step():
        pass
    [row] = await desk.rows("SELECT state FROM offers")
    return str(row["state"])


async def told(desk: Office) -> Sequence[Any]:
    return [row["subject"] for row in await desk.rows("SELECT subject FROM replies WHERE kind = 'offer' ORDER BY id")]


async def test_held_until_it_is_true_then_sent_and_accepted_without_a_script(desk: Office) -> None:
    await works(desk, "major_outage")
    link, made = await offer(desk)
    assert await settled(desk) == "held"
    assert await told(desk) == []
    assert "modem" not in await desk.see(link)
    await works(desk, "operational")
    assert await settled(desk) == "released"
    [letter] = await desk.letters()
    assert letter["address"] == "anna@x.example"
    assert "new modem" in letter["body"]
    assert "Yes, please" in await desk.see(link)
    await desk.act(link, "offer", offer=str(made), answer="accept")
    await desk.act(link, "offer", offer=str(made), answer="accept")
    assert "accepted" in await desk.see(link)
    assert await settled(desk) == "accepted"
    await desk.act(link, "offer", offer="999", answer="accept", status=409)


async def test_withdrawn_with_notice_once_also_when_it_was_accepted(desk: Office) -> None:
    await works(desk, "operational")
    link, made = await offer(desk)
    assert await settled(desk) == "released"
    await desk.act(link, "offer", offer=str(made), answer="accept")
    await works(desk, "degraded_performance")
    await asyncio.gather(*(worker(desk).step() for _ in range(4)))
    assert await settled(desk) == "withdrawn"
    assert len(await told(desk)) == 2
    assert "no longer stands" in (await told(desk))[1]
    # What of the offer had not left is never sent: only the notice is.
    first, second = await desk.rows("SELECT state FROM deliveries ORDER BY id")
    assert (first["state"], second["state"]) == ("suppressed", "planned")
    await works(desk, "operational")
    assert await settled(desk) == "withdrawn"
    await desk.act(link, "offer", offer=str(made), answer="accept", status=409)


async def test_a_yes_to_what_is_no_longer_true_is_no_appointment(desk: Office) -> None:
    await works(desk, "operational")
    link, made = await offer(desk)
    assert await settled(desk) == "released"
    await works(desk, "partial_outage")
    await desk.act(link, "offer", offer=str(made), answer="accept")
    assert "no longer so" in await desk.see(link)
    assert await settled(desk) == "withdrawn"
    assert len(await told(desk)) == 2


async def test_it_waits_for_what_a_component_needs_and_for_every_party(desk: Office) -> None:
    await desk.rows("INSERT INTO components (key, name) VALUES ('POWER', 'Power')")
    await desk.rows("INSERT INTO component_dependencies (component_key, needs_key) VALUES ('LINE-1', 'POWER')")
    await desk.rows("INSERT INTO parties (key, name, kind) VALUES ('net', 'Net B.V.', 'contractor')")
    await works(desk, "operational")
    await desk.rows("UPDATE components SET status = 'major_outage' WHERE key = 'POWER'")
    restored, agreed = Condition("party_restored", "LINE-1", "net"), Condition("party_agreed", None, "net")
    link, _ = await offer(desk, WORKS, restored, agreed)
    assert await settled(desk) == "held"
    await desk.rows("UPDATE components SET status = 'operational'")
    confirm = (
        "INSERT INTO party_confirmations (incident_id, party_key, component_key, what, confirmed_at, evidence,"
        " noted_by, noted_at) VALUES ($1, 'net', 'LINE-1', $2, now(), 'They called', 'staff:ada', now())"
    )
    await desk.rows(confirm, desk.incident, "restoration")
    assert await settled(desk) == "held"
    async with desk.database.transaction() as tx:
        case = await hold(tx, await desk.number_of(link))
        [shown] = await offers.offers_in(tx, case.id)
        assert [one.true for one in shown.conditions] == [True, True, False]
        await offers.agree(tx, ADA, case, shown.conditions[2].id, agreed=True, now=datetime.now(UTC))
    assert await settled(desk) == "released"
    await desk.rows(confirm, desk.incident, "cause")
    assert await settled(desk) == "withdrawn"


async def test_the_component_fails_while_the_offer_is_released(desk: Office) -> None:
    """Whichever comes first, nobody is left with an offer that cannot happen, and nobody is told twice."""
    await works(desk, "operational")
    await offer(desk)

    async def flip() -> None:
        for status in ("major_outage", "operational", "major_outage"):
            await works(desk, status)

    await asyncio.gather(flip(), *(worker(desk).step() for _ in range(6)))
    state, said = await settled(desk), await told(desk)
    assert (state, len(said)) in {("held", 0), ("withdrawn", 2)}
    await works(desk, "operational")
    await asyncio.gather(*(worker(desk).step() for _ in range(6)))
    assert (await settled(desk), len(await told(desk))) in {("released", 1), ("withdrawn", 2)}


async def test_a_publication_under_way_holds_the_release_up(desk: Office) -> None:
    await works(desk, "operational")
    await offer(desk)
    async with desk.database.transaction() as tx:
        await (await driver(tx)).execute("UPDATE components SET status = 'major_outage' WHERE key = 'LINE-1'")
        releasing = asyncio.create_task(worker(desk).step())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        while not (await desk.rows(waits))[0][0]:  # noqa: ASYNC110 (nobody tells that a lock is waited for)
            await asyncio.sleep(0.01)
    await releasing
    assert await settled(desk) == "held"
    assert await told(desk) == []


async def test_an_offer_that_lacks_something_is_not_made(desk: Office) -> None:
    link, now = await desk.tell(customer_number="N-0001", message="When do you come?"), datetime.now(UTC)
    number = await desk.number_of(link)
    async with desk.database.transaction() as tx:
        wrong = offers.make(
            tx,
            ADA,
            await hold(tx, number),
            "visit",
            words=" ",
            conditions=[Condition("component_works", "NONE")],
            contact_id=None,
            at=now - timedelta(hours=1),
            answer_by=now,
            now=now,
        )
        with pytest.raises(Invalid) as refused:
            await wrong
    assert {one.field for one in refused.value.faults} == {"kind", "words", "at", "answer_by", "component"}
