"""Following a case without signing in: finding it, reading it, and everything its owner can do there. No script needed.

It speaks HTTP and opens the transactions; what a link shows and what it may change is decided in `claims.tracking` and
`claims.additions`. Whoever holds the link is asked nothing more, so no form here needs a token of its own.
"""

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from claims import additions, answering, appointments, claiming
from claims.cases import hold, unfinished
from claims.compensating import set_account
from claims.drawing import Look, language_for, local_moment, page, read_all
from claims.letters import Writer
from claims.links import Link, current_turn, give_up, person_token, read_link, track_token
from claims.offering import answer
from claims.ports import Outage, OutageLookup
from claims.receipts import grouped, read_receipt
from claims.submissions import LARGEST_BODY, is_form_name, read_form
from claims.tracking import Followed, follow, read_case_number, recognise
from foundation.access import for_anybody
from foundation.clock import Clock
from foundation.database import Database, Tx, driver
from foundation.errors import Conflict, Invalid, Refusal
from foundation.tokens import Tokens

_Act = Callable[["_Visit"], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class _Visit:
    """Somebody with a working link does something: in this transaction, with these fields."""

    tx: Tx
    link: Link
    case: Followed
    typed: Mapping[str, str]
    language: str
    now: datetime


def routes(
    *, database: Database, tokens: Tokens, outages: OutageLookup, clock: Clock, look: Look, writer: Writer
) -> list[BaseRoute]:
    """The routes of following a case."""
    finding = _Finding(database, tokens, look)
    pages = _CasePages(database, outages, clock, look, writer)
    return [
        Route("/track", finding.ask, methods=["GET"]),
        Route("/track", finding.find, methods=["POST"]),
        Route("/t/{token}", pages.show, methods=["GET"]),
        Route("/t/{token}/data", pages.data, methods=["GET"]),
        *(Route(f"/t/{{token}}/{name}", pages.acting(name), methods=["POST"]) for name in pages.acts),
    ]


class _Finding:
    """From a receipt or a case's number, and one known fact, to the link."""

    def __init__(self, database: Database, tokens: Tokens, look: Look) -> None:
        self._database = database
        self._tokens = tokens
        self._look = look

    @for_anybody
    async def ask(self, request: Request) -> Response:
        return page(self._look, request, "claims/track.html", receipt="", fact="", failed=False)

    @for_anybody
    async def find(self, request: Request) -> Response:
        typed = read_form(await read_all(request.receive, LARGEST_BODY))
        named, fact = typed.get("receipt", ""), typed.get("fact", "")
        found, turn = None, 0
        # Too often is answered like wrong: whether the receipt exists is nobody's to find out.
        if may_try := self._may_try(request, named, fact):
            async with self._database.transaction() as tx:
                found = await recognise(tx, named, fact[:320])
                turn = await current_turn(tx, found or "")
        if found is None:
            status = 422 if may_try else 429
            return page(self._look, request, "claims/track.html", status=status, receipt=named, fact=fact, failed=True)
        language = language_for(self._look, request, typed.get("language"))
        token = track_token(self._tokens, found, turn=turn)
        return RedirectResponse(f"/t/{token}?lang={language}", 303, headers=self._look.headers)

    def _may_try(self, request: Request, named: str, fact: str) -> bool:
        """A receipt cannot be guessed, a number can be counted: there the fact may not be tried on many either."""
        number = read_case_number(named)
        if read_receipt(named) or not number:
            return self._look.may_try(request.scope, read_receipt(named) or "")
        tried = hashlib.sha256(fact.strip().lower().encode("utf-8", "replace")).hexdigest()
        by_number = self._look.may_try(request.scope, number)
        return self._look.may_try(request.scope, f"fact {tried}") and by_number


class _CasePages:
    """One case, by its link."""

    def __init__(
        self,
        database: Database,
        outages: OutageLookup,
        clock: Clock,
        look: Look,
        writer: Writer,
    ) -> None:
        self._database = database
        self._tokens = writer.tokens
        self._outages = outages
        self._clock = clock
        self._look = look
        self._writer = writer
        self.acts: Mapping[str, _Act] = {
            "add": self._add,
            "reach": self._reach,
            "person": self._person,
            "withdraw": self._withdraw,
            "appeal": self._appeal,
            "feedback": self._feedback,
            "account": self._account,
            "offer": self._offer,
            "new-link": self._new_link,
        }

    @for_anybody
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @for_anybody
    async def data(self, request: Request) -> Response:
        """Everything this link shows, for its holder to keep."""
        link, case = await self._follow(request)
        if link is None or case is None:
            return page(self._look, request, "claims/unknown.html", status=404)
        content = msgspec.json.format(msgspec.json.encode(case), indent=2)
        name = f"case-{case.case_number or 'received'}.json"
        headers = {**self._look.headers, "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/json", headers=headers)

    def acting(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler of one act: does it, and shows the case again, with what is wrong when it cannot be done."""

        @for_anybody
        async def act(request: Request) -> Response:
            typed = read_form(await read_all(request.receive, LARGEST_BODY))
            link = read_link(self._tokens, request.path_params["token"])
            if link is None:
                return page(self._look, request, "claims/unknown.html", status=404)
            language = language_for(self._look, request, typed.get("language"))
            try:
                async with self._database.transaction() as tx:
                    case = await follow(tx, link, now=self._clock())
                    if case is None:
                        return page(self._look, request, "claims/unknown.html", status=404)
                    onward = await self.acts[name](_Visit(tx, link, case, typed, language, self._clock()))
            except Invalid as refused:
                return await self._page(request, refused=refused, act=name, typed=typed, status=422)
            except Conflict as refused:
                return await self._page(request, refused=refused, act=name, typed=typed, status=409)
            token = onward or request.path_params["token"]
            return RedirectResponse(f"/t/{token}?lang={language}&did={name}", 303, headers=self._look.headers)

        return act

    async def _add(self, visit: _Visit) -> str:
        form = visit.typed.get("form", "")
        key = f"add:{visit.link.name}:{form}" if is_form_name(form) else None
        await additions.add(
            visit.tx,
            visit.link,
            visit.case,
            visit.typed.get("message", ""),
            language=visit.language,
            key=key,
            now=visit.now,
        )
        return ""

    async def _reach(self, visit: _Visit) -> str:
        await additions.set_reach(
            visit.tx, visit.case.own_contacts, visit.typed.get("address", ""), language=visit.language, now=visit.now
        )
        return ""

    async def _person(self, visit: _Visit) -> str:
        number, contact = _number(visit.case), _own_contact(visit.case)
        at = local_moment(visit.typed.get("at", ""), self._look.zone)
        case = await hold(visit.tx, number)
        made = await appointments.promise(
            visit.tx,
            additions.CUSTOMER,
            case,
            contact,
            now=visit.now,
            at=at,
            phone=visit.typed.get("phone", ""),
            wish=visit.typed.get("wish", ""),
        )
        await answering.tell_appointment(
            visit.tx, additions.CUSTOMER, self._writer, case, contact, at=made.at, phone=made.phone, agent=made.agent
        )
        return ""

    async def _withdraw(self, visit: _Visit) -> str:
        own = visit.case.own_contacts
        await claiming.withdraw(visit.tx, additions.CUSTOMER, own, now=visit.now)
        case = await hold(visit.tx, _number(visit.case))
        connection = await driver(visit.tx)
        await appointments.cancel_all(connection, own, now=visit.now)
        if not await unfinished(connection, case.id):
            await connection.execute(
                "UPDATE cases SET state = 'closed', closed_at = $2 WHERE id = $1 AND state = 'open'", case.id, visit.now
            )
        return ""

    async def _appeal(self, visit: _Visit) -> str:
        decision = visit.typed.get("decision", "")
        theirs = {one.id for claim in visit.case.claims for one in claim.decisions if one.may_appeal}
        if not (decision.isascii() and decision.isdigit()) or int(decision) not in theirs:
            raise Conflict("This decision cannot be appealed, or you did that already.", code="no_appeal")
        await claiming.appeal(visit.tx, additions.CUSTOMER, int(decision), visit.typed.get("words", ""), now=visit.now)
        return ""

    async def _feedback(self, visit: _Visit) -> str:
        score = visit.typed.get("score", "")
        await additions.give_feedback(
            visit.tx,
            visit.link,
            visit.case,
            score=int(score) if score in ("1", "2", "3", "4", "5") else None,
            words=visit.typed.get("words", ""),
            language=visit.language,
            now=visit.now,
        )
        return ""

    async def _offer(self, visit: _Visit) -> str:
        wanted, said = visit.typed.get("offer", ""), visit.typed.get("answer", "")
        theirs = {str(one.id): one.id for one in visit.case.offers}
        if wanted not in theirs or said not in ("accept", "decline"):
            raise Conflict("This offer cannot be answered any more.", code="offer_over")
        await answer(
            visit.tx,
            additions.CUSTOMER,
            self._writer,
            theirs[wanted],
            "accept" if said == "accept" else "decline",
            now=visit.now,
        )
        return ""

    async def _account(self, visit: _Visit) -> str:
        wanted = visit.typed.get("entitlement", "")
        theirs = {str(one.id): one.id for one in visit.case.entitlements if one.pays == "account"}
        if not visit.case.may_name_account or wanted not in theirs:
            fault = "Open the link in the mail that we sent to your own address, and say there where we may pay to."
            raise Conflict(fault, code="not_by_this_link")
        case = await hold(visit.tx, _number(visit.case))
        name, iban = visit.typed.get("account_name", ""), visit.typed.get("iban", "")
        await set_account(visit.tx, additions.CUSTOMER, case, [theirs[wanted]], name=name, iban=iban)
        return ""

    async def _new_link(self, visit: _Visit) -> str:
        turn, link = await give_up(visit.tx, visit.link), visit.link
        if link.kind == "person":
            return person_token(self._tokens, link.incident_id, link.customer_id, turn=turn)
        return track_token(self._tokens, link.receipt, turn=turn, kind=link.kind)

    async def _follow(self, request: Request) -> tuple[Link | None, Followed | None]:
        link = read_link(self._tokens, request.path_params["token"])
        if link is None:
            return None, None
        async with self._database.snapshot() as tx:
            return link, await follow(tx, link, now=self._clock())

    async def _page(
        self,
        request: Request,
        *,
        status: int = 200,
        refused: Refusal | None = None,
        act: str = "",
        typed: Mapping[str, str] | None = None,
    ) -> Response:
        link, case = await self._follow(request)
        if link is None or case is None:
            return page(self._look, request, "claims/unknown.html", status=404)
        outage = promise = None
        if case.incident_id is not None:
            async with self._database.snapshot() as tx:
                outage, promise = await self._about(tx, case.incident_id)
        did = request.query_params.get("did", "")
        return page(
            self._look,
            request,
            "claims/case.html",
            status=status,
            case=case,
            token=request.path_params["token"],
            whole=link.kind == "person",
            receipt=grouped(link.receipt),
            outage=outage,
            promise=promise,
            now=self._clock(),
            soonest=(self._clock() + timedelta(hours=1)).astimezone(ZoneInfo(self._look.zone)),
            refused=refused,
            act=act,
            typed=defaultdict(str, typed or {}),
            did=did if did in (*self.acts, "files") else "",
            form_name=hashlib.sha256(f"{case.case_number}{self._clock().isoformat()}".encode()).hexdigest()[:16],
        )

    async def _about(self, tx: Tx, incident_id: str) -> tuple[Outage | None, datetime | None]:
        """The incident, once the public knows of it, and by when more will be said; a lapsed promise is none."""
        if incident_id not in await self._outages.public(tx, {incident_id}):
            return None, None
        promise = await self._outages.next_update_at(tx, incident_id)
        outage = (await self._outages.outages(tx, {incident_id}))[incident_id]
        return outage, promise if promise is not None and promise > self._clock() else None


def _number(case: Followed) -> str:
    if case.case_number is None:
        raise Conflict("Your message is being sorted. Please try again in a minute.", code="not_sorted_yet")
    return case.case_number


def _own_contact(case: Followed) -> int:
    if not case.own_contacts:
        raise Conflict("There is no message of yours in this case yet. Write to us first.", code="no_contact")
    return case.own_contacts[0]
