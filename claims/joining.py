"""Makes an incident's cases agree with who wrote: loads what a batch can touch, asks the rules, writes the outcome.

It holds no rule itself: `claims.identity` says who is one person, `claims.collapse` which case is theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from claims import casebook
from claims.casebook import Entry, KeyUse, Placed
from claims.collapse import Case, Person, Plan, case_number, first_contacts, homes_of, persons_of, plan
from claims.identity import Decision, Group, Key, groups, has_force
from foundation.actors import SYSTEM
from foundation.database import Driver


@dataclass(frozen=True, slots=True)
class Read:
    """A contact that has been read and held against the directory."""

    id: int
    surname: str
    decision: Decision


class Reason(NamedTuple):
    """Why a contact is where it is, as the journal tells: a code, and the value that did it."""

    code: str
    value: str


@dataclass(slots=True)
class _Closure:
    """Everything in an incident that a batch can touch."""

    undecided: dict[int, Sequence[Key]] = field(default_factory=dict)
    owners: dict[Key, set[int]] = field(default_factory=dict)
    surnames: dict[Key, set[str]] = field(default_factory=dict)


async def join(connection: Driver, incident_id: str, batch: Sequence[Read]) -> None:
    """Work out the persons that `batch` touches, and make the incident's cases agree. The incident must be locked."""
    closure = await _closure(connection, incident_id, batch)
    found = groups(closure.undecided, closure.owners, closure.surnames)
    decided = {one.id: one.decision.customer_id for one in batch}
    persons = persons_of(decided, ((group.customer_id, group.contacts) for group in found))
    earlier = await _earlier(connection, closure, decided)
    cases = await casebook.touched_cases(
        connection, incident_id, closure.undecided, {one.id for one in persons.values() if one.kind == "customer"}
    )
    shall = await _plan(connection, incident_id, persons, cases)
    await casebook.write_cases(connection, incident_id, shall)
    reasons = _reasons(batch, found)
    placed = [
        Placed(contact, shall.homes[person], reasons[contact].code)
        for contact, person in persons.items()
        if contact not in earlier or earlier[contact][0] != shall.homes[person]
    ]
    await casebook.place(connection, incident_id, placed, decided)
    if shall.moved:
        await casebook.move_rest(connection, shall.moved, persons)
    await casebook.add_keys(connection, incident_id, list(_key_uses(batch)))
    before = {case.id: case for case in cases}
    await casebook.write_journal(connection, str(SYSTEM), _journal(shall, placed, reasons, earlier, before))


async def _closure(connection: Driver, incident_id: str, batch: Sequence[Read]) -> _Closure:
    """The contacts of the batch, and all earlier ones the directory does not know that keys lead to, step by step.

    A key that had lost its force before this batch leads nowhere: it joined nobody, and never will again.
    """
    closure = _Closure()
    for use in _key_uses(batch):
        owners, surnames = closure.owners.setdefault(use.key, set()), closure.surnames.setdefault(use.key, set())
        if use.customer_id is not None:
            owners.add(use.customer_id)
        if use.surname:
            surnames.add(use.surname)
    closure.undecided.update({one.id: one.decision.keys for one in batch if one.decision.customer_id is None})
    frontier = set(closure.owners)
    while frontier:
        used = await casebook.key_owners(connection, incident_id, frontier)
        for key, (owners, surnames) in used.items():
            closure.owners.setdefault(key, set()).update(owners)
            closure.surnames.setdefault(key, set()).update(surnames)
        leading = [key for key, (owners, surnames) in used.items() if has_force(owners, surnames)]
        reached = await casebook.undecided_users(connection, incident_id, leading) if leading else set()
        fresh = await casebook.keys_of(connection, reached - closure.undecided.keys()) if reached else {}
        closure.undecided.update(fresh)
        frontier = {key for keys in fresh.values() for key in keys} - closure.owners.keys()
        for key in frontier:
            closure.owners[key], closure.surnames[key] = set(), set()
    return closure


async def _earlier(
    connection: Driver, closure: _Closure, decided: Mapping[int, int | None]
) -> dict[int, tuple[int, str]]:
    known = closure.undecided.keys() - decided.keys()
    return await casebook.cases_of(connection, known) if known else {}


async def _plan(connection: Driver, incident_id: str, persons: Mapping[int, Person], cases: Sequence[Case]) -> Plan:
    owned = homes_of(persons, cases)
    founders = first_contacts(persons)
    homeless = [person for person, theirs in owned.items() if not theirs]
    for person in homeless:
        if person not in founders:  # their number left with its founder, who is somebody else after all
            founders[person] = await casebook.first_other_contact(connection, incident_id, person.id, persons)
    return plan(owned, founders, await casebook.fresh_case_ids(connection, len(homeless)))


def _key_uses(batch: Sequence[Read]) -> list[KeyUse]:
    return [
        KeyUse(key, one.id, one.decision.customer_id, one.surname)
        for one in batch
        for key in dict.fromkeys(one.decision.keys)
    ]


def _reasons(batch: Sequence[Read], found: Sequence[Group]) -> dict[int, Reason]:
    """Contact → why it is where it is: the clue the directory knows, the key it shares, or that it stands alone."""
    reasons = {}
    for one in batch:
        if one.decision.because is not None:
            reasons[one.id] = Reason(one.decision.because, one.decision.value)
    nameless = {one.id for one in batch if not one.decision.keys}
    for group in found:
        for contact, key in group.via.items():
            if key is not None:
                reasons[contact] = Reason(f"same_{key.kind.removesuffix('+name')}", key.value)
            else:
                reasons[contact] = Reason("nothing_to_go_by" if contact in nameless else "nobody_known", "")
    return reasons


def _journal(
    shall: Plan,
    placed: Sequence[Placed],
    reasons: Mapping[int, Reason],
    earlier: Mapping[int, tuple[int, str]],
    before: Mapping[int, Case],
) -> list[Entry]:
    founders = {case.founder_id for case in shall.opened}
    entries = []
    for one in placed:
        told = {"contact": one.contact_id, "because": one.matched_by, "value": reasons[one.contact_id].value}
        if one.contact_id in earlier:
            entries.append(Entry(earlier[one.contact_id][0], "contact_left", {**told, "to": case_number(one.case_id)}))
        event = "opened" if one.contact_id in founders else "contact_joined"
        entries.append(Entry(one.case_id, event, told))
    arrived = {one.contact_id for one in placed}
    # The number some customers had went with its founder, who is somebody else after all.
    entries += [
        Entry(case.id, "opened", {"contact": case.founder_id, "because": "parted"})
        for case in shall.opened
        if case.founder_id not in arrived
    ]
    for old, new in shall.moved.items():
        entries.append(Entry(old, "contacts_went", {"to": case_number(new)}))
        entries.append(Entry(new, "contacts_came", {"from": case_number(old)}))
    for case in shall.changed:
        entries.extend(_changes(before[case.id], case))
    return entries


def _changes(was: Case, shall: Case) -> list[Entry]:
    entries = []
    if shall.merged_into is not None and was.merged_into != shall.merged_into:
        entries.append(Entry(shall.id, "merged", {"into": case_number(shall.merged_into)}))
        entries.append(Entry(shall.merged_into, "took_in", {"case": case_number(shall.id)}))
    if shall.merged_into is None and was.merged_into is not None:
        entries.append(Entry(shall.id, "parted", {"from": case_number(was.merged_into)}))
    if shall.merged_into is None and was.customer_id != shall.customer_id:
        entries.append(Entry(shall.id, "customer_set", {"customer": shall.customer_id, "was": was.customer_id}))
    return entries
