"""Who is one person, worked out the slow and obvious way, to hold the real rules against.

It knows the whole directory and all contacts at once, looks at every pair, and repeats until nothing changes. It shares
with the rules only the comparison of two names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from claims.names import PARTICLES, Agreement, agreement
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


def customer_of(said: Said, directory: Sequence[Customer]) -> int | None:
    """The customer who wrote, by the directory alone."""
    name = fold_name(said.get("name", ""))
    for field in ("customer_number", "reference", "email", "phone"):
        if said.get(field):
            fitting = [one for one in directory if one.has(field, said[field])]
            if not name and len(fitting) == 1:
                return fitting[0].id
            for level in (Agreement.SAME, Agreement.LIKELY, Agreement.PART):
                best = [one for one in fitting if agreement(name, fold_name(one.name)) == level]
                if best:
                    if len(best) == 1:
                        return best[0].id
                    break
    for field in ("customer_number", "email", "phone"):
        fitting = [one for one in directory if said.get(field) and one.has(field, said[field])]
        if len(fitting) == 1:
            return fitting[0].id
    return None


def partition(contacts: Sequence[Said], directory: Sequence[Customer]) -> set[tuple[frozenset[int], int | None]]:
    """The persons behind `contacts`: (their places in the sequence, the customer or None)."""
    customers = [customer_of(said, directory) for said in contacts]
    keys = [_keys(said, directory) for said in contacts]

    def joins(key: str) -> bool:
        users = [place for place, theirs in enumerate(keys) if key in theirs]
        owners = {customers[place] for place in users} - {None}
        surnames = {_surname(contacts[place]) for place in users} - {""}
        return len(owners) < 2 and len(surnames) < 4

    live = {key for theirs in keys for key in theirs if joins(key)}
    label = list(range(len(contacts)))
    changed = True
    while changed:
        changed = False
        for one in range(len(contacts)):
            for other in range(len(contacts)):
                unknown = customers[one] is None and customers[other] is None
                if unknown and label[one] > label[other] and keys[one] & keys[other] & live:
                    label[one] = label[other]
                    changed = True
    home: dict[int, int | None] = {}
    for group in {label[place] for place in range(len(contacts)) if customers[place] is None}:
        theirs = set().union(*(keys[place] for place in range(len(contacts)) if label[place] == group)) & live
        touched = {customers[place] for place in range(len(contacts)) if keys[place] & theirs} - {None}
        home[group] = next(iter(touched)) if len(touched) == 1 else None
    persons: dict[tuple[str, int], set[int]] = {}
    for place in range(len(contacts)):
        owner = customers[place] if customers[place] is not None else home[label[place]]
        person = ("customer", owner) if owner is not None else ("group", label[place])
        persons.setdefault(person, set()).add(place)
    return {(frozenset(places), person if kind == "customer" else None) for (kind, person), places in persons.items()}


def _keys(said: Said, directory: Sequence[Customer]) -> set[str]:
    name, surname = fold_name(said.get("name", "")), _surname(said)
    keys = set()
    for field in ("email", "phone", "customer_number", "reference"):
        value = said.get(field, "")
        fitting = [one for one in directory if value and one.has(field, value)]
        by_name = [one for one in fitting if agreement(name, fold_name(one.name)) > Agreement.NONE]
        if not value:
            continue
        if field in ("email", "phone"):
            keys |= set() if fitting else {f"{field} {value}"}
            keys |= {f"{field}, name {value} {name}"} if name and not by_name and len(fitting) != 1 else set()
        elif surname and not by_name:
            keys |= {f"{field} {value} {surname}", f"{field}, name {value} {name}"}
        elif field == "reference" and not fitting and not name:
            keys |= {f"{field} {value}"}
    return keys


def _surname(said: Said) -> str:
    words = [word for word in fold_name(said.get("name", "")).split() if word not in PARTICLES]
    return words[-1] if words else ""
