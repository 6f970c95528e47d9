"""Planned work in the console: planning it, moving it, and beginning, ending or calling it off by hand.

What is said of it and what happened stands on its page as an incident (`incident_desk`); here is when it happens.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import every, local_field, moment_in, read_body, read_form
from app.incident_desk import faults_by_field
from foundation.access import needs
from foundation.database import Tx
from foundation.errors import Conflict, Fault, Invalid, Refusal
from foundation.languages import SPOKEN
from incidents.choices import all_groups, named_components
from incidents.maintenance import Plan, Tell, Words, begin, call_off, end, reschedule, schedule
from incidents.records import find_incident, list_incidents, updates_of
from incidents.responses import actor_of

Handler = Callable[[Request], Awaitable[Response]]
SHOWN_OVER = 20
_ACTS = {"begin": begin, "end": end, "call-off": call_off}
_BY_ITSELF = {"starts_itself": "yes", "ends_itself": "yes"}


def routes(desk: Desk, words: Words, tell: Tell | None) -> list[BaseRoute]:
    """The pages of planned work; before those of incidents. `words`, `tell`: see `incidents.maintenance`."""
    pages = _PlannedPages(desk, words, tell)
    one = "/desk/incidents/{id}/work"
    return [
        Route("/desk/incidents/planned", pages.list, methods=["GET"]),
        Route("/desk/incidents/planned/new", pages.new, methods=["GET"]),
        Route("/desk/incidents/planned/new", pages.schedule, methods=["POST"]),
        Route(one, pages.show, methods=["GET"]),
        Route(f"{one}/move", pages.move, methods=["POST"]),
        *(Route(f"{one}/{name}", pages.act(name), methods=["POST"]) for name in _ACTS),
    ]


class _PlannedPages:
    def __init__(self, desk: Desk, words: Words, tell: Tell | None) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._zone = desk.parts.settings.page_time_zone
        self._words = words
        self._tell = tell

    @needs("incidents.read")
    async def list(self, request: Request) -> Response:
        async with self._database.snapshot() as tx:
            ahead = await list_incidents(tx, over=False, kind="maintenance")
            over = await list_incidents(tx, over=True, kind="maintenance", limit=SHOWN_OVER)
        ahead.sort(key=lambda one: (one.started_at, one.id))
        return self._desk.page(request, "app/planned.html", ahead=ahead, over=over, now=self._clock())

    @needs("incidents.declare")
    async def new(self, request: Request) -> Response:
        return await self._form(request)

    @needs("incidents.declare")
    async def schedule(self, request: Request) -> Response:
        body, typed = await read_body(request), await read_form(request)
        groups = every(body, "groups")
        try:
            async with self._database.transaction() as tx:
                plan = await self._plan(tx, typed, groups)
                planned = await schedule(tx, actor_of(request), plan, now=self._clock())
        except Invalid as refused:
            return await self._form(request, 422, refused=refused, typed=typed, groups=groups)
        request.state.about = planned.id
        return self._desk.to(f"/desk/incidents/{planned.id}/work?did=schedule")

    async def _plan(self, tx: Tx, typed: Mapping[str, str], groups: Sequence[str]) -> Plan:
        begins, ends = (moment_in(typed, name, self._zone) for name in ("scheduled_for", "scheduled_until"))
        if begins is None or ends is None:
            wanting = "scheduled_until" if begins else "scheduled_for"
            raise Invalid("Say when the work begins and ends.", [Fault(wanting, "Say when the work begins and ends.")])
        return Plan(
            title={one: typed[f"title.{one}"] for one in SPOKEN if typed.get(f"title.{one}", "").strip()},
            scheduled_for=begins,
            scheduled_until=ends,
            components=await named_components(tx, typed.get("components", "").splitlines()),
            groups=groups,
            starts_itself=bool(typed.get("starts_itself")),
            ends_itself=bool(typed.get("ends_itself")),
            tells_by_itself=bool(typed.get("tells_by_itself")),
            exercise=bool(typed.get("exercise")),
        )

    async def _form(
        self,
        request: Request,
        status: int = 200,
        *,
        refused: Refusal | None = None,
        typed: Mapping[str, str] = _BY_ITSELF,
        groups: Sequence[str] = (),
    ) -> Response:
        async with self._database.snapshot() as tx:
            offered = await all_groups(tx)
        return self._desk.page(
            request,
            "app/plan.html",
            status,
            offered=offered,
            refused=refused,
            faults=faults_by_field(refused),
            typed=defaultdict(str, typed),
            ticked=groups,
            spoken=SPOKEN,
        )

    @needs("incidents.read")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("incidents.declare")
    async def move(self, request: Request) -> Response:
        typed = await read_form(request)
        try:
            times = {name: moment_in(typed, name, self._zone) for name in ("scheduled_for", "scheduled_until")}
            async with self._database.transaction() as tx:
                await reschedule(tx, actor_of(request), request.path_params["id"], **times, now=self._clock())
        except (Invalid, Conflict) as refused:
            return await self._page(request, refused=refused, typed=typed)
        return self._to(request, "move")

    def act(self, name: str) -> Handler:
        """The handler of one of `_ACTS`."""

        @needs("updates.publish")
        async def act(request: Request) -> Response:
            incident_id, now = request.path_params["id"], self._clock()
            try:
                async with self._database.transaction() as tx:
                    await _ACTS[name](tx, actor_of(request), incident_id, self._words, tell=self._tell, now=now)
            except Conflict as refused:
                return await self._page(request, refused=refused)
            return self._to(request, name)

        return act

    def _to(self, request: Request, did: str) -> Response:
        return self._desk.to(f"/desk/incidents/{request.path_params['id']}/work?did={did}")

    async def _page(
        self, request: Request, *, refused: Refusal | None = None, typed: Mapping[str, str] | None = None
    ) -> Response:
        async with self._database.snapshot() as tx:
            work = await find_incident(tx, request.path_params["id"])
            said = [one for one in await updates_of(tx, work.id) if one.state == "published"]
        if work.kind != "maintenance":
            return self._desk.to(f"/desk/incidents/{work.id}")
        times = {
            "scheduled_for": local_field(work.scheduled_for, self._zone),
            "scheduled_until": local_field(work.scheduled_until, self._zone),
        }
        return self._desk.page(
            request,
            "app/work.html",
            200 if refused is None else 422 if isinstance(refused, Invalid) else 409,
            work=work,
            announced=bool(said),
            refused=refused,
            faults=faults_by_field(refused),
            typed={**times, **(typed or {})},
            did=request.query_params.get("did", ""),
            now=self._clock(),
        )
