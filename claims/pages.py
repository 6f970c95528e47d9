"""The pages and calls of claims: telling us, following a case, and what the desk asks.

It speaks HTTP and opens the transactions; what is told and shown is decided elsewhere. The pages need no JavaScript.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from claims.answers import CasePage, CaseShown, ContactState, Received
from claims.desk import CaseQuery, list_cases, show_case
from claims.evidence import REGIONS
from claims.intake import Arrival, Intake, fingerprint
from claims.ports import Outage, OutageLookup
from claims.receipts import grouped, read_receipt
from claims.submissions import (
    ASKS_FOR,
    FIELDS,
    LARGEST_BODY,
    LARGEST_FORM,
    Submission,
    form_faults,
    from_form,
    idempotency_key,
    is_form_name,
    language_tag,
    named_incident,
    read_form,
    read_json,
)
from claims.tracking import contact_state, follow, read_track_token, recognise, track_token
from foundation.access import ANYBODY, for_anybody, needs
from foundation.calls import Call, call, read_query
from foundation.clock import Clock
from foundation.database import Database, DatabaseAway, Tx
from foundation.errors import Busy, Fault, Invalid, NotFound
from foundation.tokens import Tokens

# A case is nobody's business but its owner's: not a cache's, not a search engine's.
_PRIVATE = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What every page needs to be drawn. `language_of` picks the first language we have from wishes.

    `guards`: headers that keep a page from loading or running anything, and its address from the next site. `may_try`:
    whether whoever sent a request may try yet another fact with a receipt.
    """

    render: Callable[..., str]
    language_of: Callable[..., str]
    page_name: str
    zone: str
    public_url: str
    guards: Mapping[str, str]
    may_try: Callable[[Scope, str], bool]

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every page."""
        return {**self.guards, **_PRIVATE}


def routes(
    *, intake: Intake, database: Database, tokens: Tokens, outages: OutageLookup, clock: Clock, look: Look
) -> list[BaseRoute]:
    """Every route of claims. The intake must be running while they are served."""
    form = _ClaimForm(intake, database, tokens, outages, look)
    case = _CasePages(database, tokens, outages, clock, look)
    return [
        Route("/api/v1/contacts", _Contacts(intake, tokens, look.public_url)),
        Route("/api/v1/contacts/{receipt}", _contact_state(database), methods=["GET"]),
        Route("/claim", form.show, methods=["GET"]),
        Route("/claim", form.send, methods=["POST"]),
        Route("/claim/received/{token}", form.received, methods=["GET"]),
        Route("/track", case.ask, methods=["GET"]),
        Route("/track", case.find, methods=["POST"]),
        Route("/t/{token}", case.show, methods=["GET"]),
        *_desk_routes(database),
    ]


class _Contacts:
    """Tell us something. The answer comes once it is on disk: a receipt, and where to follow what becomes of it.

    Nothing is required, but something must be said. With an Idempotency-Key the same words can be sent again without
    becoming two contacts.
    """

    # Spoken straight in ASGI: it is the one call that hundreds of thousands make at once.
    entry = ANYBODY
    call = Call(
        takes=Submission,
        gives=Received,
        status=202,
        located=True,
        headers={"Idempotency-Key": "1 to 200 printable ASCII characters that nobody else uses, such as a UUID."},
        refuses={
            Invalid: ("invalid_contact", "invalid_idempotency_key", "idempotency_key_reused"),
            Busy: ("busy",),
        },
    )

    def __init__(self, intake: Intake, tokens: Tokens, public_url: str) -> None:
        self._intake = intake
        self._tokens = tokens
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        key = idempotency_key(scope["headers"])
        raw = await _body(receive, LARGEST_BODY)
        said = read_json(raw)
        receipt = await self._intake.accept(Arrival("api", language_tag(said.language), raw, key))
        track_url = f"{self._public_url}/t/{track_token(self._tokens, receipt)}"
        answer = msgspec.json.encode(Received(grouped(receipt), track_url))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
            (b"cache-control", b"no-store"),
            (b"location", f"/api/v1/contacts/{receipt}".encode()),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class _ClaimForm:
    """The form, what is wrong with it, and the receipt."""

    def __init__(self, intake: Intake, database: Database, tokens: Tokens, outages: OutageLookup, look: Look) -> None:
        self._intake = intake
        self._database = database
        self._tokens = tokens
        self._outages = outages
        self._look = look

    @for_anybody
    async def show(self, request: Request) -> Response:
        typed = {"incident": request.query_params.get("incident", "")}
        return await self._page(request, typed)

    @for_anybody
    async def send(self, request: Request) -> Response:
        raw = await _body(request.receive, LARGEST_FORM)
        typed = read_form(raw)
        faults = form_faults(from_form(typed), REGIONS)
        if faults:
            return await self._page(request, typed, faults, status=422)
        language = _language(self._look, request, typed.get("language"))
        # Sent twice by a double click or a reload it is one contact; mended and sent again it is another.
        key = f"form:{typed['form']}:{fingerprint(raw).hex()}" if is_form_name(typed.get("form", "")) else None
        try:
            receipt = await self._intake.accept(Arrival("web", language, raw, key))
        except Busy as busy:
            return await self._page(request, typed, busy=busy.retry_after, status=503)
        token = track_token(self._tokens, receipt)
        return RedirectResponse(f"/claim/received/{token}?lang={language}", 303, headers=self._look.headers)

    @for_anybody
    async def received(self, request: Request) -> Response:
        token = request.path_params["token"]
        receipt = read_track_token(self._tokens, token)
        if receipt is None:
            return _page(self._look, request, "claims/unknown.html", status=404)
        return _page(
            self._look,
            request,
            "claims/received.html",
            receipt=grouped(receipt),
            track_path=f"/t/{token}",
            track_url=f"{self._look.public_url}/t/{token}",
        )

    async def _page(
        self,
        request: Request,
        typed: Mapping[str, str],
        faults: Sequence[Fault] = (),
        *,
        busy: int | None = None,
        status: int = 200,
    ) -> Response:
        values = {name: typed.get(name, "") for name in FIELDS}
        about, options = await self._choice(named_incident(values["incident"]))
        page = _page(
            self._look,
            request,
            "claims/claim.html",
            status=status,
            wish=typed.get("language"),
            typed=values,
            faults={fault.field: fault.message for fault in reversed(faults)},
            about=about,
            outages=options,
            busy=busy is not None,
            wishes=ASKS_FOR,
            form_name=typed["form"] if is_form_name(typed.get("form", "")) else token_urlsafe(12),
            incident_query=f"incident={quote(values['incident'][:60])}&" if values["incident"] else "",
        )
        if busy is not None:
            page.headers["Retry-After"] = str(busy)
        return page

    async def _choice(self, named: str) -> tuple[Outage | None, Sequence[Outage]]:
        """What the form is about, and what else somebody may choose from: open incidents, then past ones.

        Without the database the form still opens, and keeps what people type.
        """
        try:
            async with self._database.transaction() as tx:
                found = {one.id: one for one in await self._outages.open_outages(tx)}
                past = {one.id: one for one in await self._outages.past_outages(tx)}
                asked = await self._outages.outages(tx, {named} if named else ())
                public = await self._outages.public(tx, {*found, *past, *asked})
        except DatabaseAway:
            return None, ()
        options = [one for one in {**found, **past}.values() if one.id in public]
        if named in asked and named in public:
            return asked[named], ()
        return (options[0], ()) if len(options) == 1 else (None, options)


class _CasePages:
    """Following a case: by its link, or by receipt and one fact."""

    def __init__(self, database: Database, tokens: Tokens, outages: OutageLookup, clock: Clock, look: Look) -> None:
        self._database = database
        self._tokens = tokens
        self._outages = outages
        self._clock = clock
        self._look = look

    @for_anybody
    async def ask(self, request: Request) -> Response:
        return _page(self._look, request, "claims/track.html", receipt="", fact="", failed=False)

    @for_anybody
    async def find(self, request: Request) -> Response:
        typed = read_form(await _body(request.receive, LARGEST_BODY))
        receipt, fact = typed.get("receipt", ""), typed.get("fact", "")
        found = None
        # Too often is answered like wrong: whether the receipt exists is nobody's to find out.
        if may_try := self._look.may_try(request.scope, read_receipt(receipt) or ""):
            async with self._database.transaction() as tx:
                found = await recognise(tx, receipt, fact[:320])
        if found is None:
            status = 422 if may_try else 429
            return _page(
                self._look, request, "claims/track.html", status=status, receipt=receipt, fact=fact, failed=True
            )
        language = _language(self._look, request, typed.get("language"))
        return RedirectResponse(
            f"/t/{track_token(self._tokens, found)}?lang={language}", 303, headers=self._look.headers
        )

    @for_anybody
    async def show(self, request: Request) -> Response:
        receipt = read_track_token(self._tokens, request.path_params["token"])
        followed = outage = promise = None
        if receipt is not None:
            async with self._database.snapshot() as tx:
                followed = await follow(tx, receipt)
                if followed is not None and followed.incident_id is not None:
                    outage, promise = await self._about(tx, followed.incident_id)
        if receipt is None or followed is None:
            return _page(self._look, request, "claims/unknown.html", status=404)
        return _page(
            self._look,
            request,
            "claims/case.html",
            case=followed,
            receipt=grouped(receipt),
            outage=outage,
            promise=promise,
            now=self._clock(),
        )

    async def _about(self, tx: Tx, incident_id: str) -> tuple[Outage | None, datetime | None]:
        """The incident, once the public knows of it, and by when more will be said; a lapsed promise is none."""
        if incident_id not in await self._outages.public(tx, {incident_id}):
            return None, None
        promise = await self._outages.next_update_at(tx, incident_id)
        outage = (await self._outages.outages(tx, {incident_id}))[incident_id]
        return outage, promise if promise is not None and promise > self._clock() else None


def _contact_state(database: Database) -> Callable[..., Any]:
    @for_anybody
    @call(gives=ContactState, refuses={NotFound: ("no_such_contact",)})
    async def state(request: Request) -> Response:
        """Whether the contact has its case yet, and nothing about anybody."""
        receipt = read_receipt(request.path_params["receipt"])
        async with database.transaction() as tx:
            # Asked also when it cannot be a receipt, so that both answers take as long.
            found = await contact_state(tx, receipt or "")
        if found is None:
            raise NotFound("We know no contact with this receipt.", code="no_such_contact")
        return _json(found)

    return state


def _desk_routes(database: Database) -> list[BaseRoute]:
    @needs("cases.read")
    @call(gives=CasePage, query=CaseQuery)
    async def cases(request: Request) -> Response:
        """Cases, oldest first, a page at a time."""
        wanted = read_query(request.query_params.multi_items(), CaseQuery).filter()
        async with database.snapshot() as tx:
            return _json(await list_cases(tx, wanted))

    @needs("cases.read")
    @call(gives=CaseShown, refuses={NotFound: ("no_such_case",)})
    async def case(request: Request) -> Response:
        """A case with its contacts and journal. An old number leads to the case it was merged into."""
        async with database.snapshot() as tx:
            return _json(await show_case(tx, request.path_params["number"]))

    return [
        Route("/api/v1/cases", cases, methods=["GET"]),
        Route("/api/v1/cases/{number}", case, methods=["GET"]),
    ]


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json", headers={"Cache-Control": "no-store"})


def _page(
    look: Look, request: Request, template: str, *, status: int = 200, wish: str | None = None, **context: Any
) -> Response:
    language = _language(look, request, wish)
    text = look.render(template, language, page_name=look.page_name, zone=look.zone, **context)
    # Lone surrogates cannot come from a form read as UTF-8, but they can from a contact that came as JSON.
    return HTMLResponse(text.encode("utf-8", "replace"), status, headers=look.headers)


def _language(look: Look, request: Request, wish: str | None = None) -> str:
    return look.language_of(request.query_params.get("lang"), wish, request.headers.get("accept-language"))


async def _body(receive: Receive, most: int) -> bytes:
    """The body of a request, refused once it is longer than `most` bytes."""
    body, more = b"", True
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":  # half a text is not what somebody said
            raise HTTPException(400, "The connection ended before the text did.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if len(body) > most:
        raise HTTPException(413, f"This is more than we can take in one piece ({most // 1024} kB).")
    return body
