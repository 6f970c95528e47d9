"""The desk's calls under /api/v1: reading cases and working on them. It speaks HTTP and opens the transactions.

Whatever a page of the desk does goes through the same use cases; none of them commits.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from claims import agents, answering, appointments
from claims.advance import open_in_advance
from claims.answers import (
    CasePage,
    CaseShown,
    Done,
    OpenedInAdvance,
    Promised,
    QueuePage,
    QueueRow,
    Replied,
    SavedReplyShown,
    SentToMany,
)
from claims.case_view import show_case
from claims.cases import Held, close, hold, reopen
from claims.deciding import decide
from claims.desk import CaseQuery, list_cases
from claims.desk_bodies import (
    AdvanceBody,
    AppointmentBody,
    AssignBody,
    CloseBody,
    DecideBody,
    EndBody,
    ManyBody,
    QueueQuery,
    ReplyBody,
    SavedReplyBody,
    VersionBody,
)
from claims.drawing import json_answer
from claims.letters import Writer
from claims.mass_replies import Chosen, reply_to_many
from claims.outcomes import Ruling
from claims.ports import AudienceOf, OutageLookup, StaffName
from claims.queues import QueueFilter, queue, take
from claims.saved_replies import save, saved_replies
from claims.submissions import named_incident
from foundation.access import needs
from foundation.actors import Actor
from foundation.calls import call, read_body, read_query
from foundation.clock import Clock
from foundation.database import Database, driver
from foundation.errors import Conflict, Invalid, NotFound

_CHANGED = {NotFound: ("no_such_case",), Conflict: ("case_changed",)}


def routes(
    *,
    database: Database,
    clock: Clock,
    writer: Writer,
    staff_name: StaffName,
    audience: AudienceOf,
    outages: OutageLookup,
) -> list[BaseRoute]:
    """The routes. `staff_name`: who may be given a case; `audience`: whom an incident affects."""
    read = _Reading(database, clock)
    work = _Working(database, clock, writer, staff_name)
    many = _Many(database, clock, writer, audience, outages)
    one = "/api/v1/cases/{number}"
    return [
        Route("/api/v1/cases", read.cases, methods=["GET"]),
        Route("/api/v1/cases", many.open_in_advance, methods=["POST"]),
        Route(one, read.case, methods=["GET"]),
        Route(f"{one}/decide", work.decide, methods=["POST"]),
        Route(f"{one}/reply", work.reply, methods=["POST"]),
        Route(f"{one}/assign", work.assign, methods=["POST"]),
        Route(f"{one}/close", work.close, methods=["POST"]),
        Route(f"{one}/reopen", work.reopen, methods=["POST"]),
        Route(f"{one}/appointments", work.promise, methods=["POST"]),
        Route(f"{one}/appointments/{{id}}", work.end, methods=["POST"]),
        Route("/api/v1/queue", read.queue, methods=["GET"]),
        Route("/api/v1/queue/take", many.take, methods=["POST"]),
        Route("/api/v1/mass-replies", many.reply, methods=["POST"]),
        Route("/api/v1/saved-replies", read.saved, methods=["GET"]),
        Route("/api/v1/saved-replies", many.save, methods=["POST"]),
    ]


class _Reading:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @needs("cases.read")
    @call(gives=CasePage, query=CaseQuery)
    async def cases(self, request: Request) -> Response:
        """Cases, oldest first, a page at a time."""
        wanted = read_query(request.query_params.multi_items(), CaseQuery).filter()
        async with self._database.snapshot() as tx:
            return json_answer(await list_cases(tx, wanted))

    @needs("cases.read")
    @call(gives=CaseShown, refuses={NotFound: ("no_such_case",)})
    async def case(self, request: Request) -> Response:
        """A case with everything in it. An old number leads to the case it was merged into."""
        async with self._database.snapshot() as tx:
            shown = await show_case(tx, request.path_params["number"], now=self._clock())
        card = shown["customer"]
        return json_answer({**shown, "customer": None if card is None else _without_id(asdict(card))})

    @needs("cases.read")
    @call(gives=QueuePage, query=QueueQuery)
    async def queue(self, request: Request) -> Response:
        """Cases in which somebody waits for us, the soonest promise first."""
        asked = read_query(request.query_params.multi_items(), QueueQuery)
        async with self._database.snapshot() as tx:
            waiting = await queue(tx, _filter(asked, actor(request).name))
        return json_answer({"cases": [QueueRow(**_without(asdict(one), "customer_id")) for one in waiting]})

    @needs("cases.read")
    @call(gives=list[SavedReplyShown])
    async def saved(self, _: Request) -> Response:
        """The texts that agents start from."""
        async with self._database.snapshot() as tx:
            return json_answer([asdict(one) for one in await saved_replies(tx)])


class _Working:
    """What is done to one case."""

    def __init__(self, database: Database, clock: Clock, writer: Writer, staff_name: StaffName) -> None:
        self._database = database
        self._clock = clock
        self._writer = writer
        self._staff_name = staff_name

    @needs("cases.work")
    @call(
        takes=DecideBody,
        gives=Done,
        refuses={
            Invalid: ("decision_incomplete",),
            NotFound: ("no_such_case",),
            Conflict: ("case_changed", "decided_already"),
        },
    )
    async def decide(self, request: Request) -> Response:
        """Decide what a case asks, tell the customer, and stop the clocks of it."""
        body, now = read_body(await request.body(), DecideBody), self._clock()
        ruling = Ruling(body.outcome, body.reason, body.text, body.next_steps)
        async with self._database.transaction() as tx:
            case = await hold(tx, request.path_params["number"], version=body.version)
            decided = await decide(tx, actor(request), case, body.kind, ruling, now=now)
            if body.tell:
                await answering.tell_decision(
                    tx,
                    actor(request),
                    self._writer,
                    case,
                    decided,
                    agent=shown_name(request),
                    language=body.language,
                )
        return _done(case)

    @needs("cases.work")
    @call(takes=ReplyBody, gives=Replied, refuses=_CHANGED)
    async def reply(self, request: Request) -> Response:
        """Answer the customer, by mail or text where there is an address, and on the page of the case."""
        body = read_body(await request.body(), ReplyBody)
        async with self._database.transaction() as tx:
            case = await hold(tx, request.path_params["number"], version=body.version)
            made = await answering.reply(
                tx,
                actor(request),
                self._writer,
                case,
                body.text,
                agent=shown_name(request),
                contact_ids=body.contacts,
                subject=body.subject,
                language=body.language,
            )
        return json_answer(Replied(case.number, case.version, made))

    @needs("cases.work")
    @call(takes=AssignBody, gives=Done, refuses={**_CHANGED, NotFound: ("no_such_case", "no_such_agent")})
    async def assign(self, request: Request) -> Response:
        """Give a case to an agent, or back to everybody."""
        body, now = read_body(await request.body(), AssignBody), self._clock()
        async with self._database.transaction() as tx:
            case = await hold(tx, request.path_params["number"], version=body.version)
            if body.agent is not None and await agents.find(tx, body.agent) is None:
                # They may work cases and have not opened the desk yet.
                name = await self._staff_name(tx, body.agent)
                if name is not None:
                    await agents.come_in(tx, body.agent, name, now=now)
            await agents.assign(tx, actor(request), case, body.agent, now=now)
        return _done(case)

    @needs("cases.work")
    @call(
        takes=CloseBody,
        may_be_empty=True,
        gives=Done,
        refuses={NotFound: ("no_such_case",), Conflict: ("case_changed", "case_unfinished")},
    )
    async def close(self, request: Request) -> Response:
        """Close a case in which nobody waits any more."""
        body = read_body(await request.body() or b"{}", CloseBody)
        async with self._database.transaction() as tx:
            case = await hold(tx, request.path_params["number"], version=body.version)
            was_open = case.state == "open"
            await close(tx, actor(request), case, now=self._clock())
            if body.tell and was_open:
                await answering.tell_closing(tx, actor(request), self._writer, case)
        return _done(case)

    @needs("cases.work")
    @call(takes=VersionBody, may_be_empty=True, gives=Done, refuses=_CHANGED)
    async def reopen(self, request: Request) -> Response:
        """Open a closed case again. What happened in it stays, and so do its clocks."""
        body = read_body(await request.body() or b"{}", VersionBody)
        async with self._database.transaction() as tx:
            case = await hold(tx, request.path_params["number"], version=body.version)
            await reopen(await driver(tx), [case.id], {"because": "desk", "by": str(actor(request))})
        return _done(case)

    @needs("cases.work")
    @call(takes=AppointmentBody, gives=Promised, refuses={**_CHANGED, NotFound: ("no_such_case", "no_such_contact")})
    async def promise(self, request: Request) -> Response:
        """Promise a person and a time, and tell the customer."""
        body = read_body(await request.body(), AppointmentBody)
        async with self._database.transaction() as tx:
            case = await hold(tx, request.path_params["number"], version=body.version)
            made = await appointments.promise(
                tx, actor(request), case, body.contact, now=self._clock(), at=body.at, phone=body.phone, wish=body.wish
            )
            await answering.tell_appointment(
                tx, actor(request), self._writer, case, body.contact, at=made.at, phone=made.phone, agent=made.agent
            )
        return json_answer(Promised(case.number, case.version, made.id, made.agent, made.at))

    @needs("cases.work")
    @call(
        takes=EndBody,
        gives=Done,
        path={"id": int},
        refuses={NotFound: ("no_such_case", "not_found"), Conflict: ("no_such_appointment",)},
    )
    async def end(self, request: Request) -> Response:
        """Say how an appointment went."""
        body = read_body(await request.body(), EndBody)
        async with self._database.transaction() as tx:
            case = await hold(tx, request.path_params["number"])
            await appointments.end(
                tx, actor(request), case, number_in(request, "id"), body.state, note=body.note, now=self._clock()
            )
        return _done(case)


class _Many:
    """What is done to many cases, or to none in particular."""

    def __init__(
        self, database: Database, clock: Clock, writer: Writer, audience: AudienceOf, outages: OutageLookup
    ) -> None:
        self._database = database
        self._clock = clock
        self._writer = writer
        self._audience = audience
        self._outages = outages

    @needs("incidents.declare")
    @call(takes=AdvanceBody, gives=OpenedInAdvance, refuses={NotFound: ("no_such_incident",)})
    async def open_in_advance(self, request: Request) -> Response:
        """Open a case for everybody affected, before anybody writes. Whoever has one keeps it."""
        body = read_body(await request.body(), AdvanceBody)
        async with self._database.transaction() as tx:
            if not await self._outages.outages(tx, {named_incident(body.incident)}):
                raise NotFound("There is no such incident.", code="no_such_incident")
            opened = await open_in_advance(tx, actor(request), named_incident(body.incident), self._audience)
        return json_answer(OpenedInAdvance(opened))

    @needs("cases.work")
    @call(takes=ManyBody, gives=SentToMany, refuses={Conflict: ("sent_already",)})
    async def reply(self, request: Request) -> Response:
        """Answer many cases at once: each person hears once, however many of the cases are theirs."""
        body = read_body(await request.body(), ManyBody)
        chosen = Chosen(body.incident, body.numbers, body.kind, body.waiting)
        texts = {language: (one.subject, one.text) for language, one in body.texts.items()}
        async with self._database.transaction() as tx:
            sent = await reply_to_many(
                tx,
                actor(request),
                self._writer,
                chosen,
                texts,
                key=body.key,
                agent=shown_name(request),
            )
        return json_answer(asdict(sent))

    @needs("cases.work")
    @call(takes=SavedReplyBody, gives=SavedReplyShown)
    async def save(self, request: Request) -> Response:
        """Keep a text that agents can start from."""
        body = read_body(await request.body(), SavedReplyBody)
        async with self._database.transaction() as tx:
            made = await save(
                tx, actor(request), name=body.name, language=body.language, words=body.text, kind=body.kind
            )
        return json_answer(
            SavedReplyShown(made, body.name.strip(), body.language.lower(), body.kind, body.text.strip())
        )

    @needs("cases.work")
    @call(query=QueueQuery, gives=Done | None)
    async def take(self, request: Request) -> Response:
        """Give yourself the most urgent case that is nobody's; null when there is none."""
        asked = read_query(request.query_params.multi_items(), QueueQuery)
        now, name = self._clock(), actor(request).name
        async with self._database.transaction() as tx:
            await agents.come_in(tx, name, shown_name(request), now=now)
            wanted = _filter(msgspec.structs.replace(asked, whose="nobody"), name)
            case = await take(tx, actor(request), wanted, now=now)
        return json_answer(None if case is None else Done(case.number, case.version))


def actor(request: Request) -> Actor:
    """Who asks: the door has let them in, so somebody does."""
    found: Actor = request.user.actor
    return found


def shown_name(request: Request) -> str:
    """The name of who asks, as customers see it."""
    return str(request.user.display_name)


def number_in(request: Request, name: str) -> int:
    """A number in the path. Raises NotFound for anything else."""
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise NotFound("There is nothing of this number.", code="not_found")
    return int(text)


def _filter(asked: QueueQuery, name: str) -> QueueFilter:
    return QueueFilter(
        whose=asked.whose,
        agent=name,
        languages=[asked.language[:2].lower()] if asked.language else [],
        kinds=[asked.kind] if asked.kind else [],
        incident_id=asked.incident[:60].replace("\0", ""),
        limit=asked.limit,
    )


def _done(case: Held) -> Response:
    return json_answer(Done(case.number, case.version))


def _without(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def _without_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return _without(row, "id")
