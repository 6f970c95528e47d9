"""Holds what Stormdesk made of the storm against what the storm knows: who wrote which contact.

It reads plain rows and trusts no constraint of the schema. It knows nothing of how they were made.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.demo.storm import Contact


class Case(NamedTuple):
    """A case as stored. `customer`: the customer number it is for; None when nobody knows."""

    id: int
    customer: str | None
    merged_into: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What went wrong, in people. `lost`: promised with a receipt, yet in no live case, or in nobody's although the
    contact says whose it is. `unresolved`: says nothing to know a person by, and is in no known person's case.
    `two_cases`: customers whose knowable contacts are in several live cases. `two_customers`: live cases that hold
    contacts of several passengers, or of one and stand under another's name.
    """

    contacts: int
    cases: int
    unresolved: int
    lost: int
    two_cases: int
    two_customers: int


def judge(written: Mapping[str, Contact], placed: Iterable[tuple[str, int | None]], cases: Iterable[Case]) -> Verdict:
    """Compare `written` (receipt → contact) with `placed` (receipt, case id) and all `cases`."""
    by_id = {case.id: case for case in cases}
    homes = {receipt: _live(by_id, case_id) for receipt, case_id in placed}
    authors: dict[int, set[str]] = defaultdict(set)
    used: dict[str, set[int]] = defaultdict(set)
    unresolved = lost = 0
    for receipt, contact in written.items():
        home = homes.get(receipt)
        if home is None or (home.customer is None and contact.knowable):
            lost += 1
            continue
        unresolved += home.customer is None
        authors[home.id].add(contact.author)
        if contact.knowable:
            used[contact.author].add(home.id)
    for case_id, people in authors.items():
        customer = by_id[case_id].customer
        people.update({customer} if customer is not None else ())
    return Verdict(
        contacts=len(homes),
        cases=sum(case.merged_into is None for case in by_id.values()),
        unresolved=unresolved,
        lost=lost,
        two_cases=sum(len(theirs) > 1 for theirs in used.values()),
        two_customers=sum(len(people) > 1 for people in authors.values()),
    )


def _live(cases: Mapping[int, Case], case_id: int | None) -> Case | None:
    """The case that `case_id` leads to. None when it leads nowhere, or in a circle."""
    seen: set[int] = set()
    while case_id is not None and case_id in cases and case_id not in seen:
        seen.add(case_id)
        case = cases[case_id]
        if case.merged_into is None:
            return case
        case_id = case.merged_into
    return None
