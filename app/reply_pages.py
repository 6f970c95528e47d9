"""Replies in the console: texts that agents start from, and one answer to many cases at once."""

from collections import defaultdict
from secrets import token_urlsafe

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import read_form
from app.outages import Outages
from claims.desk_api import actor, shown_name
from claims.letters import Writer
from claims.mass_replies import Chosen, Sent, reply_to_many
from claims.saved_replies import archive, save, saved_replies
from claims.submissions import ASKS_FOR
from foundation.access import needs
from foundation.errors import Conflict, Invalid, Refusal
from foundation.languages import SPOKEN


def routes(desk: Desk, writer: Writer) -> list[BaseRoute]:
    """The pages of replies."""
    pages = _ReplyPages(desk, writer)
    return [
        Route("/desk/replies", pages.show, methods=["GET"]),
        Route("/desk/replies", pages.save, methods=["POST"]),
        Route("/desk/replies/archive", pages.archive, methods=["POST"]),
        Route("/desk/replies/many", pages.send, methods=["POST"]),
    ]


class _ReplyPages:
    def __init__(self, desk: Desk, writer: Writer) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._writer = writer
        self._outages = Outages(desk.parts.clock)

    @needs("cases.work")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("cases.work")
    async def save(self, request: Request) -> Response:
        typed = await read_form(request)
        try:
            async with self._database.transaction() as tx:
                await save(
                    tx,
                    actor(request),
                    name=typed.get("name", ""),
                    language=typed.get("language", ""),
                    words=typed.get("text", ""),
                    kind=typed.get("kind") or None,
                )
        except Invalid as refused:
            return await self._page(request, 422, refused=refused, typed=typed)
        return self._desk.to("/desk/replies")

    @needs("cases.work")
    async def archive(self, request: Request) -> Response:
        text = (await read_form(request)).get("id", "")
        async with self._database.transaction() as tx:
            await archive(tx, int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0)
        return self._desk.to("/desk/replies")

    @needs("cases.work")
    async def send(self, request: Request) -> Response:
        typed = await read_form(request)
        texts = {
            language: (typed.get(f"subject_{language}", ""), typed.get(f"text_{language}", ""))
            for language in SPOKEN
            if typed.get(f"subject_{language}", "").strip() or typed.get(f"text_{language}", "").strip()
        }
        chosen = Chosen(
            typed.get("incident", ""),
            typed.get("numbers", "").split(),
            typed.get("kind", ""),
            bool(typed.get("waiting")),
        )
        try:
            async with self._database.transaction() as tx:
                sent = await reply_to_many(
                    tx,
                    actor(request),
                    self._writer,
                    chosen,
                    texts,
                    key=typed.get("form", "")[:100] or token_urlsafe(12),
                    agent=shown_name(request),
                )
        except (Invalid, Conflict) as refused:
            return await self._page(request, 422, refused=refused, typed=typed)
        request.state.about = f"{sent.cases} cases, {sent.persons} persons"
        return await self._page(request, sent=sent)

    async def _page(
        self,
        request: Request,
        status: int = 200,
        *,
        refused: Refusal | None = None,
        typed: dict[str, str] | None = None,
        sent: Sent | None = None,
    ) -> Response:
        async with self._database.snapshot() as tx:
            saved = await saved_replies(tx)
            outages = [*await self._outages.open_outages(tx), *await self._outages.past_outages(tx)]
        return self._desk.page(
            request,
            "app/replies.html",
            status,
            saved=saved,
            outages=outages,
            kinds=ASKS_FOR,
            spoken=SPOKEN,
            refused=refused,
            typed=defaultdict(str, typed or {}),
            sent=sent,
            form_name=token_urlsafe(12),
        )
