"""The staff API of an incident's life: who leads it, what happened, what was promised, confirmed and found out."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from foundation.access import needs
from foundation.calls import Refusals, call, read_body, read_query
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Conflict, Invalid, NotFound
from incidents.affected import Affected, affected_by_incident
from incidents.confirmations import Confirmation, Confirmed, What, confirmations_of, note_confirmation
from incidents.journal import Happening, timeline
from incidents.leading import Holder, Role, Staff, assign, reopen, roles_of
from incidents.notice import NoticeClock, notice_clock
from incidents.postmortems import Postmortem, postmortems_of, publish_postmortem, write_postmortem
from incidents.promises import Promise, Record, promise_record, promises_due, promises_of
from incidents.records import Incident, find_incident, list_incidents
from incidents.responses import actor_of, json_response

_NO_INCIDENT: Refusals = {NotFound: ("no_such_incident",)}
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class IncidentQuery(msgspec.Struct):
    """`GET incidents`. `over`: only what is behind us, or only what is not."""

    over: bool | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class RoleBody(msgspec.Struct, forbid_unknown_fields=True):
    """`holder`: the name somebody signs in with; null takes the role away."""

    holder: str | None


class ReasonBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why something is done."""

    reason: str


class ConfirmationBody(msgspec.Struct, forbid_unknown_fields=True):
    """That a party confirms the cause in, or the restoration of, a component, and on what evidence."""

    party: str
    component: str
    what: What
    confirmed_at: Moment
    evidence: str


class PostmortemBody(msgspec.Struct, forbid_unknown_fields=True):
    """`texts`: prose per language."""

    texts: dict[str, str]


class RecordQuery(msgspec.Struct):
    """`GET promises/record`. `days`: how far back."""

    days: Annotated[int, msgspec.Meta(ge=1, le=3660)] = 30


class IncidentList(msgspec.Struct, kw_only=True, frozen=True):
    """Incidents, planned work, drafts and drills, newest first."""

    incidents: Sequence[Incident]


class Roles(msgspec.Struct, kw_only=True, frozen=True):
    """Who has which role."""

    roles: Mapping[str, Holder]


class Timeline(msgspec.Struct, kw_only=True, frozen=True):
    """Everything that happened, oldest first."""

    timeline: Sequence[Happening]


class Promises(msgspec.Struct, kw_only=True, frozen=True):
    """Promises of a next update."""

    promises: Sequence[Promise]


class Confirmations(msgspec.Struct, kw_only=True, frozen=True):
    """What parties confirmed, in the order in which they did."""

    confirmations: Sequence[Confirmed]


class Postmortems(msgspec.Struct, kw_only=True, frozen=True):
    """Every version, the draft last."""

    postmortems: Sequence[Postmortem]


class AffectedList(msgspec.Struct, kw_only=True, frozen=True):
    """What is affected: what is named first, then what depends on it, the nearest first."""

    affected: Sequence[Affected]


def leading_routes(*, database: Database, clock: Clock, staff: Staff, notice_limit: timedelta) -> list[BaseRoute]:
    """`staff`: who works here; `notice_limit`: within what people must hear of an incident without one of its own."""
    api = _Leading(database, clock, staff, notice_limit)
    one = "/api/v1/incidents/{id}"
    return [
        Route("/api/v1/incidents", api.every, methods=["GET"]),
        Route(one + "/roles", api.roles, methods=["GET"]),
        Route(one + "/roles/{role}", api.assign, methods=["PUT"]),
        Route(one + "/reopen", api.reopen, methods=["POST"]),
        Route(one + "/timeline", api.timeline, methods=["GET"]),
        Route(one + "/promises", api.promises, methods=["GET"]),
        Route("/api/v1/promises", api.due, methods=["GET"]),
        Route("/api/v1/promises/record", api.record, methods=["GET"]),
        Route(one + "/notice", api.notice, methods=["GET"]),
        Route(one + "/affected", api.affected, methods=["GET"]),
        Route(one + "/confirmations", api.confirmations, methods=["GET"]),
        Route(one + "/confirmations", api.confirm, methods=["POST"]),
        Route(one + "/postmortem", api.postmortems, methods=["GET"]),
        Route(one + "/postmortem", api.write_postmortem, methods=["PUT"]),
        Route(one + "/postmortem/publish", api.publish_postmortem, methods=["POST"]),
    ]


