"""Contacts find their case: opening, joining, adopting, merging and parting, beside other workers."""

import asyncio

import pytest
from structlog.testing import capture_logs

from claims import Intake, Resolver
from claims.case_view import show_case
from claims.collapse import case_number
from foundation.clock import system_clock
from foundation.database import Database, driver
from foundation.errors import NotFound
from tests.support.claimants import OUTAGES, a_customer, an_incident, partition, resolve, send


async def cases(database: Database, query: str, *values: object) -> list[tuple[object, ...]]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query, *values)]


async def told(database: Database, **said: str) -> str:
    """Send one contact and let it be resolved; its receipt."""
    async with Intake(database).running() as intake:
        receipt = await send(intake, **said)
    await resolve(database)
    return receipt


async def case_of(database: Database, receipt: str) -> tuple[str, int | None]:
    return (await partition(database))[receipt]


async def events(database: Database, number: str) -> list[str]:
    async with database.transaction() as tx:
        return [entry["event"] for entry in (await show_case(tx, number, now=system_clock()))["journal"]]


@pytest.fixture
async def anna(database: Database) -> int:
    await an_incident(database)
    return await a_customer(
        database,
        "Anna Jansen",
        number="N-0001",
        mails=["anna@x.example"],
        phones=["+31600000001"],
        references=["AB12CD"],
    )


async def test_whatever_she_types_it_is_her_one_case(database: Database, anna: int) -> None:
    receipts = [
        await told(database, customer_number="n 0001"),
        await told(database, reference="ab-12 cd", name="JANSEN, ANNA"),
        await told(database, email=" Anna@X.example"),
        await told(database, phone="06 0000 0001", language="nl"),
    ]
    found = await partition(database)
    assert {found[receipt] for receipt in receipts} == {(case_number(1), anna)}
    why = await cases(database, "SELECT matched_by FROM contacts ORDER BY id")
    assert why == [("customer_number",), ("reference",), ("mail",), ("phone",)]


async def test_the_journal_says_why(database: Database, anna: int) -> None:
    await told(database, reference="ab-12 cd", name="Anna Jansen")
    async with database.transaction() as tx:
        shown = await show_case(tx, "c-100001", now=system_clock())
    [entry] = shown["journal"]
    assert (entry["event"], entry["actor"]) == ("opened", "system:stormdesk")
    assert b'"AB12CD"' in bytes(entry["detail"])
    assert shown["customer_number"] == "N-0001"


async def test_an_unknown_mail_joins_once_a_contact_tells_whose_it_is(database: Database, anna: int) -> None:
    first = await told(database, email="p@home.example", name="A. Jansen")
    assert await case_of(database, first) == (case_number(1), None)
    second = await told(database, email="p@home.example", customer_number="N-0001")
    assert await case_of(database, second) == (case_number(1), anna)
    assert await case_of(database, first) == (case_number(1), anna)
    assert "customer_set" in await events(database, case_number(1))


async def test_two_cases_become_the_older_and_the_younger_number_leads_there(database: Database, anna: int) -> None:
    stranger = await told(database, email="p@home.example")
    known = await told(database, customer_number="N-0001")
    assert (await case_of(database, stranger))[0] != (await case_of(database, known))[0]
    bridge = await told(database, customer_number="N-0001", email="p@home.example")
    found = await partition(database)
    assert {found[one] for one in (stranger, known, bridge)} == {(case_number(1), anna)}
    async with database.transaction() as tx:
        shown = await show_case(tx, case_number(2), now=system_clock())
    assert (shown["number"], shown["former_numbers"]) == (case_number(1), [case_number(2)])
    assert len(shown["contacts"]) == 3


async def test_new_evidence_takes_an_earlier_join_apart(database: Database, anna: int) -> None:
    ben = await a_customer(database, "Ben Bos", number="N-0002")
    stranger = await told(database, email="agent@trips.example", name="Kim Kok")
    mine = await told(database, customer_number="N-0001", email="agent@trips.example")
    assert await case_of(database, stranger) == await case_of(database, mine)
    his = await told(database, customer_number="N-0002", email="agent@trips.example")
    found = await partition(database)
    assert found[his][1] == ben
    assert found[mine][1] == anna
    assert found[stranger] == (case_number(1), None), "the number stays with the contact it was opened for"
    assert len({number for number, _ in found.values()}) == 3
    assert (await events(database, found[mine][0]))[:2] == ["opened", "contacts_came"]


