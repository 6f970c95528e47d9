"""Whatever happens in whatever order, and from several sides at once, every contact is in one live case: the right one.

Contacts come in, and again; one or two workers resolve them, and one is killed in the middle; people
merge, split, keep apart and undo. After each step the promises must hold; at the end, with every decision undone, the
cases must be those that the rules give for all contacts at once.
"""

import asyncio
import hashlib
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from claims import Intake, Resolver, regrouping
from claims.links import Link
from claims.tracking import follow
from foundation.actors import Actor
from foundation.database import Database, driver
from foundation.errors import Conflict, Invalid
from tests.property.test_one_case_each import PEOPLE, contacts
from tests.support import one_person
from tests.support.claimants import OUTAGES, a_customer, an_incident, partition, send
from tests.support.one_person import Customer

AGENT = Actor("staff", "ada")
Result = TypeVar("Result")
_EMPTY = """
TRUNCATE case_journal, contact_links, contact_profiles, contact_keys, contacts, cases, identity_sides,
         identity_decisions CASCADE
"""


class Machine(RuleBasedStateMachine):
    """The world of one incident. `loop` and `database` are set for each run of the test."""

    loop: asyncio.AbstractEventLoop
    database: Database
    directory: Sequence[Customer]

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Mapping[str, str]] = []
        self.receipts: list[str] = []
        self.decisions: list[int] = []
        self.strangers: set[str] = set()
        self.run(self._empty())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    async def _empty(self) -> None:
        async with self.database.transaction() as tx:
            await (await driver(tx)).execute(_EMPTY)

    @rule(new=st.lists(contacts, min_size=1, max_size=4))
    def contacts_come_in(self, new: list[Mapping[str, str]]) -> None:
        self.said.extend(new)
        self.run(self._send(len(self.receipts)))

    @rule()
    def a_stranger_writes(self) -> None:
        words = (
            hashlib.blake2b(f"{len(self.said)}".encode())
            .hexdigest()
            .translate(str.maketrans("0123456789", "ghijklmnop"))
        )
        said = {"name": f"{words[:9]} {words[10:20]}", "email": f"{words[20:36]}@far.example"}
        self.said.append(said)
        self.run(self._send(len(self.receipts)))
        self.strangers.add(self.receipts[-1])

    @precondition(lambda self: self.receipts)
    @rule(data=st.data())
    def one_is_sent_again(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.receipts) - 1))
        assert self.run(self._send_one(place)) == self.receipts[place]

    async def _send(self, start: int) -> None:
        for place in range(start, len(self.said)):
            self.receipts.append(await self._send_one(place))

    async def _send_one(self, place: int) -> str:
        async with Intake(self.database, writers=1).running() as intake:
            return await send(intake, f"key {place}", **self.said[place])

    @rule(workers=st.integers(1, 2), batch=st.integers(1, 5))
    def workers_resolve(self, workers: int, batch: int) -> None:
        self.run(self._resolve(workers, batch))

    async def _resolve(self, workers: int = 1, batch: int = 500) -> None:
        async def work() -> None:
            resolver = Resolver(self.database, OUTAGES, batch=batch)
            while await resolver.step():
                pass

        await asyncio.gather(*(work() for _ in range(workers)))

    @rule(moment=st.floats(0.001, 0.02))
    def a_worker_dies(self, moment: float) -> None:
        async def die() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(moment):
                    await Resolver(self.database, OUTAGES, batch=3).step()

        self.run(die())

    # Numbers, not things: what is there depends on when a worker died, and what is drawn must not.
    @rule(
        kind=st.sampled_from(["merge", "split", "cannot_link"]),
        at_once=st.booleans(),
        places=st.tuples(st.integers(0, 99), st.integers(1, 99)),
        some=st.integers(1, 255),
    )
    def somebody_decides(self, kind: str, at_once: bool, places: tuple[int, int], some: int) -> None:
        cases: dict[str, list[str]] = {}
        before = self.run(partition(self.database))
        for receipt in sorted(before, key=self.receipts.index):
            cases.setdefault(before[receipt][0], []).append(receipt)
        if len(cases) < 2:
            return
        numbers = list(cases)
        first = places[0] % len(numbers)
        one, other = numbers[first], numbers[(first + 1 + places[1] % (len(numbers) - 1)) % len(numbers)]
        taken = [receipt for place, receipt in enumerate(cases[one]) if some >> place & 1]
        try:
            decision = self.run(self._decide(kind, one, other, taken))
        except (Conflict, Invalid):
            return
        if at_once:
            self.run(self._undo(decision))
            assert self.run(partition(self.database)) == before, "undoing at once leaves everything as it was"
        else:
            self.decisions.append(decision)
            self.strangers.clear()

    async def _decide(self, kind: str, one: str, other: str, taken: Sequence[str]) -> int:
        async with self.database.transaction() as tx:
            if kind == "merge":
                return (await regrouping.merge(tx, AGENT, one, other, "Why")).decision_id
            if kind == "cannot_link":
                return (await regrouping.cannot_link(tx, AGENT, one, other, "Why")).decision_id
            rows = await (await driver(tx)).fetch("SELECT id FROM contacts WHERE receipt = ANY ($1::text[])", taken)
            return (await regrouping.split(tx, AGENT, one, [row[0] for row in rows], "Why")).decision_id

    async def _undo(self, decision: int) -> None:
        async with self.database.transaction() as tx:
            await regrouping.undo(tx, AGENT, decision, "Not so")

    @rule(place=st.integers(0, 99))
    def somebody_undoes(self, place: int) -> None:
        if self.decisions:
            self.run(self._undo(self.decisions.pop(place % len(self.decisions))))

    @invariant()
    def the_promises_hold(self) -> None:
        self.run(self._check())

    async def _check(self) -> None:
        async with self.database.transaction() as tx:
            connection = await driver(tx)
            assert await connection.fetchval("SELECT count(*) FROM contacts") == len(self.receipts), (
                "one is lost or doubled"
            )
            for what, query in _PROMISES.items():
                assert await connection.fetchval(query) == 0, what
            found = await connection.fetch(
                "SELECT k.receipt, c.number FROM contacts k JOIN cases c ON c.id = k.case_id"
            )
            numbers = [number for _, number in found]
            for receipt, number in found[:2]:
                shown = await follow(tx, Link("contact", receipt), now=datetime.now(UTC))
                assert shown is not None
                assert shown.case_number == number, "a link leads to the live case"
            for receipt, number in found:
                assert receipt not in self.strangers or numbers.count(number) == 1, "who shares nothing joins nobody"

    def teardown(self) -> None:
        while self.decisions:
            self.run(self._undo(self.decisions.pop()))
        self.run(self._resolve())
        self.run(self._check())
        persons: dict[str, set[int]] = {}
        customers: dict[str, int | None] = {}
        for receipt, (number, customer) in self.run(partition(self.database)).items():
            persons.setdefault(number, set()).add(self.receipts.index(receipt))
            customers[number] = customer
        found = {(frozenset(places), customers[number]) for number, places in persons.items()}
        assert found == one_person.partition(self.said, self.directory)


