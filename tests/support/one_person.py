"""Who is one person, worked out the slow and obvious way, to hold the real rules against.

It knows the whole directory and all contacts at once, looks at every pair, and repeats until nothing changes. It shares
with the rules only the comparison of two names.
"""

from collections.abc import Collection, Mapping, Sequence
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
    name, surname = _name(said), _surname(said)
    keys = set()
    clues = [(field, said[field]) for field in FIELDS if said.get(field, "") not in ("", *PLACEHOLDERS)]
    for field, value in clues:
        fitting = [one for one in directory if one.has(field, value)]
        strangers = all(_goes_with(field, name, one) == Agreement.NONE for one in fitting)
        if field in ("email", "phone") and not fitting:
            keys |= {f"{field} {value}"}
        if field in ("email", "phone") and name and strangers:
            keys |= {f"{field}, name {value} {name}"}
        if field not in ("email", "phone") and surname and strangers:
            keys |= {f"{field} {value} {surname}", f"{field}, name {value} {name}"}
    if not keys and customer_of(said, directory) is None:
        keys = _contradiction(clues, name, directory)
    return keys


def _contradiction(clues: Sequence[tuple[str, str]], name: str, directory: Sequence[Customer]) -> set[str]:
    """What a contact holds that fits customers but not one: the same, all of it, may be sent twice."""
    sure = []
    for field, value in clues:
        levels = [_goes_with(field, name, one) for one in directory if one.has(field, value)]
        by_name = max(levels, default=Agreement.NONE)
        if name and by_name and levels.count(by_name) == 1:
            sure.append(f"{field} {value}")
        if not name and field != "reference" and len(levels) == 1:
            sure.append(f"{field} {value}")
    return {"contradiction " + ", ".join(sure)} if len(sure) > 1 else set()


def _name(said: Said) -> str:
    """The folded name, `De Vries, Jan` as Jan de Vries, without Mr and Mevr."""
    last, _, first = said.get("name", "").partition(",")
    return " ".join(word for word in fold_name(f"{first} {last}").split() if word not in ("mr", "mevr"))


def _surname(said: Said) -> str:
    words = [word for word in _name(said).split() if word not in PARTICLES]
    return words[-1] if words else ""
