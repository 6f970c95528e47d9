"""Which case is the one live case of each person, when contacts have found each other or parted again.

Pure: groups of contacts and the cases there are go in, the cases there shall be come out. A case number stays with the
contact it was opened for (its *founder*): of the cases whose founders are one person's the oldest lives, the others
redirect to it; a founder who turns out to be somebody else takes the number along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Case:
    """A row of `cases`, as far as this matters. `merged_into` always names a live case: redirects have one step."""

    id: int
    founder_id: int | None  # None: opened in advance, for its customer
    customer_id: int | None
    merged_into: int | None


def case_number(case_id: int) -> str:
    """The number people know a case by. The column `cases.number` is made by the same rule."""
    return f"C-{100_000 + case_id}"


class Person(NamedTuple):
    """A customer, or somebody without one, known by the first of their contacts."""

    kind: Literal["customer", "contact"]
    id: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the cases shall be. `homes`: person → live case. `moved`: case → the live case its other contacts go to."""

    homes: Mapping[Person, int]
    opened: Sequence[Case]
    changed: Sequence[Case]
    moved: Mapping[int, int]


def homes_of(
    persons: Mapping[int, Person], customers: Mapping[int, Person], cases: Sequence[Case]
) -> dict[Person, list[Case]]:
    """The cases that belong to each person, oldest first. Empty for a person who has none yet.

    A case belongs to whoever its founder is, and one opened in advance to its customer. A founder outside `persons` was
    not touched: then the case belongs to the customer of its live case. `customers`: customer → who that is, where a
    person decided.
    """
    by_id = {case.id: case for case in cases}
    owned: dict[Person, list[Case]] = {person: [] for person in persons.values()}
    for case in sorted(cases, key=lambda one: one.id):
        if case.merged_into is None and case.customer_id is not None:
            owned.setdefault(_who(case.customer_id, customers), [])
        owned.setdefault(_owner(case, persons, customers, by_id), []).append(case)
    return owned


def first_contacts(persons: Mapping[int, Person]) -> dict[Person, int]:
    """The first contact of each person, who founds their case when they have none."""
    founders: dict[Person, int] = {}
    for contact, person in persons.items():
        founders[person] = min(contact, founders.get(person, contact))
    return founders


def plan(
    owned: Mapping[Person, Sequence[Case]],
    founders: Mapping[Person, int],
    customers: Mapping[int, Person],
    fresh: Sequence[int],
) -> Plan:
    """The cases there shall be. `fresh`: an id for each person without a case, all of whom `founders` has."""
    # In order of arrival, so that numbers rise with time.
    homeless = sorted((founders[person], person) for person, cases in owned.items() if not cases)
    opened = {
        person: Case(number, founder, _customer(person), None)
        for (founder, person), number in zip(homeless, fresh, strict=True)
    }
    homes = {person: (opened[person].id if person in opened else cases[0].id) for person, cases in owned.items()}
    changed = []
    for person, cases in owned.items():
        for case in cases:
            target = homes[person]
            merged_into = None if case.id == target else target
            # A redirect keeps the customer it last had: that is history. A live case has the one it is for.
            customer = _customer(person) if merged_into is None else case.customer_id
            shall = replace(case, customer_id=customer, merged_into=merged_into)
            if shall != case:
                changed.append(shall)
    return Plan(homes, tuple(opened.values()), changed, _moves(owned, customers, homes))


def _moves(
    owned: Mapping[Person, Sequence[Case]], customers: Mapping[int, Person], homes: Mapping[Person, int]
) -> dict[int, int]:
    """Where the other contacts of a case go that was live for a customer and no longer is: with the customer."""
    moves = {}
    for cases in owned.values():
        for case in cases:
            if case.merged_into is None and case.customer_id is not None:
                home = homes.get(_who(case.customer_id, customers))
                if home is not None and home != case.id:
                    moves[case.id] = home
    return moves


def _owner(
    case: Case, persons: Mapping[int, Person], customers: Mapping[int, Person], by_id: Mapping[int, Case]
) -> Person:
    if case.founder_id is not None and case.founder_id in persons:
        return persons[case.founder_id]
    if case.founder_id is None and case.customer_id is not None:
        return _who(case.customer_id, customers)
    live = case if case.merged_into is None else by_id[case.merged_into]
    if live.customer_id is not None:
        return _who(live.customer_id, customers)
    assert live.founder_id is not None  # a case has a founder, a customer, or both
    return persons.get(live.founder_id, Person("contact", live.founder_id))


def _who(customer: int, customers: Mapping[int, Person]) -> Person:
    return customers.get(customer, Person("customer", customer))


def _customer(person: Person) -> int | None:
    return person.id if person.kind == "customer" else None
