"""What people decide about who is whom: merge, split, keep apart, undo; and the pairs that wait for them."""

import pytest
from sqlalchemy import select

from claims import regrouping, review
from claims.advance import open_in_advance
from claims.explaining import explain
from claims.regrouping import Regrouped
from foundation.actors import Actor
from foundation.database import Database, driver
from foundation.errors import Conflict, Invalid, NotFound
from notify import customers
from tests.integration.test_resolver import told
from tests.support.claimants import a_customer, an_incident, partition

AGENT = Actor("staff", "ada")


async def numbers(database: Database, *receipts: str) -> list[str]:
    found = await partition(database)
    return [found[receipt][0] for receipt in receipts]


async def contact_id(database: Database, receipt: str) -> int:
    async with database.transaction() as tx:
        found: int = await (await driver(tx)).fetchval("SELECT id FROM contacts WHERE receipt = $1", receipt)
    return found


async def merged(database: Database, one: str, other: str) -> Regrouped:
    async with database.transaction() as tx:
        number, second = await numbers(database, one, other)
        return await regrouping.merge(tx, AGENT, number, second, "She called")


@pytest.fixture
async def incident(database: Database) -> str:
    return await an_incident(database)


async def test_a_merge_and_its_undoing(database: Database, incident: str) -> None:
    first, second = await told(database, name="Anna Jansen"), await told(database, name="Bea Bakker")
    before = await partition(database)
    done = await merged(database, first, second)
    one, two = await numbers(database, first, second)
    assert one == two == done.numbers[0]
    async with database.transaction() as tx:
        [decided] = await regrouping.decisions_about(tx, one)
        assert (decided.kind, decided.actor, decided.reason) == ("merged", "staff:ada", "She called")
        await regrouping.undo(tx, AGENT, done.decision_id, "It was her sister")
    assert await partition(database) == before
    async with database.transaction() as tx:
        [decided] = await regrouping.decisions_about(tx, before[second][0])
        assert (decided.undone_by, decided.undone_because) == ("staff:ada", "It was her sister")
        with pytest.raises(Conflict):
            await regrouping.undo(tx, AGENT, done.decision_id, "Again")


async def test_two_customers_become_one_and_two_again(database: Database, incident: str) -> None:
    anna = await a_customer(database, "Anna Jansen", number="N-0001")
    await a_customer(database, "Anna Janssen", number="N-0002")
    first, second = await told(database, customer_number="N-0001"), await told(database, customer_number="N-0002")
    before = await partition(database)
    done = await merged(database, second, first)
    later = await told(database, customer_number="N-0002")
    found = await partition(database)
    assert {found[one] for one in (first, second, later)} == {(before[first][0], anna)}
    async with database.transaction() as tx:
        await regrouping.undo(tx, AGENT, done.decision_id, "Two people after all")
    found = await partition(database)
    assert {one: found[one] for one in before} == before
    assert found[later] == before[second], "what came later goes with its owner"


async def test_cases_that_nobody_has_written_to_become_one_and_two_again(database: Database, incident: str) -> None:
    people = [await a_customer(database, "Anna Jansen", number=number) for number in ("N-0001", "N-0002")]
    audience = select(customers.c.id.label("customer_id"))
    async with database.transaction() as tx:
        assert await open_in_advance(tx, AGENT, incident, lambda _: audience) == 2
    before = await live_cases(database)
    assert sorted(before.values()) == sorted(people)
    async with database.transaction() as tx:
        one, other = sorted(before)
        done = await regrouping.merge(tx, AGENT, one, other, "She called")
    assert len(await live_cases(database)) == 1
    async with database.transaction() as tx:
        await regrouping.undo(tx, AGENT, done.decision_id, "Two people after all")
    assert sorted((await live_cases(database)).values()) == sorted(people)


async def live_cases(database: Database) -> dict[str, int]:
    """Number → customer."""
    async with database.transaction() as tx:
        rows = await (await driver(tx)).fetch("SELECT number, customer_id FROM cases WHERE merged_into IS NULL")
    return {row[0]: row[1] for row in rows}