async def test_parting_gives_a_merged_number_back_to_its_owner(database: Database, anna: int) -> None:
    await a_customer(database, "Ben Bos", number="N-0002")
    stranger = await told(database, email="agent@trips.example")
    mine = await told(database, customer_number="N-0001")
    assert await case_of(database, mine) == (case_number(2), anna)
    await told(database, customer_number="N-0001", email="agent@trips.example")
    assert await case_of(database, mine) == (case_number(1), anna)
    await told(database, customer_number="N-0002", email="agent@trips.example")
    assert await case_of(database, mine) == (case_number(2), anna)
    assert await case_of(database, stranger) == (case_number(1), None)
    assert "parted" in await events(database, case_number(2))


async def test_what_says_nothing_of_its_writer_gets_a_case_of_its_own(database: Database, anna: int) -> None:
    receipts = [await told(database, message="Help"), await told(database, message="Help")]
    found = await partition(database)
    assert [found[receipt] for receipt in receipts] == [(case_number(1), None), (case_number(2), None)]
    assert await cases(database, "SELECT DISTINCT matched_by FROM contacts") == [("nothing_to_go_by",)]


async def test_bytes_nobody_can_read_get_a_case_too(database: Database, anna: int) -> None:
    async with database.transaction() as tx:
        await (await driver(tx)).execute(
            "INSERT INTO contacts (receipt, fingerprint, channel, language, raw) "
            "VALUES ('R', '\\x00', 'api', 'en', $1)",
            b"\x00\xff not json",
        )
    await resolve(database)
    assert await cases(database, "SELECT state, matched_by FROM contacts") == [("resolved", "nothing_to_go_by")]


async def test_no_text_of_anybody_stops_the_resolver(database: Database, anna: int) -> None:
    """A worker that fails on a contact would fail on it again for ever, and with it everybody behind it."""
    odd = [
        "\ufdfa" * 200,
        "\0" * 200,
        "😀" * 200,
        "İ" * 200,
        "ß" * 200,
        "\u202e\u0000\x1b",
        "a" * 200,
        "٣" * 60,
        "%s\\",
    ]
    for text in odd:
        await told(
            database,
            name=text,
            customer_number=text[:60],
            reference=text,
            email=f"{text[:60]}@x.example",
            phone=text[:60],
        )
        await told(database, name=text, email="p@home.example", phone="+31699999999")
    assert await cases(database, "SELECT count(*) FROM contacts WHERE state = 'received'") == [(0,)]


async def test_a_contact_that_fails_holds_up_nobody_and_is_tried_again(database: Database, anna: int) -> None:
    async with database.transaction() as tx:
        await (await driver(tx)).execute(
            """
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'cannot take %', convert_from(NEW.raw, 'UTF8'); END $$;
            CREATE TRIGGER fail BEFORE UPDATE ON contacts FOR EACH ROW
                WHEN (NEW.state = 'resolved' AND position('poison'::bytea IN NEW.raw) > 0) EXECUTE FUNCTION fail();
            """
        )
    async with Intake(database).running() as intake:
        before = await send(intake, customer_number="N-0001")
        poison = await send(intake, message="poison", email="anna@x.example")
        behind = await send(intake, message="Help")
    resolver = Resolver(database, OUTAGES)
    with capture_logs() as logs:
        assert await resolver.step()
        assert not await resolver.step(), "it was put off"
    assert set(await partition(database)) == {before, behind}
    [error] = [line for line in logs if line["log_level"] == "error"]
    waiting = await cases(database, "SELECT id FROM contacts WHERE state = 'received' AND not_before > now()")
    assert waiting == [(error["contact"],)]
    assert "anna@x.example" not in str(logs)
    async with database.transaction() as tx:
        await (await driver(tx)).execute("DROP TRIGGER fail ON contacts; UPDATE contacts SET not_before = now()")
    assert await resolver.step()
    assert await case_of(database, poison) == await case_of(database, before)


async def test_no_incident_no_case_until_there_is_one(database: Database) -> None:
    async with Intake(database).running() as intake:
        await send(intake, message="Is something wrong?", customer_number="N-0001")
    resolver = Resolver(database, OUTAGES)
    assert await resolver.step()
    assert not await resolver.step(), "it was put off, and holds up nobody"
    assert await cases(database, "SELECT state FROM contacts") == [("received",)]
    await an_incident(database)
    assert await resolver.step()
    assert await cases(database, "SELECT state FROM contacts") == [("resolved",)]


