"""However contacts come in, they end in the same cases: those that the rules give for all of them at once."""

from asyncio import gather
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claims import Intake, Resolver
from foundation.database import Database, driver
from tests.support import one_person
from tests.support.claimants import OUTAGES, a_customer, an_incident, partition, send
from tests.support.one_person import Customer

Said = Mapping[str, str]

PEOPLE = (
    ("Anna Jansen", "N0001", ("anna@x.example",), ("+31600000001",), ("R1AAAA",)),
    ("Ben Jansen", "N0002", ("family@x.example",), ("+31600000002",), ("R1AAAA",)),
    ("Clara de Vries", "N0003", ("family@x.example",), ("+31600000003", "+31600000009"), ("R3CCCC",)),
    ("Dirk de Vries", "N0004", (), ("+31600000009",), ("R4DDDD",)),
)
# Few values, and few of them from the directory: what matters happens where contacts share what only they know.
FIELDS = {
    "name": [
        "",
        "",
        "Anna Jansen",
        "B. Jansen",
        "JANSEN",
        "De Vries",
        "Kim Kok",
        "Kok",
        "Lou Bos",
        "Mo Ali",
        "Zoë Roos",
        "Mr Jansen",
        "Anna",
        "Anna Bos",
        "Jansen, Anna",
    ],
    "customer_number": ["", "", "", "N0001", "N0002", "N0003", "N9999"],
    "reference": ["", "", "", "", "R1AAAA", "R4DDDD", "R9ZZZZ", "unknown", "geen", "-"],
    "email": [
        "",
        "p@home.example",
        "p@home.example",
        "q@home.example",
        "family@x.example",
        "anna@x.example",
        "none@none.com",
    ],
    "phone": ["", "", "", "+31611111111", "+31622222222", "+31600000009", "+31600000001", "0000000000"],
}
contacts = st.fixed_dictionaries({field: st.sampled_from(values) for field, values in FIELDS.items()}).map(
    lambda said: {"message": "Help", **{field: value for field, value in said.items() if value}}
)
storms = st.integers(2, 16).flatmap(lambda size: st.lists(contacts, min_size=size, max_size=size))


class World:
    """A database with the people above and one incident; emptied of contacts between storms."""

    def __init__(self, database: Database, incident: str, directory: Sequence[Customer]) -> None:
        self.database = database
        self.incident = incident
        self.directory = directory

    async def empty(self) -> None:
        async with self.database.transaction() as tx:
            await (await driver(tx)).execute(
                "TRUNCATE case_journal, contact_links, contact_profiles, contact_keys, contacts, cases CASCADE"
            )

    async def storm(self, batches: Sequence[Sequence[tuple[str, Said]]], *, batch: int = 500) -> dict[str, str]:
        """Send the batches one after another, resolving in between; key → receipt."""
        receipts = {}
        async with Intake(self.database, writers=1).running() as intake:
            for one in batches:
                sent = await gather(*(send(intake, key, **said) for key, said in one))
                receipts.update({key: receipt for (key, _), receipt in zip(one, sent, strict=True)})
                resolver = Resolver(self.database, OUTAGES, batch=batch)
                while await resolver.step():
                    pass
        return receipts

    async def persons(self, receipts: Mapping[str, str]) -> set[tuple[frozenset[int], int | None]]:
        """The cases as (places of the contacts in the storm, customer), checked for the promises that always hold."""
        await self.check()
        cases: dict[str, set[int]] = {}
        customers = {}
        for receipt, (number, customer) in (await partition(self.database)).items():
            place = next(int(key.rpartition(" ")[2]) for key, one in receipts.items() if one == receipt)
            cases.setdefault(number, set()).add(place)
            customers[number] = customer
        return {(frozenset(places), customers[number]) for number, places in cases.items()}

    async def check(self) -> None:
        async with self.database.transaction() as tx:
            connection = await driver(tx)
            lost = await connection.fetchval(
                "SELECT count(*) FROM contacts k LEFT JOIN cases c ON c.id = k.case_id "
                "WHERE c.id IS NULL OR c.merged_into IS NOT NULL"
            )
            assert lost == 0, "a contact is not in a live case"
            long = await connection.fetchval(
                "SELECT count(*) FROM cases a JOIN cases b ON b.id = a.merged_into WHERE b.merged_into IS NOT NULL"
            )
            assert long == 0, "an old number takes two steps to its case"
            astray = await connection.fetchval(
                "SELECT count(*) FROM cases c JOIN contacts f ON f.id = c.founder_id "
                "WHERE f.case_id <> coalesce(c.merged_into, c.id)"
            )
            assert astray == 0, "a case number is not where its first contact is"


@pytest.fixture
async def world(database: Database) -> World:
    incident = await an_incident(database)
    directory = []
    for name, number, mails, phones, references in PEOPLE:
        customer = await a_customer(database, name, number=number, mails=mails, phones=phones, references=references)
        directory.append(Customer(customer, name, number, mails, phones, references))
    return World(database, incident, directory)


async def _same_whatever_the_order(world: World, storm: Sequence[Said], draw: st.DataObject) -> None:
    expected = one_person.partition(storm, world.directory)
    order = draw.draw(st.permutations(list(enumerate(storm))), label="order of arrival")
    # Contacts of one commit are stored in the order of their keys; so the key begins with the turn.
    arrivals = [(f"{turn:02d} {place}", said) for turn, (place, said) in enumerate(order)]
    again = draw.draw(st.lists(st.sampled_from(arrivals), max_size=4), label="sent again")
    cuts = sorted(draw.draw(st.sets(st.integers(0, len(arrivals)), max_size=4), label="cut into batches at"))
    bounds = [0, *cuts, len(arrivals)]
    batches = [arrivals[start:end] for start, end in pairwise(bounds)] + [again]
    await world.empty()
    receipts = await world.storm(batches, batch=draw.draw(st.integers(1, 6), label="contacts a step"))
    assert len(set(receipts.values())) == len(storm), "a repetition made a second contact, or one was lost"
    assert await world.persons(receipts) == expected


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(storm=storms, draw=st.data())
async def test_any_order_repetition_and_batching_gives_the_same_cases(
    world: World, storm: list[Said], draw: st.DataObject
) -> None:
    await _same_whatever_the_order(world, storm, draw)
