"""Who wrote, by the directory; and by what contacts find each other. Pure.

It knows no order of arrival, no batches and no cases, so none of these can change its answer. `claims.joining` calls
it for the part of the contacts that new ones can touch.

Two steps. First `decide` here, contact by contact, from the directory alone. Then those it does not
know and who share a *key* (a mail address, a name with a birth date, …) are compared (`claims.resemblance`), and those
that resemble each other enough are one person's (`claims.grouping`). This module says which keys a contact has, and
when a key has lost its force.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from claims.names import Agreement, agreement, agrees_so_far, surname_agrees
from claims.placeholders import tells_apart
from notify import ClueKind

Kind: TypeAlias = ClueKind


# A key used under more surnames than this belongs to a travel agent, a kiosk or a joker. One person's surname is
# misspelt in several ways, and names are compared besides: so not as few as a family has.
MOST_SURNAMES = 12
# Where more contacts than this meet, meeting says nothing: everybody in a village, all who are called Jan Jansen.
MOST_AT_A_POINT = 60
# And nobody writes this often, each time something else.
MOST_USERS = 300


class Known(NamedTuple):
    """A customer in the directory who fits a clue; `name` is folded."""

    customer_id: int
    name: str


class Key(NamedTuple):
    """Something that only contacts know. A kind ending in `+name` holds the writer's name too, and so joins less."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one contact says, with the customers each clue fits: kind → value → who. `name`, `surname`: folded or ''."""

    name: str = ""
    surname: str = ""
    fits: Mapping[Kind, Mapping[str, Sequence[Known]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """Who the directory says wrote a contact, and by which clue; and the keys for what it does not know.

    `answered`: it answers a message of ours, which proves whose it is, whatever it says itself. `contradicts`:
    its clues point at several customers, and `value` holds them.
    """

    customer_id: int | None
    because: Kind | Literal["answered"] | None
    value: str
    keys: tuple[Key, ...]
    contradicts: bool = False


def decide(evidence: Evidence) -> Decision:
    """The customer a contact is from. When clues point at several and none of them is confirmed: nobody.

    First the clues the name agrees with: where one fits several customers the name chooses. When it agrees with none,
    the number, mail and phone that fit one customer alone. `because` is the strongest of the clues that chose.
    """
    said = [_Said(kind, value, fitting) for kind in _STRONGEST_FIRST for value, fitting in _values(evidence, kind)]
    customer, pointing = _by_name(evidence.name, said) if evidence.name else (None, ())
    if not pointing:
        customer, pointing = _alone(evidence.name, said)
    keys = tuple(_keys(evidence))
    if customer is None:
        if len({who for _, who in pointing}) > 1:
            return Decision(None, None, _listed(pointing), keys or tuple(_puzzle(pointing)), contradicts=True)
        return Decision(None, None, "", keys or tuple(_puzzle(pointing)))
    because = next(clue for clue, who in pointing if who == customer)
    return Decision(customer, because.kind, because.value, keys)


_STRONGEST_FIRST: tuple[Kind, ...] = ("customer_number", "reference", "mail", "phone")


class _Said(NamedTuple):
    """A clue, and the customers it fits."""

    kind: Kind
    value: str
    fitting: Sequence[Known]


_Pointing = Sequence[tuple[_Said, int]]


def _values(evidence: Evidence, kind: Kind) -> Iterable[tuple[str, Sequence[Known]]]:
    return evidence.fits.get(kind, {}).items()


def _by_name(name: str, said: Sequence[_Said]) -> tuple[int | None, _Pointing]:
    """The customer whom clues and name agree on, and whom each clue points at.

    Of several customers the one whose whole name agrees; of those the one whom more kinds of clues fit.
    """
    pointing = []
    ranks: dict[int, tuple[bool, int]] = {}
    for clue in said:
        found = _named(clue, name)
        if found is not None:
            customer, level = found
            pointing.append((clue, customer))
            whole = level >= Agreement.LIKELY or ranks.get(customer, (False, 0))[0]
            ranks[customer] = (whole, _support(customer, said))
    return _first_of(ranks), pointing


def _alone(name: str, said: Sequence[_Said]) -> tuple[int | None, _Pointing]:
    """The customer whom number, mail or phone point at by themselves, whatever the name: people write for each other.

    Two kinds of clues outweigh a third. One is enough when no other speaks against it; but with a name that is not the
    customer's only a mail address is: digits are typed with slips, and then are somebody else's. A reference confirms
    and contradicts, and never decides.
    """
    pointing = [(clue, clue.fitting[0].customer_id) for clue in said if len(clue.fitting) == 1]
    pointing = [(clue, customer) for clue, customer in pointing if clue.kind != "reference"]
    customer = _first_of({customer: (False, _support(customer, said)) for _, customer in pointing})
    if customer is None or _support(customer, said) > 1:
        return customer, pointing
    contradicted = any(clue.fitting and not _fits(clue, customer) for clue in said)
    enough = not name or any(clue.kind == "mail" for clue, _ in pointing)
    return customer if enough and not contradicted else None, pointing


def _fits(clue: _Said, customer: int) -> bool:
    return any(known.customer_id == customer for known in clue.fitting)


def _support(customer: int, said: Sequence[_Said]) -> int:
    """How many kinds of clues fit this customer."""
    return len({clue.kind for clue in said if _fits(clue, customer)})


def _first_of(ranks: Mapping[int, tuple[bool, int]]) -> int | None:
    """The customer who ranks above all others, if any does."""
    if not ranks:
        return None
    best = max(ranks.values())
    winners = [customer for customer, rank in ranks.items() if rank == best]
    return winners[0] if len(winners) == 1 else None


def _named(clue: _Said, name: str) -> tuple[int, Agreement] | None:
    """The one customer among those a clue fits whose name agrees best, and how well. None: nobody, or not sure who."""
    agreeing = [(_agreement(clue.kind, name, known.name), known.customer_id) for known in clue.fitting]
    best = max((level for level, _ in agreeing), default=Agreement.NONE)
    winners = [customer for level, customer in agreeing if level == best]
    return (winners[0], best) if best > Agreement.NONE and len(winners) == 1 else None


def _agreement(kind: Kind, said: str, known: str) -> Agreement:
    """How well the name goes with a clue: a booking asks for the surname, a number for nothing against it."""
    enough = {"reference": surname_agrees, "customer_number": agrees_so_far}.get(kind)
    return agreement(said, known) if enough is None or enough(said, known) else Agreement.NONE


def _keys(evidence: Evidence) -> Iterable[Key]:
    """What the contact says that the directory cannot place.

    A mail address or phone nobody in the directory has is a key by itself. One that some have, but nobody of this name,
    is a key together with the name only. Booking and customer numbers are typed with slips, and when there is none
    people type a word, so they always need the surname.
    """
    for kind, values in evidence.fits.items():
        for value, fitting in values.items():
            strangers = not any(_agreement(kind, evidence.name, known.name) for known in fitting)
            if kind in ("mail", "phone"):
                if not fitting:
                    yield Key(kind, value)
                if evidence.name and strangers:
                    yield Key(f"{kind}+name", f"{value} {evidence.name}")
            elif evidence.surname and strangers and (fitting or tells_apart(value)):
                yield Key(kind, f"{value} {evidence.surname}")
                yield Key(f"{kind}+name", f"{value} {evidence.name}")


def _listed(pointing: _Pointing) -> str:
    return ", ".join(dict.fromkeys(f"{clue.kind} {clue.value}" for clue, _ in pointing))


def _puzzle(pointing: _Pointing) -> Iterable[Key]:
    """The key of a contact whose clues contradict each other: all of them together, so that it can be sent twice."""
    kinds = {clue.kind for clue, _ in pointing}
    if len(kinds) > 1:
        yield Key(max(kinds, key=_STRONGEST_FIRST.index), " ".join(clue.value for clue, _ in pointing))


@dataclass(slots=True)
class Use:
    """Who has used a key so far: contacts, the customers of those the directory knows, and the surnames they gave."""

    contacts: set[int] = field(default_factory=set)
    customers: set[int] = field(default_factory=set)
    surnames: set[str] = field(default_factory=set)

    def add(self, contact: int, customer: int | None, surname: str) -> None:
        """One more contact uses the key."""
        self.contacts.add(contact)
        if customer is not None:
            self.customers.add(customer)
        if surname:
            self.surnames.add(surname)


def has_force(key: Key, use: Use) -> bool:
    """Whether a key still brings those together who use it.

    An address, number or booking does not when two customers use it, nor under more surnames than a person has. A
    meeting point does not when too many meet there. What is counted only grows as contacts come in, so a key that has
    lost its force never gets it back.
    """
    if key.kind.startswith("by "):
        return len(use.contacts) <= MOST_AT_A_POINT
    return len(use.customers) < 2 and len(use.surnames) <= MOST_SURNAMES and len(use.contacts) <= MOST_USERS
