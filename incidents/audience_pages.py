"""The staff API of audiences and templates, under /api/v1: whom an incident concerns, and texts to start from."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from foundation.access import needs
from foundation.calls import Refusals, call, read_body, read_query
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Conflict, NotFound
from incidents.answers import AudienceSample, Overlaps, Segments, StartedTexts, UpdateTemplates
from incidents.bodies import ScopeBody, SegmentBody, StartQuery, TemplateBody
from incidents.records import find_incident
from incidents.responses import actor_of, json_response
from incidents.scope import (
    AudiencePreview,
    ScopeChange,
    change_scope,
    check_scope_of,
    overlaps,
    preview_audience,
    sample_audience,
)
from incidents.segments import Segment, all_segments, define_segment
from incidents.update_templates import (
    UpdateTemplate,
    WriteMoment,
    all_templates,
    define_template,
    drop_template,
    start_from,
)

_NO_INCIDENT: Refusals = {NotFound: ("no_such_incident",)}


def audience_routes(*, database: Database, clock: Clock, write: WriteMoment) -> list[BaseRoute]:
    """Every route of audiences, segments and templates. `write`: a moment as people read it, see `update_templates`."""
    audiences, texts = _Audiences(database, clock, write), _Templates(database, clock, write)
    return [
        Route("/api/v1/audience", audiences.preview, methods=["POST"]),
        Route("/api/v1/incidents/{id}/audience", audiences.show, methods=["GET"]),
        Route("/api/v1/incidents/{id}/audience/sample", audiences.sample, methods=["GET"]),
        Route("/api/v1/incidents/{id}/overlaps", audiences.overlaps, methods=["GET"]),
        Route("/api/v1/incidents/{id}/scope", audiences.change, methods=["PUT"]),
        Route("/api/v1/segments", audiences.segments, methods=["GET"]),
        Route("/api/v1/segments/{key}", audiences.define, methods=["PUT"]),
        Route("/api/v1/update-templates", texts.list, methods=["GET"]),
        Route("/api/v1/update-templates/{key}", texts.define, methods=["PUT"]),
        Route("/api/v1/update-templates/{key}", texts.drop, methods=["DELETE"]),
        Route("/api/v1/incidents/{id}/update-templates/{key}", texts.start, methods=["GET"]),
    ]


class _Audiences:
    def __init__(self, database: Database, clock: Clock, write: WriteMoment) -> None:
        self._database = database
        self._clock = clock
        self._write = write

    @needs("incidents.declare")
    @call(takes=ScopeBody, gives=AudiencePreview)
    async def preview(self, request: Request) -> Response:
        """Whom a scope would concern, before an incident has it. Nothing is written."""
        scope = read_body(await request.body(), ScopeBody).scope()
        async with self._database.transaction() as tx:  # on record, as everything that is posted
            await check_scope_of(tx, scope)
            return json_response(await preview_audience(tx, scope, self._clock()))

    @needs("incidents.read")
    @call(gives=AudiencePreview, refuses=_NO_INCIDENT)
    async def show(self, request: Request) -> Response:
        """Whom an incident concerns, counted by component, language and segment."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(await preview_audience(tx, incident.id, self._clock()))

    @needs("customers.read")
    @call(gives=AudienceSample, refuses=_NO_INCIDENT)
    async def sample(self, request: Request) -> Response:
        """Twenty of those an incident concerns, and why, to see whether it is who was meant."""
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            return json_response(AudienceSample(people=await sample_audience(tx, incident.id, self._clock())))

    @needs("incidents.read")
    @call(gives=Overlaps, refuses=_NO_INCIDENT)
    async def overlaps(self, request: Request) -> Response:
        """The other open incidents that concern some of the same people."""
        async with self._database.snapshot() as tx:
            return json_response(Overlaps(overlaps=await overlaps(tx, request.path_params["id"], self._clock())))

    @needs("incidents.declare")
    @call(takes=ScopeBody, gives=ScopeChange, refuses={**_NO_INCIDENT, Conflict: ("resolved", "not_declared")})
    async def change(self, request: Request) -> Response:
        """Let an incident concern this and nothing else.

        For those newly concerned, and for those concerned no longer, a draft is made; both wait to be approved.
        """
        scope = read_body(await request.body(), ScopeBody).scope()
        async with self._database.transaction() as tx:
            changed = await change_scope(
                tx, actor_of(request), request.path_params["id"], scope, self._write, now=self._clock()
            )
        return json_response(changed)

    @needs("incidents.read")
    @call(gives=Segments)
    async def segments(self, request: Request) -> Response:
        """Every part of an audience that has a name."""
        async with self._database.snapshot() as tx:
            return json_response(Segments(segments=await all_segments(tx)))

    @needs("updates.write")
    @call(takes=SegmentBody, gives=Segment)
    async def define(self, request: Request) -> Response:
        """Name a part of an audience, or say anew whom it holds."""
        segment = read_body(await request.body(), SegmentBody).segment(request.path_params["key"])
        async with self._database.transaction() as tx:
            return json_response(await define_segment(tx, actor_of(request), segment, now=self._clock()))


class _Templates:
    def __init__(self, database: Database, clock: Clock, write: WriteMoment) -> None:
        self._database = database
        self._clock = clock
        self._write = write

    @needs("incidents.read")
    @call(gives=UpdateTemplates)
    async def list(self, request: Request) -> Response:
        """Every text an update can start from: shipped ones first, then the organisation's own."""
        async with self._database.snapshot() as tx:
            return json_response(UpdateTemplates(templates=await all_templates(tx)))

    @needs("updates.write")
    @call(takes=TemplateBody, gives=UpdateTemplate)
    async def define(self, request: Request) -> Response:
        """Keep a template of your own, or put one in the place of a shipped one."""
        template = read_body(await request.body(), TemplateBody).template(request.path_params["key"])
        async with self._database.transaction() as tx:
            return json_response(await define_template(tx, actor_of(request), template, now=self._clock()))

    @needs("updates.write")
    @call(gives=UpdateTemplates, refuses={NotFound: ("no_such_template",)})
    async def drop(self, request: Request) -> Response:
        """Remove a template of your own; the shipped one with its key is back. Answers those that are left."""
        async with self._database.transaction() as tx:
            await drop_template(tx, request.path_params["key"])
            return json_response(UpdateTemplates(templates=await all_templates(tx)))

    @needs("updates.write")
    @call(gives=StartedTexts, query=StartQuery, refuses={NotFound: ("no_such_incident", "no_such_template")})
    async def start(self, request: Request) -> Response:
        """The texts of a template with what is known of the incident filled in. Nothing is written."""
        asked = read_query(request.query_params.multi_items(), StartQuery)
        async with self._database.snapshot() as tx:
            texts = await start_from(
                tx,
                request.path_params["id"],
                request.path_params["key"],
                self._write,
                next_update_at=asked.next_update_at,
            )
        return json_response(StartedTexts(texts=texts))
