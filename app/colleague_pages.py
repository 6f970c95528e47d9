"""How colleagues are reached when they must act: those who lead an incident."""

from typing import Literal

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
from incidents.responses import json_response

_UNKNOWN: Refusals = {NotFound: ("no_such_account", "no_such_colleague")}


class ColleagueBody(msgspec.Struct, forbid_unknown_fields=True):
    """How a colleague is reached from now on. Null: not that way."""

    mail: str | None = None
    phone: str | None = None
    language: Literal["en", "nl", "de", "fr", "es"] = "en"


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
    """`/api/v1/colleagues/{name}`."""

    @needs("users.manage")
    @call(gives=notify.Colleague, refuses=_UNKNOWN)
    async def show(request: Request) -> Response:
        """How a colleague is reached."""
        async with parts.database.snapshot() as tx:
            return json_response(await notify.colleague(tx, request.path_params["name"]))

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
            return json_response(await notify.colleague(tx, user.name))

    return [
        Route("/api/v1/colleagues/{name}", show, methods=["GET"]),
        Route("/api/v1/colleagues/{name}", keep, methods=["PUT"]),
    ]