class _Leading:
    def __init__(self, database: Database, clock: Clock, staff: Staff, notice_limit: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._staff = staff
        self._notice_limit = notice_limit

    @needs("incidents.read")
    @call(query=IncidentQuery, gives=IncidentList)
    async def every(self, request: Request) -> Response:
        """Incidents, planned work, drafts and drills, newest first; what each concerns is left out."""
        asked = read_query(request.query_params.multi_items(), IncidentQuery)
        async with self._database.snapshot() as tx:
            found = await list_incidents(tx, over=asked.over, limit=asked.limit)
        return json_response(IncidentList(incidents=found))

    @needs("incidents.read")
    @call(gives=Roles, refuses=_NO_INCIDENT)
    async def roles(self, request: Request) -> Response:
        """Who commands an incident, and who writes for it."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(Roles(roles=await roles_of(tx, incident.id)))

    @needs("incidents.declare")
    @call(
        takes=RoleBody,
        gives=Roles,
        path={"role": Role},
        refuses={**_NO_INCIDENT, Invalid: ("no_such_colleague", "no_such_role")},
    )
    async def assign(self, request: Request) -> Response:
        """Give a role to somebody, instead of whoever has it, or take it away.

        Who has one is warned before the next update is due, and called when it did not come.
        """
        body, role = read_body(await request.body(), RoleBody), _role(request.path_params["role"])
        async with self._database.transaction() as tx:
            given = await assign(
                tx,
                actor_of(request),
                request.path_params["id"],
                role,
                holder=body.holder,
                staff=self._staff,
                now=self._clock(),
            )
        return json_response(Roles(roles=given))

    @needs("incidents.declare")
    @call(takes=ReasonBody, gives=Incident, refuses={**_NO_INCIDENT, Conflict: ("not_resolved",)})
    async def reopen(self, request: Request) -> Response:
        """Say that a resolved incident was never over: the next update may open it again, and tells people."""
        body, incident_id = read_body(await request.body(), ReasonBody), request.path_params["id"]
        async with self._database.transaction() as tx:
            await reopen(tx, actor_of(request), incident_id, reason=body.reason, now=self._clock())
            return json_response(await find_incident(tx, incident_id))

    @needs("incidents.read")
    @call(gives=Timeline, refuses=_NO_INCIDENT)
    async def timeline(self, request: Request) -> Response:
        """Everything that happened to an incident, oldest first."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(Timeline(timeline=await timeline(tx, incident.id)))

    @needs("incidents.read")
    @call(gives=Promises, refuses=_NO_INCIDENT)
    async def promises(self, request: Request) -> Response:
        """When next updates were promised, and whether that was true."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(Promises(promises=await promises_of(tx, incident.id)))

    @needs("incidents.read")
    @call(gives=Promises)
    async def due(self, request: Request) -> Response:
        """Every update that people wait for now, the most urgent first; those that are late have state missed."""
        async with self._database.snapshot() as tx:
            return json_response(Promises(promises=await promises_due(tx)))

    @needs("incidents.read")
    @call(query=RecordQuery, gives=Record)
    async def record(self, request: Request) -> Response:
        """How well promises were kept. Drills do not count."""
        asked, now = read_query(request.query_params.multi_items(), RecordQuery), self._clock()
        async with self._database.snapshot() as tx:
            return json_response(await promise_record(tx, since=now - timedelta(days=asked.days), now=now))

    @needs("incidents.read")
    @call(gives=NoticeClock, refuses=_NO_INCIDENT)
    async def notice(self, request: Request) -> Response:
        """From when we knew to when the first, the median, 95 % and the last had heard, against the limit."""
        async with self._database.snapshot() as tx:
            found = await notice_clock(tx, request.path_params["id"], now=self._clock(), usual=self._notice_limit)
        return json_response(found)

    @needs("incidents.read")
    @call(gives=AffectedList, refuses=_NO_INCIDENT)
    async def affected(self, request: Request) -> Response:
        """What an incident affects, and through what."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(AffectedList(affected=await affected_by_incident(tx, incident.id)))

    @needs("incidents.read")
    @call(gives=Confirmations, refuses=_NO_INCIDENT)
    async def confirmations(self, request: Request) -> Response:
        """What parties confirmed about an incident."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(Confirmations(confirmations=await confirmations_of(tx, incident.id)))

    @needs("incidents.declare")
    @call(takes=ConfirmationBody, gives=Confirmations, status=201, refuses=_NO_INCIDENT)
    async def confirm(self, request: Request) -> Response:
        """Note that a party confirms the cause in, or the restoration of, a component. It is never changed after."""
        said = Confirmation(**msgspec.structs.asdict(read_body(await request.body(), ConfirmationBody)))
        async with self._database.transaction() as tx:
            incident_id, now = request.path_params["id"], self._clock()
            found = await note_confirmation(tx, actor_of(request), incident_id, said, now=now)
        return json_response(Confirmations(confirmations=found), 201)

    @needs("incidents.read")
    @call(gives=Postmortems, refuses=_NO_INCIDENT)
    async def postmortems(self, request: Request) -> Response:
        """What was found out afterwards: every version, the draft last."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(Postmortems(postmortems=await postmortems_of(tx, incident.id)))

    @needs("updates.write")
    @call(takes=PostmortemBody, gives=Postmortem, refuses=_NO_INCIDENT)
    async def write_postmortem(self, request: Request) -> Response:
        """Keep the draft of the postmortem, instead of the one there was. One that was published stands."""
        body = read_body(await request.body(), PostmortemBody)
        async with self._database.transaction() as tx:
            actor, now = actor_of(request), self._clock()
            written = await write_postmortem(tx, actor, request.path_params["id"], body.texts, now=now)
        return json_response(written)

    @needs("updates.publish")
    @call(gives=Postmortem, refuses={**_NO_INCIDENT, Conflict: ("not_resolved", "no_draft")})
    async def publish_postmortem(self, request: Request) -> Response:
        """Publish the draft: the incident's phase becomes postmortem, and the page shows the text."""
        async with self._database.transaction() as tx:
            published = await publish_postmortem(tx, actor_of(request), request.path_params["id"], now=self._clock())
        return json_response(published)


def _role(text: str) -> Any:
    if text not in ("commander", "writer"):
        raise Invalid("The roles in an incident are commander and writer.", code="no_such_role")
    return text