async def test_a_split_and_its_undoing(database: Database, incident: str) -> None:
    receipts = [await told(database, name="Anna Jansen", email="j@home.example", message=text) for text in "abc"]
    before = await partition(database)
    [number] = set(await numbers(database, *receipts))
    taken = await contact_id(database, receipts[2])
    async with database.transaction() as tx:
        done = await regrouping.split(tx, AGENT, number, [taken], "Her daughter, same name")
    a, b, c = await numbers(database, *receipts)
    assert a == b == number != c
    later = await told(database, name="Anna Jansen", email="j@home.example", message="d")
    assert (await numbers(database, later))[0] in {a, c}
    a, b, c = await numbers(database, *receipts)
    assert a == b != c, "no later contact brings them together again"
    async with database.transaction() as tx:
        await regrouping.undo(tx, AGENT, done.decision_id, "One person after all")
    found = await partition(database)
    assert {one: found[one] for one in before} == before


async def test_a_split_leaves_the_customer_with_the_rest(database: Database, incident: str) -> None:
    anna = await a_customer(database, "Anna Jansen", number="N-0001")
    first = await told(database, customer_number="N-0001")
    second = await told(database, customer_number="N-0001", message="x")
    [number] = set(await numbers(database, first, second))
    async with database.transaction() as tx:
        await regrouping.split(tx, AGENT, number, [await contact_id(database, second)], "Somebody typed her number")
    found = await partition(database)
    assert (found[first][1], found[second][1]) == (anna, None)
    later = await told(database, customer_number="N-0001", message="y")
    assert (await partition(database))[later] == found[first]


async def test_what_is_kept_apart_stays_so_through_a_third(database: Database, incident: str) -> None:
    first = await told(database, name="Anna Jansen", email="a@home.example")
    second = await told(database, name="Anna Jansen", phone="+31612345678")
    one, two = await numbers(database, first, second)
    async with database.transaction() as tx:
        await regrouping.cannot_link(tx, AGENT, one, two, "Two of that name")
    await told(database, name="Anna Jansen", email="a@home.example", phone="+31612345678")
    one, two = await numbers(database, first, second)
    assert one != two


async def test_a_closed_case_that_takes_in_an_open_one_is_open(database: Database, incident: str) -> None:
    first, second = await told(database, name="Anna Jansen"), await told(database, name="Bea Bakker")
    async with database.transaction() as tx:
        await (await driver(tx)).execute("UPDATE cases SET state = 'closed', closed_at = now() WHERE id = 1")
    await merged(database, first, second)
    async with database.transaction() as tx:
        assert await (await driver(tx)).fetchval("SELECT state FROM cases WHERE id = 1") == "open"


async def test_refusals_say_what_to_do(database: Database, incident: str) -> None:
    first, second = await told(database, name="Anna Jansen"), await told(database, name="Bea Bakker")
    one, two = await numbers(database, first, second)
    async with database.transaction() as tx:
        with pytest.raises(NotFound):
            await regrouping.merge(tx, AGENT, one, "C-999999", "Why")
        with pytest.raises(Conflict):
            await regrouping.merge(tx, AGENT, one, one, "Why")
        with pytest.raises(Invalid):
            await regrouping.merge(tx, AGENT, one, two, "  ")
        with pytest.raises(Invalid):
            await regrouping.split(tx, AGENT, one, [], "Why")
        with pytest.raises(Invalid):
            await regrouping.split(tx, AGENT, one, [await contact_id(database, second)], "Why")


async def test_a_grey_pair_waits_for_a_person_and_is_explained(database: Database, incident: str) -> None:
    first = await told(database, name="Anna Jansen", phone="+31612345678", email="one@home.example")
    second = await told(database, name="Anna Jansen", phone="+31612345678", email="two@work.example")
    async with database.transaction() as tx:
        assert await review.count_grey_pairs(tx) == 1
        [pair] = await review.grey_pairs(tx, incident_id=incident)
        assert pair.explanation.outcome == "review"
        levels = {each.field: each.level for each in pair.explanation.compared}
        assert levels == {"given": "same", "surname": "same", "mail": "other", "phone": "same"}
        assert "reference" in pair.explanation.missing
        done = await review.answer(tx, AGENT, pair.one_id, pair.other_id, same=True, reason="One of them is from work")
    assert len(set(await numbers(database, first, second))) == 1
    async with database.transaction() as tx:
        assert await review.grey_pairs(tx) == []
        assert (await explain(tx, pair.one_id, pair.other_id)).decided_by == "staff:ada"
        await regrouping.undo(tx, AGENT, done.decision_id, "Look again")
        await review.answer(tx, AGENT, pair.one_id, pair.other_id, same=False, reason="Two of that name")
        assert await review.count_grey_pairs(tx) == 0
        with pytest.raises(NotFound):
            await explain(tx, pair.one_id, 999)
