"""What was found out afterwards, in the console: written in the languages people read, kept as a draft, published once.

A version that is published stands; a better one is published behind it.
"""

from collections import defaultdict
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import read_form
from app.incident_desk import faults_by_field
from foundation.access import needs
from foundation.errors import Conflict, Invalid, Refusal
from foundation.languages import SPOKEN
from incidents.postmortems import LONGEST_POSTMORTEM, postmortems_of, publish_postmortem, write_postmortem
from incidents.records import find_incident
from incidents.responses import actor_of


def routes(desk: Desk) -> list[BaseRoute]:
    """The pages of postmortems."""
    pages, one = _PostmortemPages(desk), "/desk/incidents/{id}/postmortem"
    return [
        Route(one, pages.show, methods=["GET"]),
        Route(one, pages.write, methods=["POST"]),
        Route(f"{one}/publish", pages.publish, methods=["POST"]),
    ]


class _PostmortemPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock

    @needs("incidents.read")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("updates.write")
    async def write(self, request: Request) -> Response:
        typed = await read_form(request)
        texts = {one: typed[f"texts.{one}"] for one in SPOKEN if typed.get(f"texts.{one}", "").strip()}
        try:
            async with self._database.transaction() as tx:
                await write_postmortem(tx, actor_of(request), request.path_params["id"], texts, now=self._clock())
        except Invalid as refused:
            return await self._page(request, refused=refused, typed=typed)
        return self._to(request, "written")

    @needs("updates.publish")
    async def publish(self, request: Request) -> Response:
        try:
            async with self._database.transaction() as tx:
                await publish_postmortem(tx, actor_of(request), request.path_params["id"], now=self._clock())
        except Conflict as refused:
            return await self._page(request, refused=refused)
        return self._to(request, "published")

    def _to(self, request: Request, did: str) -> Response:
        return self._desk.to(f"/desk/incidents/{request.path_params['id']}/postmortem?did={did}")

    async def _page(
        self, request: Request, *, refused: Refusal | None = None, typed: Mapping[str, str] | None = None
    ) -> Response:
        async with self._database.snapshot() as tx:
            incident = await find_incident(tx, request.path_params["id"])
            versions = await postmortems_of(tx, incident.id)
        draft = next((one for one in versions if one.number is None), None)
        published = [one for one in versions if one.number is not None]
        start = draft or (published[-1] if published else None)
        kept = {f"texts.{language}": text for language, text in start.texts.items()} if start else {}
        return self._desk.page(
            request,
            "app/postmortem.html",
            200 if refused is None else 422 if isinstance(refused, Invalid) else 409,
            incident=incident,
            draft=draft,
            published=list(reversed(published)),
            refused=refused,
            faults=faults_by_field(refused),
            typed=defaultdict(str, kept if typed is None else typed),
            did=request.query_params.get("did", ""),
            spoken=SPOKEN,
            longest=LONGEST_POSTMORTEM,
        )
