"""Routes of metrics: exports for staff, and the page that Prometheus reads (where it is mounted is `app`'s choice)."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from foundation.access import needs
from foundation.calls import call, read_query
from foundation.database import Database
from foundation.errors import NotFound
from metrics.exports import EXPORTS, FORMATS, export
from metrics.exposition import CONTENT_TYPE, exposition
from metrics.sampling import Sampler


class ExportQuery(msgspec.Struct, frozen=True):
    """How to export, and of which incident (all of them when it is left out)."""

    format: Literal["csv", "ndjson"] = "csv"
    incident: Annotated[str, msgspec.Meta(pattern="^[a-z0-9]{12}$")] | None = None


def routes(*, database: Database) -> list[Route]:
    """`GET /api/v1/exports/{name}?format=csv|ndjson&incident=ID`, streamed from one snapshot."""

    @needs("exports.read")
    @call(
        gives=str,
        media=list(FORMATS.values()),
        query=ExportQuery,
        path={"name": Literal[tuple(EXPORTS)]},
        refuses={NotFound: ("no_such_export",)},
    )
    async def exports(request: Request) -> Response:
        """Every row of what analysts may export, streamed from one snapshot."""
        name, query = request.path_params["name"], read_query(request.query_params.multi_items(), ExportQuery)
        chosen = query.format
        chunks = _streamed(database, name, incident=query.incident, chosen=chosen)
        # Whatever is wrong shows with the first chunk, while the answer can still say so.
        first = await anext(chunks, b"")
        return _Streamed(first, chunks, f"{name}.{chosen}", FORMATS[chosen])

    return [Route("/api/v1/exports/{name}", exports, methods=["GET"])]


def exposition_page(database: Database) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/metrics`. It says nothing of who may ask: mount it where strangers cannot reach it."""
    sampler = Sampler(database)

    async def page(_: Request) -> Response:
        return Response(exposition(await sampler.sample()), headers={"Content-Type": CONTENT_TYPE})

    return page


async def _streamed(database: Database, name: str, *, incident: str | None, chosen: str) -> AsyncGenerator[bytes]:
    async with database.snapshot() as tx, aclosing(export(tx, name, incident=incident, format=chosen)) as chunks:
        async for chunk in chunks:
            yield chunk


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
