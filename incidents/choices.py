"""What a form about an incident offers: groups, components by what they are called, parties. It reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from foundation.database import Tx
from foundation.errors import Fault, Invalid
from incidents.tables import components, parties

MOST_LINES = 5000
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """A group, and how many components it has."""

    name: str
    components: int


@dataclass(frozen=True, slots=True)
class PartyChoice:
    """A party by its key and name."""

    key: str
    name: str


async def all_groups(tx: Tx) -> list[GroupChoice]:
    """Every group, in the order of the page."""
    place = func.min(components.c.position)
    found = (
        select(components.c.group_name, func.count())
        .where(components.c.group_name.is_not(None))
        .group_by(components.c.group_name)
        .order_by(place, components.c.group_name)
    )
    return [GroupChoice(row[0], row[1]) for row in await tx.execute(found)]


async def all_parties(tx: Tx) -> list[PartyChoice]:
    """Every party, by name."""
    return [PartyChoice(*row) for row in await tx.execute(select(parties.c.key, parties.c.name).order_by("name"))]


async def named_components(tx: Tx, lines: Sequence[str]) -> list[str]:
    """The keys of components given by key or by name, one a line, upper or lower case.

    Raises Invalid that names what is unknown, and what was perhaps meant.
    """
    wanted = list(dict.fromkeys(line.strip() for line in lines if line.strip()))[:MOST_LINES]
    folded = [line.lower() for line in wanted]
    rows = await tx.execute(
        select(components.c.key, components.c.name).where(
            or_(func.lower(components.c.key).in_(folded), func.lower(components.c.name).in_(folded))
        )
    )
    known: dict[str, list[str]] = {}
    for key, name in rows:
        known.setdefault(key.lower(), []).append(key)
        if name.lower() != key.lower():
            known.setdefault(name.lower(), []).append(key)
    if unknown := [line for line in wanted if line.lower() not in known]:
        raise Invalid("Some of these components are unknown.", [await _unknown(tx, unknown)])
    return list(dict.fromkeys(key for line in wanted for key in known[line.lower()]))


async def _unknown(tx: Tx, lines: Sequence[str]) -> Fault:
    named = ", ".join(f"“{line[:60]}”" for line in lines[:_MOST_NAMED])
    more = f" and {len(lines) - _MOST_NAMED} more" if len(lines) > _MOST_NAMED else ""
    like = func.lower(components.c.name).contains(lines[0].lower(), autoescape=True)
    similar = select(components.c.name).where(like).order_by(components.c.position).limit(_MOST_NAMED)
    meant = ", ".join((await tx.execute(similar)).scalars())
    hint = f" Did you mean: {meant}?" if meant else ""
    return Fault("components", f"There is no component called {named}{more}.{hint}")
