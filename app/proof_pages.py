"""Proof in the console: what one customer was told and how they are reached. It shows."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from app.desk import Desk
from foundation.access import needs
from foundation.errors import NotFound

Handler = Callable[[Request], Awaitable[Response]]
_LONGEST = 200


def routes(desk: Desk) -> list[BaseRoute]:
    """The pages of proof."""
    return [
        Route("/desk/customers", _search(desk), methods=["GET"]),
        Route("/desk/customers/{number}", _customer(desk), methods=["GET"]),
    ]


def _search(desk: Desk) -> Handler:
    @needs("customers.read")
    async def search(request: Request) -> Response:
        return await _shown(desk, request, request.query_params.get("number", "").strip()[:_LONGEST])

    return search


def _customer(desk: Desk) -> Handler:
    @needs("customers.read")
    async def customer(request: Request) -> Response:
        return await _shown(desk, request, request.path_params["number"][:_LONGEST])

    return customer


async def _shown(desk: Desk, request: Request, number: str) -> Response:
    told: list[notify.Told] = []
    reach: notify.CustomerReach | None = None
    known = True
    if number:
        try:
            async with desk.parts.database.snapshot() as tx:
                told = await notify.customer_history(tx, number)
                reach = await notify.reach_of(tx, number)
        except NotFound:
            known = False
    status = 200 if known else 404
    return desk.page(request, "app/customer.html", status, number=number, told=told, reach=reach, known=known)
