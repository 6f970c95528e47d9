"""Compensation in a case, at the desk: choose the law, say what happened, see the sum with its working, grant it.

It shows what `claims` works out and hands it what agents type. Everything works without a script.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.desk import Desk
from app.forms import read_form
from claims import answering, compensating
from claims.case_view import show_case
from claims.casebook import lock_incident
from claims.cases import Held, claims_in, hold, live_version
from claims.compensating import Unit
from claims.deciding import decide
from claims.desk_api import actor, shown_name
from claims.entitlement import Assessment, assess
from claims.letters import Writer
from claims.outcomes import Ruling
from claims.recipients import recipient_of
from claims.schemes import CHOICES, FACTS, Fact, Scheme, schemes
from foundation.access import needs
from foundation.database import Tx, driver
from foundation.errors import Conflict, Invalid, Refusal


@dataclass(frozen=True, slots=True)
class _Deed:
    """What an agent sends, in this transaction, about a held case. `known`: the facts they gave."""

    request: Request
    tx: Tx
    case: Held
    typed: Mapping[str, str]
    now: datetime

    @property
    def scheme(self) -> Scheme:
        """The law they chose."""
        return _scheme(self.typed.get("scheme", ""))

    @property
    def known(self) -> dict[str, Fact]:
        """The facts they gave. Raises Invalid."""
        return compensating.read_facts(self.typed)

    @property
    def on(self) -> date:
        """The day it happened, which says which version of the rules counts."""
        return _day(self.typed)


def routes(desk: Desk, writer: Writer) -> list[BaseRoute]:
    """The page of compensation in a case."""
    pages = _CompensationPages(desk, writer)
    path = "/desk/cases/{number}/compensation"
    return [
        Route(path, pages.show, methods=["GET"]),
        Route(path, pages.work_out, methods=["POST"]),
        *(Route(f"{path}/{name}", pages.doing(name), methods=["POST"]) for name in pages.deeds),
    ]


class _CompensationPages:
    def __init__(self, desk: Desk, writer: Writer) -> None:
        self._desk = desk
        self._database = desk.parts.database
        self._clock = desk.parts.clock
        self._writer = writer
        self.deeds: Mapping[str, Callable[[_Deed], Awaitable[None]]] = {
            "grant": self._grant,
            "refuse": self._refuse,
            "void": self._void,
            "account": self._account,
        }

    @needs("cases.work")
    async def show(self, request: Request) -> Response:
        return await self._page(request)

    @needs("cases.work")
    async def work_out(self, request: Request) -> Response:
        """The sum, before anything is done."""
        typed = await read_form(request)
        try:
            found = assess(_scheme(typed.get("scheme", "")), _day(typed), compensating.read_facts(typed))
        except Invalid as refused:
            return await self._page(request, 422, refused=refused, typed=typed)
        return await self._page(request, typed=typed, found=found)

    def doing(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler of one deed."""

        @needs("cases.work")
        async def do(request: Request) -> Response:
            typed, number = await read_form(request), request.path_params["number"]
            try:
                async with self._database.transaction() as tx:
                    # Before the case, as whoever joins cases does: what is granted here and joined there is one story.
                    connection = await driver(tx)
                    await live_version(tx, number)
                    incident = await connection.fetchval(
                        "SELECT incident_id FROM cases WHERE number = $1", number.strip().upper()
                    )
                    await lock_incident(connection, incident)
                    case = await hold(tx, number)
                    await self.deeds[name](_Deed(request, tx, case, typed, self._clock()))
            except Invalid as refused:
                return await self._page(request, 422, refused=refused, typed=typed)
            except Conflict as refused:
                return await self._page(request, 409, refused=refused, typed=typed)
            return self._desk.to(f"/desk/cases/{number}/compensation?did={name}")

        return do

    async def _grant(self, deed: _Deed) -> None:
        typed, who, scheme = deed.typed, actor(deed.request), deed.scheme
        unit = Unit(typed.get("component", ""), typed.get("reference", ""), typed.get("passenger", ""))
        if scheme.unit == "connection":
            unit = Unit(unit.component, unit.reference)
        contact = await self._contact(deed, scheme.kind)
        _, found = await compensating.grant(
            deed.tx, who, deed.case, scheme, unit=unit, known=deed.known, on=deed.on, contact_id=contact, now=deed.now
        )
        if typed.get("keep"):
            await compensating.keep_circumstances(
                deed.tx, who, deed.case.incident_id, unit.component, deed.known, now=deed.now
            )
        await self._tell(deed, scheme, found, Ruling("granted", "by_law"), contact)

    async def _refuse(self, deed: _Deed) -> None:
        found = assess(deed.scheme, deed.on, deed.known)
        if found.outcome != "nothing":
            raise Conflict(
                "The rules do give something here, or something is still to be found out.", code="not_nothing"
            )
        reason = "extraordinary" if found.exempt in ("extraordinary", "disaster") else "not_covered"
        ruling = Ruling("rejected", reason, next_steps=("appeal", "add_information"))
        await self._tell(deed, deed.scheme, found, ruling, await self._contact(deed, deed.scheme.kind))

    async def _tell(self, deed: _Deed, scheme: Scheme, found: Assessment, ruling: Ruling, contact: int | None) -> None:
        """The working as the words of a decision; of an answer, where that was decided before (a second passenger)."""
        contacts = [] if contact is None else [contact]
        to = await recipient_of(deed.tx, self._writer.tokens, deed.case, contacts)
        words = self._writer.render("claims/entitled.txt", to.language, found=found, law=scheme.law, pays=scheme.pays)
        who, agent = actor(deed.request), shown_name(deed.request)
        asked = [one for one in await claims_in(await driver(deed.tx), deed.case.id) if one.kind == scheme.kind]
        if not asked or any(one.state == "open" or one.appeal_id is not None for one in asked):
            said = Ruling(ruling.outcome, ruling.reason, words.strip(), ruling.next_steps)
            decided = await decide(deed.tx, who, deed.case, scheme.kind, said, now=deed.now)
            await answering.tell_decision(deed.tx, who, self._writer, deed.case, decided, agent=agent)
        else:
            await answering.reply(
                deed.tx, who, self._writer, deed.case, words.strip(), agent=agent, contact_ids=contacts
            )

    async def _contact(self, deed: _Deed, kind: str) -> int | None:
        """What a grant hangs on: the contact that asked for it, else the newest one of a person."""
        connection = await driver(deed.tx)
        found: int | None = await connection.fetchval(
            """
            SELECT k.id FROM contacts k LEFT JOIN claims l ON l.contact_id = k.id AND l.kind = $2
             WHERE k.case_id = $1 ORDER BY l.id IS NULL, k.answer_by IS NULL, k.received_at DESC, k.id DESC LIMIT 1
            """,
            deed.case.id,
            kind,
        )
        return found

    async def _void(self, deed: _Deed) -> None:
        one = _number(deed.typed.get("entitlement", ""))
        await compensating.void(deed.tx, actor(deed.request), deed.case, one, deed.typed.get("why", ""))

    async def _account(self, deed: _Deed) -> None:
        one = _number(deed.typed.get("entitlement", ""))
        name, iban = deed.typed.get("account_name", ""), deed.typed.get("iban", "")
        await compensating.set_account(deed.tx, actor(deed.request), deed.case, [one], name=name, iban=iban)

    async def _page(
        self,
        request: Request,
        status: int = 200,
        *,
        refused: Refusal | None = None,
        typed: Mapping[str, str] | None = None,
        found: Assessment | None = None,
    ) -> Response:
        now = self._clock()
        async with self._database.snapshot() as tx:
            case = await show_case(tx, request.path_params["number"], now=now)
            live, _ = await live_version(tx, case["number"])
            granted = await compensating.entitlements_in(tx, live)
            happened = await compensating.happened_in(tx, live, now=now)
        chosen = (typed or {}).get("scheme") or request.query_params.get("scheme", "")
        scheme = schemes().get(chosen)
        return self._desk.page(
            request,
            "app/compensation.html",
            status,
            case=case,
            granted=granted,
            happened=happened,
            schemes=schemes(),
            scheme=scheme,
            version=None if scheme is None else scheme.versions[-1],
            fact_kinds=FACTS,
            choices=CHOICES,
            typed=defaultdict(str, typed) if typed is not None else self._prefilled(happened, case, scheme),
            found=found,
            refused=refused,
            did=request.query_params.get("did", ""),
        )

    def _prefilled(
        self, happened: list[compensating.Happened], case: Mapping[str, object], scheme: Scheme | None
    ) -> defaultdict[str, str]:
        """What is known already, as the form shows it."""
        typed: defaultdict[str, str] = defaultdict(str)
        customer = case["customer"]
        typed["passenger"] = getattr(customer, "name", "")
        if happened and scheme is not None:
            first = happened[0]
            typed |= {"component": first.component, "reference": first.reference, "on": first.on.isoformat()}
            for fact, value in first.facts.items():
                typed[fact] = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        return typed


def _scheme(code: str) -> Scheme:
    scheme = schemes().get(code)
    if scheme is None:
        raise Invalid("Choose the law or scheme first.", code="no_scheme")
    return scheme


def _day(typed: Mapping[str, str]) -> date:
    try:
        return date.fromisoformat(typed.get("on", ""))
    except ValueError:
        raise Invalid("Say on which day it happened: the rules of that day count.") from None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
