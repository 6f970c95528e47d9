"""The record of who did what, to look through: a page of the desk, and `GET /api/v1/audit`."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.audit import Search, search
from app.desk import Desk
from foundation.access import needs
from foundation.database import Database
from foundation.errors import Fault, Invalid

Handler = Callable[[Request], Awaitable[Response]]
_LONGEST = 200


def routes(desk: Desk) -> list[BaseRoute]:
    """The routes of the record."""
    return [
        Route("/desk/audit", _page(desk), methods=["GET"]),
        Route("/api/v1/audit", _api(desk.parts.database), methods=["GET"]),
    ]


def _page(desk: Desk) -> Handler:
    @needs("audit.read")
    async def page(request: Request) -> Response:
        asked = {name: request.query_params.get(name, "")[:_LONGEST] for name in ("q", "actor", "since", "until")}
        try:
            wanted = read_search(request.query_params, whole_days=True)
        except Invalid:  # a date somebody typed by hand: the form shows what was asked, and everything else
            wanted = Search(words=asked["q"], actor=asked["actor"])
        async with desk.parts.database.snapshot() as tx:
            entries, following = await search(tx, wanted)
        older = "?" + urlencode({**asked, "before": following}) if following is not None else ""
        return desk.page(request, "app/audit.html", asked=asked, entries=entries, older=older)

    return page


def _api(database: Database) -> Handler:
    @needs("audit.read")
    async def api(request: Request) -> Response:
        wanted = read_search(request.query_params)
        async with database.snapshot() as tx:
            entries, following = await search(tx, wanted)
        body = msgspec.json.encode({"entries": entries, "next": following})
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    return api


def read_search(query: Mapping[str, str], *, whole_days: bool = False) -> Search:
    """The search in a query string. `whole_days`: `until` includes the day it names. Raises `Invalid`."""
    faults: list[Fault] = []
    since, until = _moment(query, "since", faults), _moment(query, "until", faults)
    before, limit = query.get("before", ""), query.get("limit", "100")
    if before and not (before.isascii() and before.isdigit() and len(before) < 19):
        faults.append(Fault("before", "Must be the `next` of the page before."))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= 500):
        faults.append(Fault("limit", "Must be a number from 1 to 500."))
    if faults:
        raise Invalid("The record cannot be searched like that.", faults)
    if until is not None and whole_days:
        until += timedelta(days=1)
    return Search(
        words=query.get("q", "")[:_LONGEST],
        actor=query.get("actor", "")[:_LONGEST],
        object=query.get("object", "")[:_LONGEST],
        since=since,
        until=until,
        before=int(before) if before else None,
        limit=int(limit),
    )


def _moment(query: Mapping[str, str], name: str, faults: list[Fault]) -> datetime | None:
    if not (text := query.get(name, "")):
        return None
    try:
        read = datetime.fromisoformat(text)
        return read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    except ValueError:
        faults.append(Fault(name, "Must be a date or a time, such as 2026-11-24T14:30:00Z."))
        return None
