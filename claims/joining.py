"""Makes an incident's cases agree with who wrote: loads what a change can touch, asks the rules, writes the outcome.

It holds no rule itself: `claims.grouping` says who is one person, `claims.collapse` which case is theirs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from claims import casebook
from claims.casebook import Entry, Placed
from claims.collapse import Case, Person, Plan, case_number, first_contacts, homes_of, plan
from claims.grouping import persons
from claims.linking import Found, Read, link
from claims.region import Region, newest_first, region_of
from foundation.actors import SYSTEM, Actor
from foundation.database import Driver


class Reason(NamedTuple):
    """Why a contact is where it is, as the journal tells: a code, the value that did it, and the contact it is like."""

    code: str
    value: str
    like: int | None = None


class Moved(NamedTuple):
    """A contact that is in another case than before."""

    contact_id: int
    was: int
    now: int


@dataclass(frozen=True, slots=True)
class _Change:
    """What is new: contacts, links between contacts; who did it; and customers, who may have no contacts at all."""

    batch: Sequence[Read]
    found: Found
    actor: Actor
    customers: Collection[int] = ()


async def join(connection: Driver, incident_id: str, batch: Sequence[Read]) -> list[Moved]:
    """Give the contacts of a batch their cases, and put right whatever they touch. The incident must be locked."""
    linked = await link(connection, incident_id, batch)
    region = await region_of(connection, incident_id, batch, linked.touched - {one.id for one in batch})
    return await _agree(connection, incident_id, region, _Change(batch, linked.found, SYSTEM))


async def regroup(
    connection: Driver, incident_id: str, actor: Actor, contacts: Collection[int], customers: Collection[int]
) -> list[Moved]:
    """Put right the cases of these, because what people say of them has changed. The incident must be locked."""
    region = await region_of(connection, incident_id, (), contacts, customers)
    return await _agree(connection, incident_id, region, _Change((), {}, actor, customers))


async def _agree(connection: Driver, incident_id: str, region: Region, change: _Change) -> list[Moved]:
    who, customers = persons(region.items, list(region.links.values()), newest_first(region.decisions), region.proofs)
    cases = await casebook.touched_cases(connection, incident_id, who, {*customers, *change.customers})
    shall = await _plan(connection, incident_id, who, customers, cases)
    await casebook.write_cases(connection, incident_id, shall)
    reasons = _reasons(change.batch, who, change.found, region)
    placed = [
        Placed(contact, shall.homes[person], reasons[contact].code)
        for contact, person in who.items()
        if contact not in region.placed or region.placed[contact][0] != shall.homes[person]
    ]
    known = {contact: item.customer_id for contact, item in region.items.items()}
    await casebook.place(connection, incident_id, placed, known)
    if shall.moved:
        await casebook.move_rest(connection, shall.moved, who)
    if shall.changed:
        await casebook.keep_promises(connection, [case.id for case in shall.changed if case.merged_into is not None])
    before = {case.id: case for case in cases}
    await casebook.write_journal(connection, str(change.actor), _journal(shall, placed, reasons, region.placed, before))
    return [
        Moved(one.contact_id, region.placed[one.contact_id][0], one.case_id)
        for one in placed
        if one.contact_id in region.placed
    ]


async def _plan(
    connection: Driver,
    incident_id: str,
    who: Mapping[int, Person],
    customers: Mapping[int, Person],
    cases: Sequence[Case],
) -> Plan:
    owned = homes_of(who, customers, cases)
    founders = first_contacts(who)
    homeless = [person for person, theirs in owned.items() if not theirs]
    for person in homeless:
        if person not in founders:  # their number left with its founder, who is somebody else after all
            founders[person] = await casebook.first_other_contact(connection, incident_id, person.id, who)
    return plan(owned, founders, customers, await casebook.fresh_case_ids(connection, len(homeless)))


def _reasons(batch: Sequence[Read], who: Mapping[int, Person], found: Found, region: Region) -> dict[int, Reason]:
    """Contact → why it is where it is: a clue the directory knows, what it has in common, or that it stands alone."""
    reasons = {contact: Reason("nobody_known", "") for contact in who}
    for contact, (_, code) in region.placed.items():
        reasons[contact] = Reason(code, "")
    silent = {one.id for one in batch if not one.keys}
    reasons.update(dict.fromkeys(silent, Reason("nothing_to_go_by", "")))
    for one in batch:
        if one.decision.contradicts:
            reasons[one.id] = Reason("clues_disagree", one.decision.value)
    _resembling(reasons, who, found)
    for judged in region.decisions.values():
        for person in (*judged.one, *judged.other):
            if person.kind == "contact" and person.id in who:
                reasons[person.id] = Reason("by_hand", "")
    for one in batch:
        if one.decision.because is not None and who[one.id].kind == "customer":
            reasons[one.id] = Reason(one.decision.because, one.decision.value)
    return reasons


def _resembling(reasons: dict[int, Reason], who: Mapping[int, Person], found: Found) -> None:
    best: dict[int, tuple[float, int]] = {}
    for (one, other), resembles in found.items():
        if who.get(one) is None or who.get(one) != who.get(other):
            continue
        top = max(resembles.agreed, key=lambda each: each.weight)
        for contact, like in ((one, other), (other, one)):
            if contact not in best or (resembles.weight, -like) > best[contact]:
                best[contact] = (resembles.weight, -like)
                reasons[contact] = Reason(f"same_{top.field}", "", like)


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
        why = reasons[one.contact_id]
        told: dict[str, object] = {"contact": one.contact_id, "because": one.matched_by, "value": why.value}
        if why.like is not None:
            told["like"] = why.like
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
