"""The staff API of what customers depend on: components, their groups, parties and needs, and what fails with what."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from foundation.access import needs
from foundation.calls import call, read_body
from foundation.database import Database, Tx
from foundation.errors import NotFound
from incidents.affected import affected_by_component
from incidents.component_file import ComponentRow, PartyKind
from incidents.components import load_components
from incidents.leading_pages import AffectedList
from incidents.lifecycle import ComponentStatus
from incidents.responses import json_response
from incidents.tables import component_dependencies, components, parties

Key = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^|\x00-\x1f]*[^|\s\x00-\x1f][^|\x00-\x1f]*$")
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\S")]
_COLUMNS = ("key", "name", "group", "party", "party_kind", "position", "needs")


class ComponentBody(msgspec.Struct, forbid_unknown_fields=True):
    """A component as its owner describes it: all of it, what is left out is nothing. `needs`: keys it stands on."""

    key: Key
    name: Name
    group: Name | None = None
    party: Name | None = None
    party_kind: PartyKind | None = None
    position: Annotated[int, msgspec.Meta(ge=0, le=999_999_999)] = 0
    needs: Annotated[list[Key], msgspec.Meta(max_length=1000)] = []


class ComponentsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Components to create, or to bring up to date."""

    components: Annotated[list[ComponentBody], msgspec.Meta(max_length=5000)]


class ComponentShown(msgspec.Struct, kw_only=True, frozen=True):
    """A component as it is. `id`: its public one; `needs`: the keys it stands on; `party`: a key."""

    key: str
    id: str
    name: str
    group: str | None
    party: str | None
    status: ComponentStatus
    position: int
    needs: Sequence[str]


class PartyShown(msgspec.Struct, kw_only=True, frozen=True):
    """An organisation in the service network."""

    key: str
    name: str
    kind: PartyKind


class Components(msgspec.Struct, kw_only=True, frozen=True):
    """Everything customers depend on, and whose it is."""

    components: Sequence[ComponentShown]
    parties: Sequence[PartyShown]


class LoadedComponents(msgspec.Struct, kw_only=True, frozen=True):
    """What storing components did. `refused`: the place in the list, from 1, and why that one was not stored."""

    components: int
    new: int
    changed: int
    refused: dict[int, str]


def component_routes(*, database: Database) -> list[BaseRoute]:
    """`/api/v1/components`: read, described, and asked what fails with one."""

    @needs("incidents.read")
    @call(gives=Components)
    async def every(_: Request) -> Response:
        """Everything customers depend on, and whose it is."""
        async with database.snapshot() as tx:
            return json_response(await _every(tx))

    @needs("components.manage")
    @call(takes=ComponentsBody, gives=LoadedComponents)
    async def describe(request: Request) -> Response:
        """Create components, or bring them up to date; what they need included. Those that fit together are stored."""
        body = read_body(await request.body(), ComponentsBody)
        async with database.transaction() as tx:
            loaded = await load_components(tx, dict(enumerate(map(_row, body.components), 1)), _COLUMNS)
        done = {"components": loaded.components, "new": loaded.new, "changed": loaded.changed}
        return json_response(LoadedComponents(**done, refused=dict(loaded.refused)))

    @needs("incidents.read")
    @call(gives=AffectedList, refuses={NotFound: ("no_such_component",)})
    async def affected(request: Request) -> Response:
        """What would fail with a component, and through what."""
        async with database.snapshot() as tx:
            return json_response(AffectedList(affected=await affected_by_component(tx, request.path_params["id"])))

    return [
        Route("/api/v1/components", every, methods=["GET"]),
        Route("/api/v1/components", describe, methods=["PUT"]),
        Route("/api/v1/components/{id}/affected", affected, methods=["GET"]),
    ]


def _row(one: ComponentBody) -> ComponentRow:
    needs_ = tuple(dict.fromkeys(key for key in one.needs if key != one.key))
    kind = one.party_kind if one.party else None
    return ComponentRow(one.key, one.name, one.group, one.party, kind, one.position, needs_)


async def _every(tx: Tx) -> Components:
    needed: dict[str, list[str]] = {}
    edges = await tx.execute(select(component_dependencies).order_by(component_dependencies.c.needs_key))
    for row in edges:
        needed.setdefault(row.component_key, []).append(row.needs_key)
    c = components.c
    rows = await tx.execute(
        select(
            c.key,
            c.public_id.label("id"),
            c.name,
            c.group_name.label("group"),
            c.party_key.label("party"),
            c.status,
            c.position,
        ).order_by(c.group_name.nulls_first(), c.position, c.key)
    )
    shown = [ComponentShown(**row._mapping, needs=needed.get(row.key, [])) for row in rows]
    whose = await tx.execute(select(parties).order_by(parties.c.key))
    return Components(components=shown, parties=[PartyShown(**row._mapping) for row in whose])
