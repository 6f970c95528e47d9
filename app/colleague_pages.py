"""How colleagues are reached when they must act, and the seed list: whom a drill may reach, and no one else."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from app.staff.accounts import find_user
from app.wiring import Parts
from foundation.access import needs
from foundation.calls import Refusals, call, read_body
from foundation.clock import Clock
from foundation.database import Tx
from foundation.errors import NotFound

_UNKNOWN: Refusals = {NotFound: ("no_such_account", "no_such_colleague")}


class ColleagueBody(msgspec.Struct, forbid_unknown_fields=True):
    """How a colleague is reached from now on. Null: not that way."""

    mail: str | None = None
    phone: str | None = None
    language: Literal["en", "nl", "de", "fr", "es"] = "en"


class SeedsBody(msgspec.Struct, forbid_unknown_fields=True):
    """Customer numbers; of a colleague it is `staff:` and the name they sign in with."""

    customer_numbers: Annotated[list[str], msgspec.Meta(max_length=1000)]


class Seeds(msgspec.Struct, kw_only=True, frozen=True):
    """Who is on the seed list, by customer number."""

    customer_numbers: Sequence[str]


class StaffList:
    """`incidents.leading.Staff`, met by our accounts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def works_here(self, tx: Tx, name: str) -> bool:
        """Whether somebody signs in as `name`, and still may."""
        try:
            return not (await find_user(tx, name, now=self._clock())).disabled
        except NotFound:
            return False


def routes(parts: Parts) -> list[BaseRoute]:
    """`/api/v1/colleagues/{name}` and `/api/v1/seeds`."""

    @needs("users.manage")
    @call(gives=notify.Colleague, refuses=_UNKNOWN)
    async def show(request: Request) -> Response:
        """How a colleague is reached."""
        async with parts.database.snapshot() as tx:
            return _json(await notify.colleague(tx, request.path_params["name"]))

    @needs("users.manage")
    @call(takes=ColleagueBody, gives=notify.Colleague, refuses=_UNKNOWN)
    async def keep(request: Request) -> Response:
        """Keep how a colleague is reached, when they lead an incident and an update is due."""
        body = read_body(await request.body(), ColleagueBody)
        async with parts.database.transaction() as tx:
            user = await find_user(tx, request.path_params["name"], now=parts.clock())
            zone = parts.settings.page_time_zone
            await notify.note_colleague(
                tx, notify.Colleague(user.name, body.mail or None, body.phone or None, body.language, zone)
            )
            return _json(await notify.colleague(tx, user.name))

    @needs("incidents.declare")
    @call(gives=Seeds)
    async def seeds(_: Request) -> Response:
        """Who a drill may reach, and who hears first of an update that is held."""
        async with parts.database.snapshot() as tx:
            return _json(Seeds(customer_numbers=await notify.seed_list(tx)))

    @needs("incidents.declare")
    @call(takes=SeedsBody, gives=Seeds, refuses={NotFound: ("no_such_customer",)})
    async def set_seeds(request: Request) -> Response:
        """Say who is on the seed list, instead of who was."""
        body = read_body(await request.body(), SeedsBody)
        async with parts.database.transaction() as tx:
            await notify.set_seeds(tx, body.customer_numbers)
            return _json(Seeds(customer_numbers=await notify.seed_list(tx)))

    return [
        Route("/api/v1/colleagues/{name}", show, methods=["GET"]),
        Route("/api/v1/colleagues/{name}", keep, methods=["PUT"]),
        Route("/api/v1/seeds", seeds, methods=["GET"]),
        Route("/api/v1/seeds", set_seeds, methods=["PUT"]),
    ]


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), headers={"Cache-Control": "no-store"}, media_type="application/json")
