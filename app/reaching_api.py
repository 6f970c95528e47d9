"""The staff API of how people are reached: wishes, addresses taken into use again, seeds, reports without a delivery.

It speaks HTTP, opens the transactions and knows no rules.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import notify
from foundation.access import needs
from foundation.actors import Actor
from foundation.calls import Refusals, call, read_body, read_query
from foundation.database import Database
from foundation.errors import Conflict, NotFound
from incidents.responses import json_response

_NO_CUSTOMER: Refusals = {NotFound: ("no_such_customer",)}
_NO_LIFT: Refusals = {NotFound: ("no_such_address",), Conflict: ("not_suppressed",)}
_MOST_SEEDS = 1000


def routes(database: Database) -> list[BaseRoute]:
    """The calls about reaching people."""
    api = _Reaching(database)
    return [
        Route("/api/v1/customers/{number}/reach", api.reach, methods=["GET"]),
        Route("/api/v1/customers/{number}/preference", api.prefer, methods=["PUT"]),
        Route("/api/v1/addresses/lift", api.lift, methods=["POST"]),
        Route("/api/v1/seeds", api.seeds, methods=["GET"]),
        Route("/api/v1/seeds", api.set_seeds, methods=["PUT"]),
        Route("/api/v1/reports/stray", api.stray, methods=["GET"]),
    ]


class Preference(msgspec.Struct, frozen=True):
    """The channel a customer would rather be told on; null: whichever reaches them first."""

    channel: Literal["mail", "sms"] | None


class AddressToLift(msgspec.Struct, frozen=True):
    """An address that was given up, and why it works again."""

    channel: Literal["mail", "sms", "webhook"]
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    reason: Annotated[str, msgspec.Meta(max_length=500)]


class Lifted(msgspec.Struct, frozen=True):
    """How many customers have the address that is in use again."""

    customers: int


class SeedList(msgspec.Struct, frozen=True):
    """The numbers of the colleagues who are told first, all of them."""

    customers: Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=_MOST_SEEDS)]


class Seeds(msgspec.Struct, frozen=True):
    """The colleagues who are told first."""

    seeds: Sequence[notify.Seed]


class StrayQuery(msgspec.Struct, frozen=True):
    """Which of the reports. `before`: the `next` of the page before."""

    before: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class StrayReports(msgspec.Struct, frozen=True):
    """Reports that belong to no delivery, the newest first. `next`: the `before` of the next page; null at the end."""

    reports: Sequence[notify.StrayReport]
    next: int | None


class _Reaching:
    def __init__(self, database: Database) -> None:
        self._database = database

    @needs("customers.read")
    @call(gives=notify.CustomerReach, refuses=_NO_CUSTOMER)
    async def reach(self, request: Request) -> Response:
        """How a customer can be reached: their addresses, what they prefer, and what they want no news of."""
        async with self._database.snapshot() as tx:
            return json_response(await notify.reach_of(tx, request.path_params["number"]))

    @needs("customers.change")
    @call(takes=Preference, gives=notify.CustomerReach, refuses=_NO_CUSTOMER)
    async def prefer(self, request: Request) -> Response:
        """Note which channel a customer would rather be told on. It counts from the next update on."""
        number = request.path_params["number"]
        wanted = read_body(await request.body(), Preference)
        async with self._database.transaction() as tx:
            await notify.prefer(tx, number, wanted.channel)
            return json_response(await notify.reach_of(tx, number))

    @needs("customers.change")
    @call(takes=AddressToLift, gives=Lifted, refuses=_NO_LIFT)
    async def lift(self, request: Request) -> Response:
        """Take an address into use again that was given up because of what came back, for all who have it."""
        given = read_body(await request.body(), AddressToLift)
        request.state.about = given.address
        request.state.reason = given.reason
        actor = request.user.actor
        assert isinstance(actor, Actor)
        async with self._database.transaction() as tx:
            customers = await notify.lift_suppression(
                tx, channel=given.channel, value=given.address, actor=actor, reason=given.reason
            )
        return json_response(Lifted(customers))

    @needs("deliveries.read")
    @call(gives=Seeds)
    async def seeds(self, _: Request) -> Response:
        """The colleagues who are told first when an update is held after its first hundredth."""
        async with self._database.snapshot() as tx:
            return json_response(Seeds(await notify.seeds_now(tx)))

    @needs("seeds.manage")
    @call(takes=SeedList, gives=Seeds, refuses=_NO_CUSTOMER)
    async def set_seeds(self, request: Request) -> Response:
        """Make these customers, and no others, the colleagues who are told first."""
        given = read_body(await request.body(), SeedList)
        request.state.about = ", ".join(given.customers)[:300]
        async with self._database.transaction() as tx:
            await notify.set_seeds(tx, given.customers)
            return json_response(Seeds(await notify.seeds_now(tx)))

    @needs("deliveries.read")
    @call(gives=StrayReports, query=StrayQuery)
    async def stray(self, request: Request) -> Response:
        """Bounces, receipts and complaints that belong to no delivery we know."""
        wanted = read_query(request.query_params.multi_items(), StrayQuery)
        async with self._database.snapshot() as tx:
            reports, following = await notify.stray_reports(tx, before=wanted.before, limit=wanted.limit)
        return json_response(StrayReports(reports, following))
