"""Cases in the console: the queue, search, and one case with everything that can be done to it.

It shows what `claims` tells and hands it what agents type; a refused form comes back with what was typed in it. Every
page works without its script.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import every, read_body, read_form
from app.outages import Outages
from app.staff.accounts import case_worker
from claims import agents, answering, appointments, regrouping, review
from claims.case_view import show_case
from claims.cases import close, hold, live_version, reopen
from claims.deciding import decide
from claims.desk_api import actor, shown_name
from claims.drawing import local_moment
from claims.letters import Writer
from claims.outcomes import NEXT_STEPS, OUTCOMES, REASONS, Ruling
from claims.queues import QueueFilter, queue, read_queue_filter, take, totals
from claims.saved_replies import saved_replies
from claims.searching import search
from claims.settling import settle
from claims.submissions import ASKS_FOR
from claims.timelines import timeline
from foundation.access import needs
from foundation.database import Tx, driver
from foundation.errors import Conflict, Fault, Invalid, Refusal
from foundation.languages import SPOKEN
from notify import customer_cards

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Deed:
    """What an agent sends: to this case, in this transaction."""

    request: Request
    tx: Tx
    number: str
    typed: Mapping[str, str]
    body: bytes
    now: datetime

    @property
    def version(self) -> int | None:
        """The version of the case that the agent had before their eyes."""
        text = self.typed.get("version", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def routes(desk: Desk, writer: Writer) -> list[BaseRoute]:
    """The pages of cases."""
    pages = _CasePages(desk, writer)
    one = "/desk/cases/{number}"
    return [
        Route("/desk/cases", pages.queue, methods=["GET"]),
        Route("/desk/cases/take", pages.take, methods=["POST"]),
        Route("/desk/cases/me", pages.describe, methods=["POST"]),
        Route(one, pages.case, methods=["GET"]),
        Route(f"{one}/present", pages.present, methods=["GET"]),
        *(Route(f"{one}/{name}", pages.doing(name), methods=["POST"]) for name in pages.deeds),
    ]


class _CasePages:
    def __init__(self, desk: Desk, writer: Writer) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._writer = writer
        self._outages = Outages(desk.parts.clock)
        self.deeds: Mapping[str, Callable[[_Deed], Awaitable[str]]] = {
            "reply": self._reply,
            "decide": self._decide,
            "assign": self._assign,
            "mine": self._take_over,
            "promise": self._promise,
            "end": self._end,
            "close": self._close,
            "reopen": self._reopen,
            "merge": self._merge,
            "split": self._split,
            "different": self._different,
            "undo": self._undo,
        }

    @needs("cases.read")
    async def queue(self, request: Request) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("q", "whose", "kind", "language", "incident")}
        name = actor(request).name
        found = None
        async with self._database.snapshot() as tx:
            if asked["q"]:
                found = await search(tx, asked["q"])
            if found is not None and len(found) == 1:
                return self._desk.to(f"/desk/cases/{found[0].number}")
            waiting = [] if found is not None else await queue(tx, read_queue_filter(request.query_params, name))
            counts = await totals(tx, name, now=self._clock())
            me = await agents.find(tx, name)
            colleagues = {one.name: one.shown_name for one in await agents.everybody(tx)}
            titles = await self._outages.outages(tx, {one.incident_id for one in [*waiting, *(found or ())]})
            cards = await customer_cards(tx, {one.customer_id for one in waiting if one.customer_id is not None})
        return self._desk.scripted_page(
            request,
            "app/cases.html",
            asked=asked,
            found=found,
            waiting=waiting,
            counts=counts,
            me=me,
            colleagues=colleagues,
            titles=titles,
            cards=cards,
            kinds=ASKS_FOR,
            spoken=SPOKEN,
            now=self._clock(),
        )

    @needs("cases.work")
    async def take(self, request: Request) -> Response:
        typed = await read_form(request)
        name, now = actor(request).name, self._clock()
        async with self._database.transaction() as tx:
            me = await agents.come_in(tx, name, shown_name(request), now=now)
            wanted = read_queue_filter({**typed, "whose": "nobody"}, name)
            case = await take(tx, actor(request), _mine(wanted, me), now=now)
        if case is None:
            return self._desk.to("/desk/cases?whose=nobody")
        request.state.about = case.number
        return self._desk.to(f"/desk/cases/{case.number}")

    @needs("cases.work")
    async def describe(self, request: Request) -> Response:
        body, typed = await read_body(request), await read_form(request)
        name = actor(request).name
        async with self._database.transaction() as tx:
            await agents.come_in(tx, name, shown_name(request), now=self._clock())
            await agents.describe(
                tx,
                name,
                languages=every(body, "languages"),
                skills=every(body, "skills"),
                on_duty=bool(typed.get("on_duty")),
            )
        return self._desk.to("/desk/cases")

    @needs("cases.read")
    async def case(self, request: Request) -> Response:
        return await self._page(request)

    @needs("cases.work")
    async def present(self, request: Request) -> Response:
        """Who else has the case open, and its version; asked by the page again and again."""
        async with self._database.transaction() as tx:
            row = await live_version(tx, request.path_params["number"])
            others = await agents.see(tx, row[0], actor(request).name, shown_name(request), now=self._clock())
        return JSONResponse({"others": others, "version": row[1]}, headers={"Cache-Control": "no-store"})

    def doing(self, name: str) -> Handler:
        """The handler of one deed: does it and shows the case, or shows what is wrong with what was typed."""

        @needs("cases.work")
        async def do(request: Request) -> Response:
            body, typed = await read_body(request), await read_form(request)
            try:
                async with self._database.transaction() as tx:
                    deed = _Deed(request, tx, request.path_params["number"], typed, body, self._clock())
                    await agents.come_in(tx, actor(request).name, shown_name(request), now=deed.now)
                    onward = await self.deeds[name](deed)
            except Invalid as refused:
                return await self._page(request, 422, refused=refused, deed=name, typed=typed)
            except Conflict as refused:
                return await self._page(request, 409, refused=refused, deed=name, typed=typed)
            return self._desk.to(onward or f"/desk/cases/{deed.number}?did={name}")

        return do

    async def _reply(self, deed: _Deed) -> str:
        case = await hold(deed.tx, deed.number, version=deed.version)
        await answering.reply(
            deed.tx,
            actor(deed.request),
            self._writer,
            case,
            deed.typed.get("text", ""),
            agent=shown_name(deed.request),
            contact_ids=_numbers(every(deed.body, "contacts")),
            subject=deed.typed.get("subject", ""),
        )
        return ""

    async def _decide(self, deed: _Deed) -> str:
        typed, kind = deed.typed, deed.typed.get("kind", "")
        if kind not in ASKS_FOR:
            raise Invalid("Choose what you decide on.", [Fault("kind", "Choose what you decide on.")])
        ruling = Ruling(
            typed.get("outcome", ""), typed.get("reason", ""), typed.get("text", ""), every(deed.body, "next_steps")
        )
        who = actor(deed.request)
        case = await hold(deed.tx, deed.number, version=deed.version)
        decided = await decide(deed.tx, who, case, kind, ruling, now=deed.now)
        await answering.tell_decision(deed.tx, who, self._writer, case, decided, agent=shown_name(deed.request))
        return ""

    async def _assign(self, deed: _Deed) -> str:
        wanted = deed.typed.get("agent") or None
        case = await hold(deed.tx, deed.number, version=deed.version)
        if wanted is not None and await agents.find(deed.tx, wanted) is None:
            name = await case_worker(deed.tx, wanted)
            if name is not None:
                await agents.come_in(deed.tx, wanted, name, now=deed.now)
        await agents.assign(deed.tx, actor(deed.request), case, wanted, now=deed.now)
        return ""

    async def _take_over(self, deed: _Deed) -> str:
        case = await hold(deed.tx, deed.number, version=deed.version)
        await agents.assign(deed.tx, actor(deed.request), case, actor(deed.request).name, now=deed.now)
        return ""

    async def _promise(self, deed: _Deed) -> str:
        contact = _numbers([deed.typed.get("contact", "")])
        if not contact:
            raise Invalid("Nobody in this case has written yet, so there is nobody to promise anything.")
        case = await hold(deed.tx, deed.number, version=deed.version)
        made = await appointments.promise(
            deed.tx,
            actor(deed.request),
            case,
            contact[0],
            now=deed.now,
            at=local_moment(deed.typed.get("at", ""), self._desk.parts.settings.page_time_zone),
            phone=deed.typed.get("phone", ""),
            wish=deed.typed.get("wish", ""),
        )
        await answering.tell_appointment(
            deed.tx, actor(deed.request), self._writer, case, contact[0], at=made.at, phone=made.phone, agent=made.agent
        )
        return ""

    async def _end(self, deed: _Deed) -> str:
        ending = deed.typed.get("ending", "")
        if ending not in ("kept", "not_reached", "cancelled"):
            raise Invalid("Say how it went.")
        case = await hold(deed.tx, deed.number)
        [appointment] = _numbers([deed.typed.get("appointment", "")]) or [0]
        await appointments.end(
            deed.tx,
            actor(deed.request),
            case,
            appointment,
            ending,  # type: ignore[arg-type]  # one of the three
            note=deed.typed.get("note", ""),
            now=deed.now,
        )
        return ""

    async def _close(self, deed: _Deed) -> str:
        case = await hold(deed.tx, deed.number, version=deed.version)
        was_open = case.state == "open"
        await close(deed.tx, actor(deed.request), case, now=deed.now)
        if was_open:
            await answering.tell_closing(deed.tx, actor(deed.request), self._writer, case)
        return "/desk/cases"

    async def _reopen(self, deed: _Deed) -> str:
        case = await hold(deed.tx, deed.number)
        await reopen(await driver(deed.tx), [case.id], {"because": "desk", "by": str(actor(deed.request))})
        return ""

    async def _merge(self, deed: _Deed) -> str:
        done = await regrouping.merge(
            deed.tx, actor(deed.request), deed.number, deed.typed.get("other", "").strip(), deed.typed.get("why", "")
        )
        await settle(deed.tx, [move.contact_id for move in done.moves])
        return f"/desk/cases/{done.numbers[0]}?did=merge"

    async def _split(self, deed: _Deed) -> str:
        contacts = _numbers(every(deed.body, "contacts"))
        done = await regrouping.split(deed.tx, actor(deed.request), deed.number, contacts, deed.typed.get("why", ""))
        await settle(deed.tx, [move.contact_id for move in done.moves])
        deed.request.state.about = " and ".join(done.numbers)
        return f"/desk/cases/{deed.number}?did=split"

    async def _different(self, deed: _Deed) -> str:
        await regrouping.cannot_link(
            deed.tx, actor(deed.request), deed.number, deed.typed.get("other", "").strip(), deed.typed.get("why", "")
        )
        return ""

    async def _undo(self, deed: _Deed) -> str:
        [decision] = _numbers([deed.typed.get("decision", "")]) or [0]
        done = await regrouping.undo(deed.tx, actor(deed.request), decision, deed.typed.get("why", ""))
        await settle(deed.tx, [move.contact_id for move in done.moves])
        return ""

    async def _page(
        self,
        request: Request,
        status: int = 200,
        *,
        refused: Refusal | None = None,
        deed: str = "",
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        now, name = self._clock(), actor(request).name
        async with self._database.snapshot() as tx:
            shown = await show_case(tx, request.path_params["number"], now=now)
            if shown["number"] != request.path_params["number"].upper() and not refused:
                return self._desk.to(f"/desk/cases/{shown['number']}")
            saved = await saved_replies(tx, _language(shown))
            colleagues = await agents.everybody(tx)
            decided = await regrouping.decisions_about(tx, shown["number"])
            near = await review.grey_pairs(tx, incident_id=shown["incident_id"], number=shown["number"], limit=3)
            outage = (await self._outages.outages(tx, {shown["incident_id"]})).get(shown["incident_id"])
        others: list[str] = []
        if "cases.work" in request.auth.scopes:
            async with self._database.transaction() as tx:
                row = await live_version(tx, shown["number"])
                others = await agents.see(tx, row[0], name, shown_name(request), now=now)
        return self._desk.scripted_page(
            request,
            "app/case.html",
            status,
            case=shown,
            story=timeline(shown),
            outage=outage,
            saved=saved,
            colleagues={one.name: one.shown_name for one in colleagues},
            decided=decided,
            near=near,
            others=others,
            kinds=ASKS_FOR,
            outcomes=OUTCOMES,
            reasons=REASONS,
            next_steps=[step for step in NEXT_STEPS if step != "none_needed"],
            spoken=_language(shown),
            refused=refused,
            deed=deed,
            typed=defaultdict(str, typed or {}),
            did=request.query_params.get("did", ""),
            now=now,
        )


def _mine(wanted: QueueFilter, me: agents.Agent) -> QueueFilter:
    """`wanted`, kept to what somebody speaks and knows where it says nothing itself."""
    return replace(wanted, languages=wanted.languages or me.languages, kinds=wanted.kinds or me.skills)


def _language(shown: Mapping[str, Any]) -> str:
    """The language to write in: the customer's own, else that of the newest contact."""
    if shown["customer"] is not None:
        return str(shown["customer"].language)[:2]
    return str(shown["contacts"][-1]["language"]) if shown["contacts"] else "en"


def _numbers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 18]
