"""What fails when something fails: the components that need others, however far away, and by which way they do."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Text, any_, bindparam, select, text

from foundation.database import Tx
from foundation.errors import NotFound
from incidents.audience import AFFECTED
from incidents.lifecycle import ComponentStatus
from incidents.tables import components, parties

# Together they are everything that can be reached; the ways are found here, once each, whatever the tangle.
_NAMED = text(AFFECTED + "SELECT key FROM named")  # noqa: S608 (both halves are ours)
_NEEDS = text("SELECT component_key, needs_key FROM component_dependencies")


@dataclass(frozen=True, slots=True)
class Affected:
    """A component that is affected. `through`: the keys on the shortest way from what is named to it, of what is named
    itself there are none. `party`: whose it is, by name."""

    key: str
    id: str
    name: str
    group: str | None
    party: str | None
    status: ComponentStatus
    through: Sequence[str]


async def affected_by_incident(tx: Tx, incident_id: str) -> list[Affected]:
    """All that an incident affects: what it names first, then what depends on that, the nearest first."""
    named = (await tx.execute(_NAMED, {"incident_id": incident_id})).scalars().all()
    return await _affected(tx, named)


async def affected_by_component(tx: Tx, public_id: str) -> list[Affected]:
    """What would fail with a component: itself first. Raises NotFound."""
    key = (await tx.execute(select(components.c.key).where(components.c.public_id == public_id))).scalar_one_or_none()
    if key is None:
        raise NotFound("There is no such component.", code="no_such_component")
    return await _affected(tx, [key])


def ways(named: Iterable[str], needs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """From what is named to everything that needs it, however far: the shortest way to each, the nearest first.

    `needs`: (what needs, what is needed). Of two ways of one length the first in the order of keys is told. Pure.
    """
    dependents: defaultdict[str, list[str]] = defaultdict(list)
    for component, needed in sorted(needs):
        dependents[needed].append(component)
    found: dict[str, tuple[str, ...]] = dict.fromkeys(sorted(set(named)), ())
    waiting = deque(found)
    while waiting:
        key = waiting.popleft()
        for one in dependents[key]:
            if one not in found:
                found[one] = (*found[key], key)
                waiting.append(one)
    return found


async def _affected(tx: Tx, named: Sequence[str]) -> list[Affected]:
    needs = [(row.component_key, row.needs_key) for row in await tx.execute(_NEEDS)]
    found = ways(named, needs)
    shown = await _components(tx, found)
    return [shown[key] for key in found if key in shown]


async def _components(tx: Tx, found: Mapping[str, tuple[str, ...]]) -> dict[str, Affected]:
    c = components.c
    wanted = bindparam("keys", list(found), ARRAY(Text))
    rows = await tx.execute(
        select(
            c.key,
            c.public_id.label("id"),
            c.name,
            c.group_name.label("group"),
            parties.c.name.label("party"),
            c.status,
        )
        .outerjoin(parties, parties.c.key == c.party_key)
        .where(c.key == any_(wanted))
    )
    return {row.key: Affected(**row._mapping, through=found[row.key]) for row in rows}
