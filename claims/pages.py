"""The pages and calls of claims: telling us, following a case, and what the desk asks.

It speaks HTTP and opens the transactions; what is told and shown is decided elsewhere. The pages need no JavaScript.
"""

from collections.abc import Callable, Mapping, Sequence
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from claims import desk_api, track_pages
from claims.answers import ContactState, Received
from claims.drawing import Look, json_answer, language_for, page, read_all
from claims.evidence import REGIONS
from claims.intake import Arrival, Intake, fingerprint
from claims.letters import Writer
from claims.links import read_link, track_token
from claims.ports import AudienceOf, Outage, OutageLookup, StaffName
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
from claims.tracking import contact_state
from foundation.access import ANYBODY, for_anybody
from foundation.calls import Call, call
from foundation.clock import Clock
from foundation.database import Database, DatabaseAway
from foundation.errors import Busy, Fault, Invalid, NotFound
from foundation.tokens import Tokens


def routes(
    *,
    intake: Intake,
    database: Database,
    tokens: Tokens,
    outages: OutageLookup,
    clock: Clock,
    look: Look,
    writer: Writer,
    staff_name: StaffName,
    audience: AudienceOf,
) -> list[BaseRoute]:
    """Every route of claims. The intake must be running while they are served."""
    form = _ClaimForm(intake, database, tokens, outages, look)
    return [
        Route("/api/v1/contacts", _Contacts(intake, tokens, look.public_url)),
        Route("/api/v1/contacts/{receipt}", _contact_state(database), methods=["GET"]),
        Route("/claim", form.show, methods=["GET"]),
        Route("/claim", form.send, methods=["POST"]),
        Route("/claim/received/{token}", form.received, methods=["GET"]),
        *track_pages.routes(database=database, tokens=tokens, outages=outages, clock=clock, look=look, writer=writer),
        *desk_api.routes(
            database=database,
            clock=clock,
            writer=writer,
            staff_name=staff_name,
            audience=audience,
            outages=outages,
        ),
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
        raw = await read_all(receive, LARGEST_BODY)
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
        raw = await read_all(request.receive, LARGEST_FORM)
        typed = read_form(raw)
        faults = form_faults(from_form(typed), REGIONS)
        if faults:
            return await self._page(request, typed, faults, status=422)
        language = language_for(self._look, request, typed.get("language"))
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
        link = read_link(self._tokens, token)
        if link is None or not link.receipt:
            return page(self._look, request, "claims/unknown.html", status=404)
        return page(
            self._look,
            request,
            "claims/received.html",
            receipt=grouped(link.receipt),
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
        shown = page(
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
            shown.headers["Retry-After"] = str(busy)
        return shown

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
        return json_answer(found)

    return state
