"""Who wrote, and which contacts are one person's: a pure function of the contacts and the directory.

It knows no order of arrival, no batches and no cases, so none of these can change its answer. `claims.joining` calls
it for the part of the contacts that new ones can touch.

Two steps. First `decide`, contact by contact, from the directory alone. Then `groups`, for those the directory does not
know: contacts that share a *key* (a mail address, phone number, booking or customer number of their own) are one
person's, and belong to a customer when that customer, and no other, has used the key too.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from claims.names import Agreement, agreement
from notify import ClueKind

Kind: TypeAlias = ClueKind


# A key used under this many surnames belongs to a travel agent, a kiosk or a joker, not to a person.
MOST_SURNAMES = 3


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
    """Who the directory says wrote a contact, and by which clue; and the keys for what it does not know."""

    customer_id: int | None
    because: Kind | None
    value: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Contacts of one person that the directory did not decide. `via`: the key that holds each to the rest, if any."""

    customer_id: int | None
    contacts: tuple[int, ...]
    via: Mapping[int, Key | None]


def decide(evidence: Evidence) -> Decision:
    """The customer a contact is from, by the strongest clue that points at exactly one.

    First the clues the name does not contradict: customer number, reference (with the name), mail, phone; where one
    fits several customers the name chooses. Then number, mail and phone once more when they fit one customer alone,
    whatever the name says: people marry, and write for each other.
    """
    keys = tuple(_keys(evidence))
    for kind in _STRONGEST_FIRST:
        for value, fitting in evidence.fits.get(kind, {}).items():
            customer = _named(fitting, evidence.name)
            if customer is not None:
                return Decision(customer, kind, value, keys)
    for kind in _ALONE_ENOUGH:
        for value, fitting in evidence.fits.get(kind, {}).items():
            if len(fitting) == 1:
                return Decision(fitting[0].customer_id, kind, value, keys)
    return Decision(None, None, "", keys)


_STRONGEST_FIRST: tuple[Kind, ...] = ("customer_number", "reference", "mail", "phone")
_ALONE_ENOUGH: tuple[Kind, ...] = ("customer_number", "mail", "phone")


def _named(fitting: Sequence[Known], name: str) -> int | None:
    """The one customer among those a clue fits, by name when there is one. None: nobody, or not sure who."""
    if not name:
        return fitting[0].customer_id if len(fitting) == 1 else None
    agreeing = [(agreement(name, known.name), known.customer_id) for known in fitting]
    best = max((level for level, _ in agreeing), default=Agreement.NONE)
    winners = [customer for level, customer in agreeing if level == best]
    return winners[0] if best > Agreement.NONE and len(winners) == 1 else None


def _keys(evidence: Evidence) -> Iterable[Key]:
    """What the contact says that the directory cannot place.

    A value nobody in the directory has is a key by itself. One that several have, but nobody of this name, is a key
    together with the name only. Booking and customer numbers are typed with slips, so they always need the surname.
    """
    for kind, values in evidence.fits.items():
        for value, fitting in values.items():
            strangers = not any(agreement(evidence.name, known.name) for known in fitting)
            if kind in ("mail", "phone"):
                if not fitting:
                    yield Key(kind, value)
                if evidence.name and strangers and len(fitting) != 1:
                    yield Key(f"{kind}+name", f"{value} {evidence.name}")
            elif evidence.surname and strangers:
                yield Key(kind, f"{value} {evidence.surname}")
                yield Key(f"{kind}+name", f"{value} {evidence.name}")
            elif kind == "reference" and not fitting and not evidence.name:
                yield Key(kind, value)


def has_force(owners: AbstractSet[int], surnames: AbstractSet[str]) -> bool:
    """Whether a key joins those who use it: not when two customers do, nor under more surnames than a person has.

    Both sets only grow as contacts come in, so a key that has lost its force never gets it back.
    """
    return len(owners) < 2 and len(surnames) <= MOST_SURNAMES


def groups(
    undecided: Mapping[int, Sequence[Key]],
    owners: Mapping[Key, AbstractSet[int]],
    surnames: Mapping[Key, AbstractSet[str]],
) -> list[Group]:
    """The persons behind `undecided` contacts (contact id → its keys), each with its customer if there is exactly one.

    `owners`: the customers whose decided contacts use a key; `surnames`: those it is used under. A group that touches
    two customers belongs to neither: a person has to look.
    """
    forceful = {
        contact: [key for key in keys if has_force(owners.get(key, _NO_OWNERS), surnames.get(key, _NO_NAMES))]
        for contact, keys in undecided.items()
    }
    users: dict[Key, list[int]] = {}
    for contact, keys in forceful.items():
        for key in keys:
            users.setdefault(key, []).append(contact)
    made = []
    for members in _components(forceful, users):
        customers = {owner for contact in members for key in forceful[contact] for owner in owners.get(key, ())}
        customer = next(iter(customers)) if len(customers) == 1 else None
        via = {
            contact: _holding(forceful[contact], users, owners if customer is not None else {}) for contact in members
        }
        made.append(Group(customer, tuple(sorted(members)), via))
    return made


_NO_OWNERS: frozenset[int] = frozenset()
_NO_NAMES: frozenset[str] = frozenset()


def _components(keys_of: Mapping[int, Sequence[Key]], users: Mapping[Key, Sequence[int]]) -> Iterable[list[int]]:
    seen: set[int] = set()
    for start in keys_of:
        if start in seen:
            continue
        seen.add(start)
        members = [start]
        for contact in members:  # grows while we walk it
            for key in keys_of[contact]:
                fresh = [other for other in users[key] if other not in seen]
                seen.update(fresh)
                members.extend(fresh)
        yield members


def _holding(
    keys: Sequence[Key], users: Mapping[Key, Sequence[int]], owners: Mapping[Key, AbstractSet[int]]
) -> Key | None:
    """The key to name when somebody asks why a contact is where it is: one the customer uses, else one others share."""
    owned = [key for key in keys if owners.get(key)]
    shared = [key for key in keys if len(users[key]) > 1]
    return min(owned or shared, default=None)