async def test_with_several_incidents_the_one_that_concerns_the_customer_counts(database: Database) -> None:
    first = await an_incident(database, component="LINE-1")
    second = await an_incident(database, component="LINE-2")
    await a_customer(database, "Anna Jansen", number="N-0001", component="LINE-2")
    await told(database, customer_number="N-0001")
    await told(database, customer_number="N-0001", incident=first)
    await told(database, message="Who am I?")
    found = await cases(database, "SELECT k.incident_id, k.state FROM contacts k ORDER BY k.id")
    assert found == [(second, "resolved"), (first, "resolved"), (second, "resolved")], "who says nothing: the newest"
    assert await cases(database, "SELECT count(*) FROM cases WHERE merged_into IS NULL") == [(3,)]


async def test_after_the_resolution_a_contact_still_belongs_to_what_concerned_its_writer(database: Database) -> None:
    past = await an_incident(database, component="LINE-1")
    await a_customer(database, "Anna Jansen", number="N-0001", component="LINE-1")
    await resolved(database, past)
    other = await an_incident(database, component="LINE-2")
    await told(database, customer_number="N-0001")
    await told(database, message="When do I get an answer?")
    found = await cases(database, "SELECT incident_id FROM contacts ORDER BY id")
    assert found == [(past,), (other,)]


async def test_with_nothing_open_a_contact_goes_to_the_newest_past_incident(database: Database) -> None:
    past = await an_incident(database, component="LINE-1")
    await resolved(database, past)
    await told(database, message="And my refund?")
    assert await cases(database, "SELECT incident_id, state FROM contacts") == [(past, "resolved")]


async def test_an_old_contact_is_not_swept_into_an_incident_that_began_much_later(database: Database) -> None:
    async with Intake(database).running() as intake:
        await send(intake, message="Is something wrong?")
    await cases(database, "UPDATE contacts SET received_at = received_at - interval '3 days' RETURNING id")
    await an_incident(database)
    await resolve(database)
    assert await cases(database, "SELECT state FROM contacts") == [("received",)]


async def test_a_text_that_cannot_be_an_incident_reaches_no_statement(database: Database, anna: int) -> None:
    receipt = await told(database, customer_number="N-0001", incident="a\0b")
    assert (await case_of(database, receipt))[1] == anna


async def resolved(database: Database, incident_id: str) -> None:
    await cases(
        database,
        f"UPDATE incidents SET phase = 'resolved', resolved_at = now() WHERE id = '{incident_id}' RETURNING id",
    )


async def test_an_incident_that_does_not_exist_is_as_good_as_none(database: Database, anna: int) -> None:
    receipt = await told(database, customer_number="N-0001", incident="'; --")
    assert (await case_of(database, receipt))[1] == anna


async def test_several_workers_make_no_second_case(database: Database, anna: int) -> None:
    people = [
        await a_customer(database, f"Person {n}", number=f"P-{n:04d}", mails=[f"p{n}@x.example"]) for n in range(30)
    ]
    async with Intake(database).running() as intake:
        await asyncio.gather(
            *(
                send(intake, **({"email": f"p{n % 30}@x.example"} if n % 2 else {"customer_number": f"P-{n % 30:04d}"}))
                for n in range(600)
            )
        )
    workers = [Resolver(database, OUTAGES, batch=7) for _ in range(5)]

    async def work(resolver: Resolver) -> None:
        while await resolver.step():
            pass

    await asyncio.gather(*(work(resolver) for resolver in workers))
    await resolve(database)
    found = await partition(database)
    assert len(found) == 600
    assert len({number for number, _ in found.values()}) == 30
    assert {customer for _, customer in found.values()} == set(people)


async def test_a_case_number_nobody_has(database: Database) -> None:
    async with database.transaction() as tx:
        for number in ("C-100001", "", "C-\0", "; DROP TABLE cases"):
            with pytest.raises(NotFound):
                await show_case(tx, number, now=system_clock())


async def test_the_number_in_the_database_is_the_number_in_the_journal(database: Database, anna: int) -> None:
    await told(database, customer_number="N-0001")
    [(identity, number)] = await cases(database, "SELECT id, number FROM cases")
    assert isinstance(identity, int)
    assert number == case_number(identity)
