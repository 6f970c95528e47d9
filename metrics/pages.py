"""Routes of metrics: exports for staff, and the page that Prometheus reads (where it is mounted is `app`'s choice)."""

from asyncio import to_thread
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from foundation.access import needs
from foundation.calls import call, read_query
from foundation.database import Database
from foundation.errors import NotFound
from metrics.dictionary import ABOUT, columns_of
from metrics.exports import FORMATS, Exports
from metrics.exposition import CONTENT_TYPE, exposition
from metrics.questions import EXPORTS, TIMES, Question
from metrics.sampling import Sampler
from metrics.snapshots import Snapshot

# Whoever has it may ask for people by their numbers.
PERSONAL_RIGHT = "exports.personal"


class ExportQuery(msgspec.Struct, frozen=True):
    """How to export, and what of it; everything when it is left out.

    `since` and `until` go by when the thing a row is about began. `personal=true` names people and needs a right of
    its own. `snapshot`: as it was then.
    """

    format: Literal["csv", "ndjson", "parquet", "xlsx"] = "csv"
    incident: Annotated[str, msgspec.Meta(pattern="^[a-z0-9]{12}$")] | None = None
    since: datetime | None = None
    until: datetime | None = None
    component: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    channel: Literal["mail", "sms", "webhook", "web", "api", "phone", "post"] | None = None
    personal: bool = False
    snapshot: Annotated[str, msgspec.Meta(pattern="^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$")] | None = None


class ColumnView(msgspec.Struct, frozen=True):
    """A column: its name, its type (text, whole number, or time in UTC), unit, meaning, and the view it comes from.

    `personal`: a pseudonym, unless people are asked for.
    """

    name: str
    type: str
    unit: str
    meaning: str
    source: str
    personal: bool


class ExportView(msgspec.Struct, frozen=True):
    """An export: what a row is, and its columns in order. `time`: the column that `since` and `until` go by."""

    name: str
    about: str
    time: str | None
    columns: list[ColumnView]


class ExportsView(msgspec.Struct, frozen=True):
    """The data dictionary, and the snapshots that can be asked for."""

    exports: list[ExportView]
    formats: list[str]
    snapshots: list[Snapshot]


def dictionary() -> list[ExportView]:
    """Every export with its columns."""
    return [
        ExportView(name, ABOUT[name], TIMES[name], [ColumnView(**asdict(one)) for one in columns_of(name, facts)])
        for name, facts in EXPORTS.items()
    ]


def routes(*, exports: Exports) -> list[Route]:
    """`GET /api/v1/exports`, `GET /api/v1/exports/{name}` and `POST /api/v1/exports/snapshots`."""

    @needs("exports.read")
    @call(gives=ExportsView)
    async def index(_: Request) -> Response:
        """What can be exported: the data dictionary, the formats and the snapshots."""
        kept = await to_thread(exports.snapshots.all)
        view = ExportsView(dictionary(), list(FORMATS), kept)
        return Response(msgspec.json.encode(view), media_type="application/json")

    @needs("exports.read")
    @call(gives=Snapshot, status=201)
    async def snapshots(_: Request) -> Response:
        """Keep every export as it is at this moment, so that the same question has the same answer later."""
        return Response(msgspec.json.encode(await exports.take()), 201, media_type="application/json")

    @needs("exports.read")
    @call(
        gives=str,
        media=list(FORMATS.values()),
        query=ExportQuery,
        path={"name": Literal[tuple(EXPORTS)]},
        refuses={NotFound: ("no_such_export", "no_such_snapshot")},
    )
    async def export(request: Request) -> Response:
        """Every row of what analysts may export, streamed; people by pseudonym unless asked for and allowed."""
        query = read_query(request.query_params.multi_items(), ExportQuery)
        if query.personal and PERSONAL_RIGHT not in request.auth.scopes:
            raise HTTPException(
                403, "To see people by name needs the right exports.personal, which none of your roles has."
            )
        name, chosen = request.path_params["name"], query.format
        filters = {one: getattr(query, one) for one in ("incident", "since", "until", "component", "channel")}
        question = Question(name, personal=query.personal, **filters)
        chunks = exports.stream(question, chosen, snapshot=query.snapshot)
        # Whatever is wrong shows with the first chunk, while the answer can still say so.
        first = await anext(chunks, b"")
        return _Streamed(first, chunks, f"{name}.{chosen}", FORMATS[chosen])

    return [
        Route("/api/v1/exports", index, methods=["GET"]),
        Route("/api/v1/exports/snapshots", snapshots, methods=["POST"]),
        Route("/api/v1/exports/{name}", export, methods=["GET"]),
    ]


def exposition_page(database: Database, notice_limit: timedelta) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/metrics`. It says nothing of who may ask: mount it where strangers cannot reach it.

    `notice_limit`: within what people must hear of an incident that has no limit of its own.
    """
    sampler = Sampler(database, usual=notice_limit)

    async def page(_: Request) -> Response:
        return Response(exposition(await sampler.sample()), headers={"Content-Type": CONTENT_TYPE})

    return page


class _Streamed(StreamingResponse):
    """A download that gives its database connection back when the reader goes away half-way."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes], filename: str, media_type: str) -> None:
        self._rest = rest
        headers = {
            "Content-Type": media_type,
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Cache-Control": "no-store",
        }
        super().__init__(self._from(first), headers=headers)

    async def _from(self, first: bytes) -> AsyncGenerator[bytes]:
        yield first
        async for chunk in self._rest:
            yield chunk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._rest.aclose()
