"""How people are reached, in the console: what a customer wants, who is told first, and the pile of stray reports."""

from collections.abc import Mapping
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from app.desk import Desk
from app.forms import read_form
from foundation.access import needs
from foundation.actors import Actor
from foundation.errors import Invalid, Refusal

_AT_ONCE = 100
_MOST_SEEDS = 1000
_CHOICES: Mapping[str, Literal["mail", "sms"] | None] = {"": None, "mail": "mail", "sms": "sms"}


def routes(desk: Desk) -> list[BaseRoute]:
    """The pages about reaching people."""
    pages = _ReachingPages(desk)
    return [
        Route("/desk/customers/{number}/preference", pages.prefer, methods=["POST"]),
        Route("/desk/customers/{number}/lift", pages.lift, methods=["POST"]),
        Route("/desk/sending", pages.show, methods=["GET"]),
        Route("/desk/sending/seeds", pages.seeds, methods=["POST"]),
    ]


class _ReachingPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._database = desk.parts.database

    @needs("customers.change")
    async def prefer(self, request: Request) -> Response:
        number = request.path_params["number"]
        chosen = (await read_form(request)).get("channel", "")
        if chosen not in _CHOICES:
            raise Invalid("Choose mail, text or neither.")
        async with self._database.transaction() as tx:
            await notify.prefer(tx, number, _CHOICES[chosen])
        return self._desk.to(_customer(request))

    @needs("customers.change")
    async def lift(self, request: Request) -> Response:
        typed = await read_form(request)
        address = typed.get("address", "")
        request.state.about = address
        actor = request.user.actor
        assert isinstance(actor, Actor)
        async with self._database.transaction() as tx:
            await notify.lift_suppression(
                tx, channel=typed.get("channel", ""), value=address, actor=actor, reason=typed.get("reason", "")
            )
        return self._desk.to(_customer(request))

    @needs("deliveries.read")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("seeds.manage")
    async def seeds(self, request: Request) -> Response:
        typed = (await read_form(request)).get("numbers", "")
        numbers = list(dict.fromkeys(typed.replace(",", " ").split()))[:_MOST_SEEDS]
        request.state.about = ", ".join(numbers)[:300]
        try:
            async with self._database.transaction() as tx:
                await notify.set_seeds(tx, numbers)
        except Refusal as refused:
            return await self._page(request, 422, said=refused.message, typed=typed)
        return self._desk.to("/desk/sending")

    async def _page(self, request: Request, status: int = 200, *, said: str = "", typed: str | None = None) -> Response:
        before = request.query_params.get("before", "")
        async with self._database.snapshot() as tx:
            seeds = await notify.seeds_now(tx)
            reports, older = await notify.stray_reports(
                tx, before=int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None,
                limit=_AT_ONCE,
            )  # fmt: skip
        numbers = "\n".join(one.customer_number for one in seeds) if typed is None else typed
        context = {"seeds": seeds, "numbers": numbers, "reports": reports, "older": older, "said": said}
        return self._desk.page(request, "app/sending.html", status, **context)


def _customer(request: Request) -> str:
    return request.url.path.rpartition("/")[0]
