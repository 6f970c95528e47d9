"""Which contacts are one person's: from what resembles what, what the directory knows and what people said. Pure.

It knows no order of arrival. What people decided comes first, the newest before all; then what the directory knows;
then what contacts have in common, the strongest first. Nothing joins what somebody has said are two.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from claims.collapse import Person


class Item(NamedTuple):
    """A contact. `mark`: made from its words, so that ties are broken alike whoever came first."""

    customer_id: int | None
    named: bool
    mark: bytes


class Link(NamedTuple):
    """Two contacts that resemble each other enough."""

    one: int
    other: int
    weight: float


Kind: TypeAlias = Literal["merged", "split", "different"]


class Judged(NamedTuple):
    """What a person decided, with whom each side names."""

    kind: Kind
    one: Sequence[Person]
    other: Sequence[Person]


@dataclass(slots=True)
class _Group:
    members: set[Person]
    customers: set[int] = field(default_factory=set)
    sides: set[tuple[int, int]] = field(default_factory=set)  # (decision, side) of those who are somebody else


class _Groups:
    """Persons in the making: everybody alone at first."""

    def __init__(self) -> None:
        self._of: dict[Person, _Group] = {}

    def of(self, who: Person) -> _Group:
        group = self._of.get(who)
        if group is None:
            group = self._of[who] = _Group({who}, {who.id} if who.kind == "customer" else set())
        return group

    def join(self, one: Person, other: Person, *, by_hand: bool = False) -> bool:
        """Make two one, unless somebody said they are two; only a person makes two customers one."""
        left, right = self.of(one), self.of(other)
        if left is right:
            return True
        if any((decision, 3 - side) in right.sides for decision, side in left.sides):
            return False
        if not by_hand and left.customers and right.customers:
            return False
        if len(left.members) < len(right.members):
            left, right = right, left
        left.members |= right.members
        left.customers |= right.customers
        left.sides |= right.sides
        for member in right.members:
            self._of[member] = left
        return True

    def keep_apart(self, decision: int, one: Iterable[Person], other: Iterable[Person]) -> None:
        """From now on nothing joins one of these with one of those. Who was joined by a newer decision stays so."""
        for side, people in ((1, one), (2, other)):
            for who in people:
                sides = self.of(who).sides
                if (decision, 3 - side) in sides:
                    sides.discard((decision, 3 - side))
                else:
                    sides.add((decision, side))

    def all(self) -> list[_Group]:
        """Every group once."""
        return list({id(group): group for group in self._of.values()}.values())


def a_contact(contact: int) -> Person:
    """A contact as somebody who may turn out to be one with others."""
    return Person("contact", contact)


def a_customer(customer: int) -> Person:
    """A customer of the directory."""
    return Person("customer", customer)


def persons(
    items: Mapping[int, Item],
    links: Collection[Link],
    decisions: Sequence[Judged] = (),
    proofs: Collection[tuple[int, int]] = (),
) -> tuple[dict[int, Person], dict[int, Person]]:
    """(contact → person, customer → person). A customer is another one only by a decision.

    `decisions`: the newest first; `proofs`: contacts of which one came in by the other's own link.
    """
    groups = _Groups()
    for contact in items:
        groups.of(a_contact(contact))
    for number, judged in enumerate(decisions):
        _obey(groups, number, judged)
    for one, other in sorted(proofs):
        if one in items and other in items:
            groups.join(a_contact(one), a_contact(other))
    for contact in sorted(items, key=lambda one: items[one].mark):
        customer = items[contact].customer_id
        if customer is not None:
            groups.join(a_contact(contact), a_customer(customer))
    strongest = sorted(links, key=lambda link: _rank(link, items))
    _join_named(groups, items, strongest)
    _adopt(groups, items, strongest, named=True)
    _join_nameless(groups, items, strongest)
    _adopt(groups, items, strongest, named=False)
    return _named_persons(groups)


def _obey(groups: _Groups, number: int, judged: Judged) -> None:
    sides = [judged.one, judged.other]
    if judged.kind == "merged":
        sides = [[*judged.one, *judged.other]]
    if judged.kind != "different":
        for side in sides:
            for who in side[1:]:
                groups.join(side[0], who, by_hand=True)
    if judged.kind != "merged":
        groups.keep_apart(number, judged.one, judged.other)


def _rank(link: Link, items: Mapping[int, Item]) -> tuple[float, list[bytes]]:
    return -link.weight, sorted((items[link.one].mark, items[link.other].mark))


def _free(groups: _Groups, contact: int) -> bool:
    return not groups.of(a_contact(contact)).customers


def _join_named(groups: _Groups, items: Mapping[int, Item], links: Sequence[Link]) -> None:
    for one, other, _ in links:
        if items[one].named and items[other].named and _free(groups, one) and _free(groups, other):
            groups.join(a_contact(one), a_contact(other))


def _join_nameless(groups: _Groups, items: Mapping[int, Item], links: Sequence[Link]) -> None:
    for one, other, _ in links:
        if not (items[one].named or items[other].named) and _free(groups, one) and _free(groups, other):
            groups.join(a_contact(one), a_contact(other))


def _adopt(groups: _Groups, items: Mapping[int, Item], links: Sequence[Link], *, named: bool) -> None:
    """Give each group to the one it resembles: the named to a customer, the nameless to anybody. Two: to neither."""
    wanted: dict[int, dict[int, _Group]] = {}
    who: dict[int, _Group] = {}
    for link in links:
        for mine, theirs in ((link.one, link.other), (link.other, link.one)):
            group, other = groups.of(a_contact(mine)), groups.of(a_contact(theirs))
            if group is other or group.customers or items[mine].named != named:
                continue
            if other.customers or (not named and items[theirs].named):
                who[id(group)] = group
                wanted.setdefault(id(group), {})[id(other)] = other
    found = [(who[one], next(iter(others.values()))) for one, others in wanted.items() if len(others) == 1]
    for group, other in sorted(found, key=lambda pair: min(_marks(pair[0], items))):
        groups.join(next(iter(group.members)), next(iter(other.members)))


def _marks(group: _Group, items: Mapping[int, Item]) -> list[bytes]:
    return [items[who.id].mark for who in group.members if who.kind == "contact" and who.id in items] or [b""]


def _named_persons(groups: _Groups) -> tuple[dict[int, Person], dict[int, Person]]:
    contacts: dict[int, Person] = {}
    customers: dict[int, Person] = {}
    for group in groups.all():
        theirs = [who.id for who in group.members if who.kind == "contact"]
        person = a_customer(min(group.customers)) if group.customers else a_contact(min(theirs))
        contacts.update(dict.fromkeys(theirs, person))
        customers.update(dict.fromkeys(group.customers, person))
    return contacts, customers
