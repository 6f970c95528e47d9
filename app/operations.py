"""What machines ask of a running process: is it alive, is it ready, what does it count. Never for strangers.

Without an address of their own (STORMDESK_OPS_BIND) these routes answer only the machine itself or a bearer of a token.
"""

from collections.abc import Awaitable, Callable

from sqlalchemy import text
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.client_address import is_this_machine
from app.wiring import Parts
from foundation.access import for_anybody
from foundation.database import DatabaseAway

Handler = Callable[[Request], Awaitable[Response]]


def routes(parts: Parts, exposition: Handler, *, guarded: bool) -> list[Route]:
    """`/healthz`, `/readyz` and `/metrics`. `guarded`: they share the public port, so strangers get a 404."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        try:
            async with parts.database.transaction() as tx:
                await tx.execute(text("SELECT 1"))
        except DatabaseAway:
            return PlainTextResponse("the database is away\n", 503)
        return PlainTextResponse("ready\n")

    handlers: dict[str, Handler] = {"/healthz": healthz, "/readyz": readyz, "/metrics": exposition}
    return [Route(path, _for_us(handler) if guarded else for_anybody(handler)) for path, handler in handlers.items()]


def _for_us(handler: Handler) -> Handler:
    @for_anybody  # the machine itself has no right and no name; everybody else is shut out here
    async def guarded(request: Request) -> Response:
        if not (is_this_machine(request.scope) or "machines.read" in request.auth.scopes):
            raise HTTPException(404, "There is nothing here.")
        return await handler(request)

    return guarded
