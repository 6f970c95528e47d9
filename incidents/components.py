"""What customers depend on: components, their groups, the parties responsible and what needs what.

Set-based, whatever the number. It knows nothing of customers; the import of the directory registers what it meets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ARRAY, Select, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from foundation.database import Tx, driver
from incidents.tables import components, parties

PartyKind = Literal["ours", "contractor", "supplier"]


@dataclass(frozen=True, slots=True)
class Component:
    """A component as its owner describes it. `key`: what the customers' file calls it; `needs`: keys it stands on."""

    key: str
    name: str
    group: str | None = None
    party: str | None = None
    position: int = 0
    needs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation in the service network."""

    key: str
    name: str
    kind: PartyKind


async def register_components(tx: Tx, keys: Select[Any] | Sequence[str]) -> int:
    """Create the components that do not exist yet, each named after its key; the number created.

    `keys`: their keys, or a SELECT whose first column gives them. Repeats and known keys are passed over, so several
    imports may run at once.
    """
    if isinstance(keys, Select):
        found = keys.subquery()
        source = select(next(iter(found.c)).label("key"))
    else:
        source = select(func.unnest(bindparam("keys", list(keys), ARRAY(Text))).label("key"))
    wanted = source.distinct().subquery()
    # In order of key: two imports that create the same components wait for each other instead of deadlocking.
    made = insert(components).from_select(["key", "name"], select(wanted.c.key, wanted.c.key).order_by(wanted.c.key))
    return (await tx.execute(made.on_conflict_do_nothing())).rowcount


async def define_components(tx: Tx, described: Sequence[Component]) -> None:
    """Create components or bring them up to date: name, group, party, position; what they need is added.

    The parties and the components needed must exist or be among `described`.
    """
    rows = await driver(tx)
    ordered = sorted(described, key=lambda one: one.key)
    await rows.execute(
        _DEFINE,
        [one.key for one in ordered],
        [one.name for one in ordered],
        [one.group for one in ordered],
        [one.party for one in ordered],
        [one.position for one in ordered],
    )
    needs = [(one.key, needed) for one in ordered for needed in one.needs]
    await rows.execute(_DEPEND, [key for key, _ in needs], [needed for _, needed in needs])


async def define_parties(tx: Tx, described: Sequence[Party]) -> None:
    """Create parties or bring their names and kinds up to date."""
    if not described:
        return
    made = insert(parties).values([{"key": one.key, "name": one.name, "kind": one.kind} for one in described])
    await tx.execute(
        made.on_conflict_do_update(
            index_elements=["key"], set_={"name": made.excluded.name, "kind": made.excluded.kind}
        )
    )


async def unknown_scope(tx: Tx, keys: Sequence[str], groups: Sequence[str]) -> Mapping[str, list[str]]:
    """Which of these component keys and groups do not exist: {"components": […], "groups": […]}, in the order given."""
    known_keys = await _known(tx, components.c.key, keys)
    known_groups = await _known(tx, components.c.group_name, groups)
    return {
        "components": [key for key in keys if key not in known_keys],
        "groups": [group for group in groups if group not in known_groups],
    }


async def _known(tx: Tx, col: Any, values: Sequence[str]) -> set[str]:
    wanted = bindparam("values", list(values), ARRAY(Text))
    return set((await tx.execute(select(col).distinct().where(col == any_(wanted)))).scalars())


# Only what differs is written, so that repeating a definition changes nothing (and the page need not be made again).
_DEFINE = """
INSERT INTO components (key, name, group_name, party_key, position)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[])
ON CONFLICT (key) DO UPDATE
   SET name = excluded.name, group_name = excluded.group_name, party_key = excluded.party_key,
       position = excluded.position, updated_at = now()
 WHERE (components.name, components.group_name, components.party_key, components.position)
    IS DISTINCT FROM (excluded.name, excluded.group_name, excluded.party_key, excluded.position)
"""
_DEPEND = """
INSERT INTO component_dependencies (component_key, needs_key)
SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING
"""
