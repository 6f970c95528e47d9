"""What customers depend on: components, their groups, the parties responsible and what needs what.

Set-based, whatever the number. It knows nothing of customers; the import of the directory registers what it meets.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Select, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from foundation.database import Tx, driver
from incidents.component_file import ComponentRow, PartyKind, sort_out
from incidents.tables import components, parties


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


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a file of components did; `refused`: by line, why it was not loaded."""

    refused: Mapping[int, str]
    components: int = 0
    new: int = 0
    changed: int = 0
    needs_added: int = 0
    needs_removed: int = 0
    parties_new: int = 0
    parties_changed: int = 0


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


async def load_components(tx: Tx, rows: Mapping[int, ComponentRow], columns: Collection[str]) -> Loaded:
    """Store `rows` of a file, by line: all that fit together, and a reason for each of the others.

    What the file says is true for the components it names, what they need included: a need it no longer names is
    removed. Of `columns` the file does not have it says nothing. A new party without a kind is a contractor, named
    after its key. One load at a time: a second waits. The same rows again change nothing.
    """
    connection = await driver(tx)
    await connection.execute(_ONE_AT_A_TIME)
    spoken_of = {key for row in rows.values() for key in (row.key, *row.needs)}
    known = await _known(tx, components.c.key, sorted(spoken_of))
    good, refused = sort_out(rows, known)
    if not good:
        return Loaded(refused)
    described = sorted(good.values())
    keys = [row.key for row in described]
    parties_new, parties_changed = await _load_parties(tx, described)
    # Everything exists and is locked, in order of key, before anything is written: see `register_components`.
    await register_components(tx, keys)
    standing = {row["key"]: dict(row) for row in await connection.fetch(_STANDING, keys)}
    wanted = [_as_described(row, standing[row.key], columns) for row in described]
    await define_components(tx, wanted)
    needs_added = needs_removed = 0
    if "needs" in columns:
        pairs = [(row.key, needed) for row in described for needed in row.needs]
        needs = ([key for key, _ in pairs], [needed for _, needed in pairs])
        needs_added = _count(await connection.execute(_DEPEND, *needs))
        needs_removed = _count(await connection.execute(_NO_LONGER_NEEDED, keys, *needs))
    differ = [one.key for one in wanted if one.key in known and _differs(one, standing[one.key])]
    return Loaded(
        refused,
        components=len(keys),
        new=len(keys) - len(known.intersection(keys)),
        changed=len(differ),
        needs_added=needs_added,
        needs_removed=needs_removed,
        parties_new=parties_new,
        parties_changed=parties_changed,
    )


async def _load_parties(tx: Tx, described: Sequence[ComponentRow]) -> tuple[int, int]:
    """Create the parties that do not exist and give the others the kind the file says; how many of each."""
    kinds: dict[str, str | None] = {}
    for row in described:
        if row.party:
            kinds[row.party] = row.kind or kinds.get(row.party)
    given = (sorted(kinds), [kinds[key] for key in sorted(kinds)])
    rows = await driver(tx)
    changed = _count(await rows.execute(_NEW_KINDS, *given))
    return _count(await rows.execute(_NEW_PARTIES, *given)), changed


def _as_described(row: ComponentRow, standing: Mapping[str, Any], columns: Collection[str]) -> Component:
    return Component(
        row.key,
        row.name,
        row.group if "group" in columns else standing["group_name"],
        row.party if "party" in columns else standing["party_key"],
        row.position if "position" in columns else standing["position"],
    )


def _differs(one: Component, standing: Mapping[str, Any]) -> bool:
    before = tuple(standing[name] for name in ("name", "group_name", "party_key", "position"))
    return (one.name, one.group, one.party, one.position) != before


def _count(status: str) -> int:
    """The number of rows in what PostgreSQL answers to a statement: `INSERT 0 3`, `DELETE 3`."""
    return int(status.rpartition(" ")[2])


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
_NO_LONGER_NEEDED = """
DELETE FROM component_dependencies
 WHERE component_key = any($1::text[])
   AND (component_key, needs_key) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))
"""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(x'53544F524D434F4D'::bigint)"
_STANDING = """
SELECT key, name, group_name, party_key, position FROM components
 WHERE key = any($1::text[]) ORDER BY key FOR NO KEY UPDATE
"""
_NEW_PARTIES = """
INSERT INTO parties (key, name, kind)
SELECT key, key, coalesce(kind, 'contractor') FROM unnest($1::text[], $2::text[]) AS given (key, kind)
ON CONFLICT DO NOTHING
"""
_NEW_KINDS = """
UPDATE parties p SET kind = given.kind
  FROM unnest($1::text[], $2::text[]) AS given (key, kind)
 WHERE p.key = given.key AND p.kind <> given.kind
"""
