"""The staff API of planned work. It is an incident of its own kind: updates, audience and page are as for any other."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from foundation.access import needs
from foundation.calls import Refusals, call, read_body
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Conflict, NotFound
from incidents.bodies import Names
from incidents.maintenance import Plan, Tell, Words, begin, call_off, end, reschedule, schedule
from incidents.records import Incident, Update
from incidents.responses import actor_of, json_response

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_NO_WORK: Refusals = {NotFound: ("no_such_incident",), Conflict: ("no_maintenance", "over", "has_begun", "not_begun")}
_ACTS = {"begin": begin, "end": end, "call-off": call_off}


class PlanBody(msgspec.Struct, forbid_unknown_fields=True):
    """Work that is to be done, and when.

    `starts_itself`, `ends_itself`: at those times, whether somebody looks or not. `tells_by_itself`: everyone concerned
    is told then. `exercise`: a drill, which reaches seeds only.
    """

    title: dict[str, str]
    scheduled_for: Moment
    scheduled_until: Moment
    components: Names = []
    groups: Names = []
    starts_itself: bool = True
    ends_itself: bool = True
    tells_by_itself: bool = False
    exercise: bool = False


class TimesBody(msgspec.Struct, forbid_unknown_fields=True):
    """New times; what is left out stays. Of work that has begun only the end can be moved."""

    scheduled_for: Moment | None = None
    scheduled_until: Moment | None = None


def maintenance_routes(*, database: Database, clock: Clock, words: Words, tell: Tell | None) -> list[BaseRoute]:
    """`words`: what planned work says by itself; `tell`: what plans the deliveries of that."""
    api = _Maintenance(database, clock, words, tell)
    one = "/api/v1/maintenances/{id}"
    return [
        Route("/api/v1/maintenances", api.schedule, methods=["POST"]),
        Route(one, api.reschedule, methods=["PATCH"]),
        *(Route(f"{one}/{name}", api.act(name), methods=["POST"]) for name in _ACTS),
    ]


class _Maintenance:
    def __init__(self, database: Database, clock: Clock, words: Words, tell: Tell | None) -> None:
        self._database = database
        self._clock = clock
        self._words = words
        self._tell = tell

    @needs("incidents.declare")
    @call(takes=PlanBody, gives=Incident, status=201, located=True)
    async def schedule(self, request: Request) -> Response:
        """Plan work. It becomes public with the first update about it, or when it begins."""
        plan = Plan(**msgspec.structs.asdict(read_body(await request.body(), PlanBody)))
        async with self._database.transaction() as tx:
            planned = await schedule(tx, actor_of(request), plan, now=self._clock())
        return json_response(planned, 201, location=f"/api/v1/incidents/{planned.id}")

    @needs("incidents.declare")
    @call(takes=TimesBody, gives=Incident, refuses=_NO_WORK)
    async def reschedule(self, request: Request) -> Response:
        """Move work that has not begun, or the end of work that has. Nobody is told by this: write an update."""
        times = msgspec.structs.asdict(read_body(await request.body(), TimesBody))
        async with self._database.transaction() as tx:
            incident_id, now = request.path_params["id"], self._clock()
            moved = await reschedule(tx, actor_of(request), incident_id, **times, now=now)
        return json_response(moved)

    def act(self, name: str) -> Any:
        """The handler of one of `_ACTS`."""

        @needs("updates.publish")
        @call(gives=Update, refuses=_NO_WORK)
        async def act(request: Request) -> Response:
            async with self._database.transaction() as tx:
                incident_id, now = request.path_params["id"], self._clock()
                said = await _ACTS[name](tx, actor_of(request), incident_id, self._words, tell=self._tell, now=now)
            return json_response(said)

        act.__doc__ = _SAID[name]
        return act


_SAID = {
    "begin": "Begin planned work now: its components are under maintenance, and the page says so.",
    "end": "End planned work now: its components are given back, and the page says so.",
    "call-off": "Call off planned work that has not begun, and say so on the page.",
}
