"""Offers in a case, at the desk: make one with what must be true first, see how it stands, note that a party agreed."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import moment_in, read_form
from claims import offers
from claims.case_view import show_case
from claims.cases import hold, live_version
from claims.desk_api import actor
from claims.letters import Writer
from claims.offering import withdraw
from claims.offers import KINDS, Condition
from foundation.access import needs
from foundation.database import Tx, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound, Refusal


def routes(desk: Desk, writer: Writer) -> list[BaseRoute]:
    """The page of offers in a case."""
    pages = _OfferPages(desk, writer)
    path = "/desk/cases/{number}/offers"
    return [
        Route(path, pages.show, methods=["GET"]),
        *(Route(f"{path}/{name}", pages.doing(name), methods=["POST"]) for name in pages.deeds),
    ]


class _OfferPages:
    def __init__(self, desk: Desk, writer: Writer) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._writer = writer
        self.deeds: Mapping[str, Callable[[Request, Tx, Mapping[str, str]], Awaitable[None]]] = {
            "make": self._make,
            "agreed": self._agreed,
            "end": self._end,
        }

    @needs("cases.work")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    def doing(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler of one deed."""

        @needs("cases.work")
        async def do(request: Request) -> Response:
            typed = await read_form(request)
            try:
                async with self._database.transaction() as tx:
                    await self.deeds[name](request, tx, typed)
            except Invalid as refused:
                return await self._page(request, 422, refused=refused, typed=typed)
            except Conflict as refused:
                return await self._page(request, 409, refused=refused, typed=typed)
            return self._desk.to(f"/desk/cases/{request.path_params['number']}/offers?did={name}")

        return do

    async def _make(self, request: Request, tx: Tx, typed: Mapping[str, str]) -> None:
        zone, now = self._desk.parts.settings.page_time_zone, self._clock()
        conditions = []
        component, party = typed.get("component") or None, typed.get("party") or None
        if component:
            conditions.append(Condition("component_works", component))
        if component and party and typed.get("restored"):
            conditions.append(Condition("party_restored", component, party))
        if party and typed.get("agreed"):
            conditions.append(Condition("party_agreed", None, party))
        answer_by = moment_in(typed, "answer_by", zone)
        if answer_by is None:
            fault = "Say until when it can be accepted."
            raise Invalid(fault, [Fault("answer_by", fault)])
        case = await hold(tx, request.path_params["number"])
        contact = await (await driver(tx)).fetchval(
            "SELECT id FROM contacts WHERE case_id = $1 ORDER BY answer_by IS NULL, received_at DESC, id DESC LIMIT 1",
            case.id,
        )
        await offers.make(
            tx,
            actor(request),
            case,
            typed.get("kind", ""),
            words=typed.get("words", ""),
            conditions=conditions,
            contact_id=contact,
            at=moment_in(typed, "at", zone),
            answer_by=answer_by,
            now=now,
        )

    async def _agreed(self, request: Request, tx: Tx, typed: Mapping[str, str]) -> None:
        case = await hold(tx, request.path_params["number"])
        condition, agreed = _number(typed.get("condition", "")), typed.get("agreed") == "yes"
        await offers.agree(tx, actor(request), case, condition, agreed=agreed, now=self._clock())

    async def _end(self, request: Request, tx: Tx, typed: Mapping[str, str]) -> None:
        case, wanted = await hold(tx, request.path_params["number"]), _number(typed.get("offer", ""))
        found = {one.id: one for one in await offers.offers_in(tx, case.id)}.get(wanted)
        if found is None:
            raise NotFound("There is no such offer in this case.", code="no_such_offer")
        if found.state == "held":
            await offers.cancel(tx, actor(request), case, wanted, now=self._clock())
        elif not await withdraw(tx, actor(request), self._writer, wanted, now=self._clock()):
            raise Conflict("This offer was ended before.", code="offer_over")

    async def _page(
        self,
        request: Request,
        status: int = 200,
        *,
        refused: Refusal | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        now = self._clock()
        async with self._database.snapshot() as tx:
            case = await show_case(tx, request.path_params["number"], now=now)
            live, _ = await live_version(tx, case["number"])
            made = await offers.offers_in(tx, live)
            choices = await offers.choices(tx, live)
        return self._desk.page(
            request,
            "app/offers.html",
            status,
            case=case,
            offers=made,
            components=choices[0],
            parties=choices[1],
            kinds=KINDS,
            typed=defaultdict(str, typed or {}),
            refused=refused,
            did=request.query_params.get("did", ""),
        )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
