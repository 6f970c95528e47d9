"""The record of who did what, to look through: a page of the desk, and `GET /api/v1/audit`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.audit import Entry, Search, search
from app.desk import Desk
from foundation.access import needs
from foundation.calls import call, read_query
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
            given = [
                (name, value)
                for name, value in request.query_params.items()
                if value and name in AuditQuery.__struct_fields__
            ]
            wanted = read_query(given, AuditQuery).search(whole_days=True)
        except Invalid:  # a date somebody typed by hand: the form shows what was asked, and everything else
            wanted = Search(words=asked["q"], actor=asked["actor"])
        async with desk.parts.database.snapshot() as tx:
            entries, following = await search(tx, wanted)
        older = "?" + urlencode({**asked, "before": following}) if following is not None else ""
        return desk.page(request, "app/audit.html", asked=asked, entries=entries, older=older)

    return page


def _api(database: Database) -> Handler:
    @needs("audit.read")
    @call(gives=AuditPage, query=AuditQuery)
    async def api(request: Request) -> Response:
        """Who did what, when, from where and why, the newest first."""
        wanted = read_query(request.query_params.multi_items(), AuditQuery).search()
        async with database.snapshot() as tx:
            entries, following = await search(tx, wanted)
        body = msgspec.json.encode(AuditPage(entries, following))
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    return api


class AuditQuery(msgspec.Struct, frozen=True):
    """What to look for on the record. `since`, `until`: a date or a time. `before`: the `next` of the page before."""

    q: str = ""
    actor: str = ""
    object: str = ""
    since: str = ""
    until: str = ""
    before: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100

    def search(self, *, whole_days: bool = False) -> Search:
        """The search. `whole_days`: `until` includes the day it names. Raises `Invalid`."""
        faults: list[Fault] = []
        since, until = _moment(self.since, "since", faults), _moment(self.until, "until", faults)
        if faults:
            raise Invalid("The record cannot be searched like that.", faults)
        if until is not None and whole_days:
            until += timedelta(days=1)
        return Search(
            words=self.q[:_LONGEST],
            actor=self.actor[:_LONGEST],
            object=self.object[:_LONGEST],
            since=since,
            until=until,
            before=self.before,
            limit=self.limit,
        )


class AuditPage(msgspec.Struct, frozen=True):
    """Some of the record, the newest first. `next`: the `before` of the next page; null at the end."""

    entries: Sequence[Entry]
    next: int | None


def _moment(text: str, name: str, faults: list[Fault]) -> datetime | None:
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
        return read if read.tzinfo is not None else read.replace(tzinfo=UTC)
    except ValueError:
        faults.append(Fault(name, "Must be a date or a time, such as 2026-11-24T14:30:00Z."))
        return None