_PROMISES = {
    "a contact is in a case that is not live": (
        "SELECT count(*) FROM contacts k JOIN cases c ON c.id = k.case_id WHERE c.merged_into IS NOT NULL"
    ),
    "an old number takes two steps": (
        "SELECT count(*) FROM cases a JOIN cases b ON b.id = a.merged_into WHERE b.merged_into IS NOT NULL"
    ),
    "a case number is not where its first contact is": (
        "SELECT count(*) FROM cases c JOIN contacts f ON f.id = c.founder_id"
        " WHERE f.case_id <> coalesce(c.merged_into, c.id)"
    ),
    "what somebody kept apart, and nobody merged, is together": (
        "SELECT count(*) FROM identity_decisions d JOIN identity_sides a ON a.decision_id = d.id AND a.side = 1"
        " JOIN identity_sides b ON b.decision_id = d.id AND b.side = 2"
        " JOIN contacts k ON k.id = a.contact_id JOIN contacts m ON m.id = b.contact_id AND m.case_id = k.case_id"
        " WHERE d.kind <> 'merged' AND d.undone_at IS NULL AND NOT EXISTS (SELECT FROM identity_decisions e"
        " WHERE e.id > d.id AND e.kind <> 'different' AND e.undone_at IS NULL)"
    ),
}


@pytest.mark.timeout(200)
def test_one_live_case_each_whatever_happens(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_url)

        async def prepare() -> list[Customer]:
            await an_incident(database)
            return [
                Customer(
                    await a_customer(database, name, number=number, mails=mails, phones=phones, references=references),
                    name,
                    number,
                    mails,
                    phones,
                    references,
                )
                for name, number, mails, phones, references in PEOPLE
            ]

        Machine.directory = runner.run(prepare())
        Machine.loop, Machine.database = runner.get_loop(), database
        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
                ),
            )
        finally:
            runner.run(database.close())
