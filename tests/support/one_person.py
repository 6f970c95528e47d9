"""Who is one person, worked out the slow and obvious way, to hold the real rules against.

It knows the whole directory and all contacts at once and looks at every pair. Of the customer it makes up its own mind;
how much two contacts resemble each other it asks the rules, whose own tests say what they should say.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from claims import grouping
from claims.collapse import Person
from claims.evidence import clues_in, evidence_of, questions
from claims.grouping import Item, Link
from claims.identity import Key, Known, Use, has_force
from claims.intake import fingerprint
from claims.linking import Read
from claims.names import Agreement, agreement
from claims.resemblance import is_named, resemblance
from claims.resolver import read_one
from claims.submissions import Submission
from notify import fold_name

Said = Mapping[str, str]


@dataclass(frozen=True)
class Customer:
    """A customer as the oracle knows them; values are normalised."""

    id: int
    name: str
    number: str
    mails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    def has(self, field: str, value: str) -> bool:
        """Whether the directory has this value for this customer."""
        held = {"customer_number": (self.number,), "reference": self.references, "email": self.mails}
        return value in held.get(field, self.phones)


FIELDS = ("customer_number", "reference", "email", "phone")
PLACEHOLDERS = ("unknown", "geen", "onbekend", "-", "none@none.com", "no@no.no", "0000000000", "1234567890")


def customer_of(said: Said, directory: Sequence[Customer]) -> int | None:
    """The customer who wrote, by the directory alone: first whom the name agrees with, else whom the clues name."""
    name = _name(said)
    told = [field for field in FIELDS if said.get(field, "") not in ("", *PLACEHOLDERS)]
    holders = {field: {one.id for one in directory if one.has(field, said[field])} for field in told}
    kinds = {one.id: sum(one.id in who for who in holders.values()) for one in directory}
    chosen: dict[int, Agreement] = {}
    for field in told:
        levels = {one.id: _goes_with(field, name, one) for one in directory if one.id in holders[field]}
        best = max(levels.values(), default=Agreement.NONE)
        if best and list(levels.values()).count(best) == 1:
            found = next(customer for customer, level in levels.items() if level == best)
            chosen[found] = max(best, chosen.get(found, Agreement.NONE))
    if chosen:
        whole = {customer for customer, level in chosen.items() if level >= Agreement.LIKELY}
        return _most(whole or chosen.keys(), kinds)
    alone = {field: holders[field] for field in told if field != "reference" and len(holders[field]) == 1}
    customer = _most(set().union(*alone.values()), kinds)
    if customer is None or kinds[customer] >= 2:
        return customer
    everybody_else = any(who and customer not in who for who in holders.values())
    return None if everybody_else or (name and "email" not in alone) else customer


def _most(customers: Collection[int], kinds: Mapping[int, int]) -> int | None:
    """The customer with the most kinds of clues, if only one has as many."""
    first = [one for one in customers if all(kinds[one] > kinds[other] for other in customers if other != one)]
    return first[0] if first else None


def _goes_with(field: str, name: str, customer: Customer) -> Agreement:
    """How well a name agrees. Nobody in these tests has two surnames or is listed surname first."""
    level = agreement(name, fold_name(customer.name))
    surname = fold_name(customer.name).split()[-1]
    only_first_name = name == fold_name(customer.name).split()[0]
    if field in ("email", "phone") or surname in name.split() or (only_first_name and field == "customer_number"):
        return level
    return Agreement.NONE


def partition(contacts: Sequence[Said], directory: Sequence[Customer]) -> set[tuple[frozenset[int], int | None]]:
    """The persons behind `contacts`: (their places in the sequence, the customer or None). All at once, every pair."""
    read = [_read(place, said, directory) for place, said in enumerate(contacts)]
    for one, said in zip(read, contacts, strict=True):
        assert one.decision.customer_id == customer_of(said, directory)
    uses: dict[Key, Use] = {}
    for one in {(one.profile, one.keys, one.decision.customer_id): one for one in reversed(read)}.values():
        for key in one.keys:
            uses.setdefault(key, Use()).add(one.id, one.decision.customer_id, one.surname)
    shared = {key for key, use in uses.items() if not has_force(key, use)}
    links = []
    for one in read:
        for other in read[: one.id]:
            known = one.decision.customer_id is not None and other.decision.customer_id is not None
            if not known and {*one.keys} & {*other.keys} - shared:
                found = resemblance(one.profile, other.profile, shared)
                if found.outcome == "join":
                    links.append(Link(other.id, one.id, found.weight))
    items = {one.id: Item(one.decision.customer_id, is_named(one.profile), one.mark) for one in read}
    persons: dict[Person, set[int]] = {}
    for place, person in grouping.persons(items, links)[0].items():
        persons.setdefault(person, set()).add(place)
    return {(frozenset(places), who.id if who.kind == "customer" else None) for who, places in persons.items()}


def _read(place: int, said: Said, directory: Sequence[Customer]) -> Read:
    submission = msgspec.convert(dict(said), Submission)
    clues = clues_in(submission)
    fits: dict[tuple[str, str], list[Known]] = {}
    fields = {"customer_number": "customer_number", "reference": "reference", "mail": "email", "phone": "phone"}
    for question in questions(0, clues):
        for one in directory:
            if one.has(fields[question.kind], question.value):
                fits.setdefault((question.kind, question.value), []).append(Known(one.id, fold_name(one.name)))
    return read_one(place, clues, evidence_of(clues, fits), submission, fingerprint(msgspec.json.encode(dict(said))))


def _name(said: Said) -> str:
    """The folded name, `De Vries, Jan` as Jan de Vries, without Mr and Mevr."""
    last, _, first = said.get("name", "").partition(",")
    return " ".join(word for word in fold_name(f"{first} {last}").split() if word not in ("mr", "mevr"))
