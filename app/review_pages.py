"""Who is whom, in the console: pairs of contacts that resemble each other, side by side, for a person to answer.

What makes a pair, and what an answer does, is `claims`' to say.
"""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import read_form
from app.outages import Outages
from claims import review
from claims.case_view import contacts_of
from claims.desk_api import actor
from claims.settling import settle
from foundation.access import needs
from foundation.errors import Conflict, Invalid, NotFound, Refusal

_AT_ONCE = 5


def routes(desk: Desk) -> list[BaseRoute]:
    """The pages of review."""
    pages = _ReviewPages(desk)
    return [
        Route("/desk/review", pages.show, methods=["GET"]),
        Route("/desk/review", pages.answer, methods=["POST"]),
    ]


class _ReviewPages:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._outages = Outages(desk.parts.clock)

    @needs("cases.read")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("cases.work")
    async def answer(self, request: Request) -> Response:
        typed = await read_form(request)
        one, other, said = _number(typed.get("one", "")), _number(typed.get("other", "")), typed.get("answer", "")
        if said == "later":
            return self._desk.to(f"/desk/review?{urlencode({'after': f'{one}-{other}'})}")
        try:
            async with self._database.transaction() as tx:
                done = await review.answer(
                    tx, actor(request), one, other, same=said == "same", reason=typed.get("why", "")
                )
                await settle(tx, [move.contact_id for move in done.moves])
        except (Invalid, Conflict, NotFound) as refused:
            return await self._page(request, 422, refused=refused)
        request.state.about = " and ".join(done.numbers)
        return self._desk.to("/desk/review?did=answer")

    async def _page(self, request: Request, status: int = 200, *, refused: Refusal | None = None) -> Response:
        first, _, second = request.query_params.get("after", "").partition("-")
        after = (_number(first), _number(second))
        async with self._database.snapshot() as tx:
            pairs = await review.grey_pairs(tx, after=after, limit=_AT_ONCE)
            waiting = await review.count_grey_pairs(tx)
            contacts = await contacts_of(tx, {one for pair in pairs for one in (pair.one_id, pair.other_id)})
            titles = await self._outages.outages(tx, {pair.incident_id for pair in pairs})
        return self._desk.scripted_page(
            request,
            "app/review.html",
            status,
            pairs=pairs,
            waiting=waiting,
            contacts=contacts,
            titles=titles,
            refused=refused,
            did=request.query_params.get("did", ""),
        )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
