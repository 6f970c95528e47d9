"""Whom an incident concerns, in the console: how many, who else concerns them, and what another choice would change.

A look at another choice is that change, made and taken back in one transaction, so it never counts differently from the
change itself. Nobody is told by a change: it makes drafts, which go the way of every update.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import every, local_field, moment_in, read_body, read_form
from app.incident_desk import faults_by_field
from foundation.access import needs
from foundation.database import Tx
from foundation.errors import Conflict, Invalid, Refusal
from incidents.audience import Scope
from incidents.choices import all_groups, named_components
from incidents.journal import timeline
from incidents.records import Incident, find_incident, updates_of
from incidents.responses import actor_of
from incidents.scope import (
    AudiencePreview,
    Overlap,
    Sampled,
    ScopeChange,
    change_scope,
    overlaps,
    preview_audience,
    sample_audience,
)
from incidents.segments import all_segments
from incidents.update_templates import WriteMoment


@dataclass(frozen=True, slots=True)
class _Look:
    """What a choice would lead to. `sample`: some of the people, for those who may see them."""

    change: ScopeChange
    audience: AudiencePreview
    overlaps: Sequence[Overlap]
    sample: Sequence[Sampled] | None


@dataclass(frozen=True, slots=True)
class _Typed:
    """What a form says. `groups` and `segments`: what is ticked in it."""

    fields: Mapping[str, str]
    groups: Sequence[str]
    segments: Sequence[str]


def routes(desk: Desk, write: WriteMoment) -> list[BaseRoute]:
    """The pages of scopes. `write`: a moment as people read it, see `update_templates`."""
    pages, one = _ScopePages(desk, write), "/desk/incidents/{id}/scope"
    return [
        Route(one, pages.show, methods=["GET"]),
        Route(one, pages.change, methods=["POST"]),
        Route(f"{one}/look", pages.look, methods=["POST"]),
        Route(f"{one}/sample", pages.sample, methods=["POST"]),
    ]


class _ScopePages:
    def __init__(self, desk: Desk, write: WriteMoment) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._zone = desk.parts.settings.page_time_zone
        self._write = write

    @needs("incidents.read")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("incidents.declare", changes=False)
    async def look(self, request: Request) -> Response:
        """What the choice in the form would lead to. Nothing of it is kept."""
        return await self._tried(request, sampled=False)

    @needs("customers.read", changes=False)
    async def sample(self, request: Request) -> Response:
        """The same, with twenty of the people."""
        return await self._tried(request, sampled=True)

    @needs("incidents.declare")
    async def change(self, request: Request) -> Response:
        typed = await _read(request)
        try:
            async with self._database.transaction() as tx:
                await self._change(tx, request, typed)
        except (Invalid, Conflict) as refused:
            return await self._page(request, typed=typed, refused=refused)
        return self._desk.to(f"/desk/incidents/{request.path_params['id']}/scope?did=scope")

    async def _change(self, tx: Tx, request: Request, typed: _Typed) -> ScopeChange:
        scope = Scope(
            components=await named_components(tx, typed.fields.get("components", "").splitlines()),
            groups=typed.groups,
            segments=typed.segments,
            needed_from=moment_in(typed.fields, "needed_from", self._zone),
            needed_until=moment_in(typed.fields, "needed_until", self._zone),
        )
        incident_id, now = request.path_params["id"], self._clock()
        return await change_scope(tx, actor_of(request), incident_id, scope, self._write, now=now)

    async def _tried(self, request: Request, *, sampled: bool) -> Response:
        typed = await _read(request)
        incident_id, now = request.path_params["id"], self._clock()
        try:
            async with self._database.transaction() as tx:
                trial = await tx.begin_nested()
                try:
                    found = _Look(
                        await self._change(tx, request, typed),
                        await preview_audience(tx, incident_id, now),
                        await overlaps(tx, incident_id, now),
                        await sample_audience(tx, incident_id, now) if sampled else None,
                    )
                finally:
                    await trial.rollback()
        except (Invalid, Conflict) as refused:
            return await self._page(request, typed=typed, refused=refused)
        return await self._page(request, typed=typed, look=found)

    async def _page(
        self,
        request: Request,
        *,
        typed: _Typed | None = None,
        refused: Refusal | None = None,
        look: _Look | None = None,
    ) -> Response:
        now = self._clock()
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            changes = [one for one in await timeline(tx, incident.id) if one.event == "scope_changed"]
            shown: dict[str, Any] = {
                "audience": await preview_audience(tx, incident.id, now),
                "overlaps": await overlaps(tx, incident.id, now),
                "offered": await all_groups(tx),
                "segments": await all_segments(tx),
                "drafts": [
                    one
                    for one in await updates_of(tx, incident.id)
                    if one.audience != "everyone" and one.state in ("draft", "approved")
                ],
            }
        typed = typed or self._as_it_is(incident)
        return self._desk.page(
            request,
            "app/scope.html",
            200 if refused is None else 422 if isinstance(refused, Invalid) else 409,
            incident=incident,
            changed=changes[-1] if changes else None,
            did=request.query_params.get("did", ""),
            typed=defaultdict(str, typed.fields),
            ticked=typed.groups,
            ticked_segments=typed.segments,
            refused=refused,
            faults=faults_by_field(refused),
            look=look,
            **shown,
        )

    def _as_it_is(self, incident: Incident) -> _Typed:
        fields = {
            "components": "\n".join(incident.components),
            "needed_from": local_field(incident.needed_from, self._zone),
            "needed_until": local_field(incident.needed_until, self._zone),
        }
        return _Typed(fields, incident.groups, incident.segments)


async def _read(request: Request) -> _Typed:
    body = await read_body(request)
    return _Typed(await read_form(request), every(body, "groups"), every(body, "segments"))
