"""The pages and calls of claims: telling us, following a case, and what the desk asks.

It speaks HTTP and opens the transactions; what is told and shown is decided elsewhere. The pages need no JavaScript.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from claims.answers import CasePage, CaseShown, ContactState, Received
from claims.desk import CaseQuery, list_cases, show_case
from claims.drawing import Look, json_answer, language_for, page, read_all
from claims.file_kinds import WHY_NOT
from claims.file_pages import file_routes
from claims.file_store import FileStore, Kept
from claims.form_pages import form_routes
from claims.intake import Arrival, Intake
from claims.ports import Outage, OutageLookup
from claims.receipts import grouped, read_receipt
from claims.submissions import (
    LARGEST_BODY,
    Submission,
    idempotency_key,
    language_tag,
    read_form,
    read_json,
)
from claims.tracking import contact_state, follow, read_track_token, recognise, track_token
from claims.uploads import LARGEST_UPLOAD, Uploads
from foundation.access import ANYBODY, for_anybody, needs
from foundation.calls import Call, call, read_query
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Busy, Fault, Invalid, NotFound
from foundation.tokens import Tokens

__all__ = ["Look", "routes"]


def routes(
    *,
    intake: Intake,
    database: Database,
    tokens: Tokens,
    outages: OutageLookup,
    clock: Clock,
    look: Look,
    files: FileStore,
) -> list[BaseRoute]:
    """Every route of claims. The intake must be running while they are served."""
    uploads = Uploads(files, tokens, clock)
    case = _CasePages(database, tokens, outages, clock, look)
    return [
        Route("/api/v1/contacts", _Contacts(intake, tokens, look.public_url, uploads), max_body_size=LARGEST_UPLOAD),
        Route("/api/v1/contacts/{receipt}", _contact_state(database, intake), methods=["GET"]),
        *form_routes(intake=intake, database=database, tokens=tokens, outages=outages, look=look, uploads=uploads),
        *file_routes(database=database, tokens=tokens, look=look, uploads=uploads),
        Route("/track", case.ask, methods=["GET"]),
        Route("/track", case.find, methods=["POST"]),
        Route("/t/{token}", case.show, methods=["GET"]),
        *_desk_routes(database),
    ]


class _Contacts:
    """Tell us something. The answer comes once it is on disk: a receipt, and where to follow what becomes of it.

    Nothing is required, but something must be said. With an Idempotency-Key the same words can be sent again without
    becoming two contacts. Files go with it as multipart/form-data: this object in the part `contact`, and up to ten
    files of 10 MB (25 MB together) in parts with a file name.
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
            Invalid: ("invalid_contact", "invalid_files", "invalid_idempotency_key", "idempotency_key_reused"),
            Busy: ("busy",),
        },
    )

    def __init__(self, intake: Intake, tokens: Tokens, public_url: str, uploads: Uploads) -> None:
        self._intake = intake
        self._tokens = tokens
        self._public_url = public_url
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        key = idempotency_key(scope["headers"])
        request = Request(scope, receive)
        files: tuple[Kept, ...] = ()
        if self._uploads.is_one(request):
            raw, files = await self._with_files(request)
        else:
            raw = await read_all(receive, LARGEST_BODY)
        said = read_json(raw)
        receipt = await self._intake.accept(Arrival("api", language_tag(said.language), raw, key, files=files))
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

    async def _with_files(self, request: Request) -> tuple[bytes, tuple[Kept, ...]]:
        """The contact, in the part of that name, and the files beside it: all of them, or the call is refused."""
        upload = await self._uploads.read(request)
        if upload.refused:
            faults = [Fault(one.shown_name[:200], WHY_NOT[one.why]) for one in upload.refused]
            raise Invalid("These files cannot be taken, so nothing was stored.", faults, code="invalid_files")
        raw = upload.fields.get("contact", "").encode("utf-8", "replace")
        if len(raw) > LARGEST_BODY:
            raise HTTPException(413, f"This is more than we can take in one piece ({LARGEST_BODY // 1024} kB).")
        return raw, tuple(upload.kept)


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
        return page(self._look, request, "claims/track.html", receipt="", fact="", failed=False)

    @for_anybody
    async def find(self, request: Request) -> Response:
        typed = read_form(await read_all(request.receive, LARGEST_BODY))
        receipt, fact = typed.get("receipt", ""), typed.get("fact", "")
        found = None
        # Too often is answered like wrong: whether the receipt exists is nobody's to find out.
        if may_try := self._look.may_try(request.scope, read_receipt(receipt) or ""):
            async with self._database.transaction() as tx:
                found = await recognise(tx, receipt, fact[:320])
        if found is None:
            status = 422 if may_try else 429
            return page(
                self._look, request, "claims/track.html", status=status, receipt=receipt, fact=fact, failed=True
            )
        language = language_for(self._look, request, typed.get("language"))
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
            return page(self._look, request, "claims/unknown.html", status=404)
        return page(
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


def _contact_state(database: Database, intake: Intake) -> Callable[..., Any]:
    @for_anybody
    @call(gives=ContactState, refuses={NotFound: ("no_such_contact",), Busy: ("busy",)})
    async def state(request: Request) -> Response:
        """Whether the contact has its case yet, and nothing about anybody."""
        if intake.pressed:  # first come those who have something to tell
            raise Busy("Very many people write to us right now. Please ask again in a minute.", retry_after=60)
        receipt = read_receipt(request.path_params["receipt"])
        async with database.transaction() as tx:
            # Asked also when it cannot be a receipt, so that both answers take as long.
            found = await contact_state(tx, receipt or "")
        if found is None:
            raise NotFound("We know no contact with this receipt.", code="no_such_contact")
        return json_answer(found)

    return state


def _desk_routes(database: Database) -> list[BaseRoute]:
    @needs("cases.read")
    @call(gives=CasePage, query=CaseQuery)
    async def cases(request: Request) -> Response:
        """Cases, oldest first, a page at a time."""
        wanted = read_query(request.query_params.multi_items(), CaseQuery).filter()
        async with database.snapshot() as tx:
            return json_answer(await list_cases(tx, wanted))

    @needs("cases.read")
    @call(gives=CaseShown, refuses={NotFound: ("no_such_case",)})
    async def case(request: Request) -> Response:
        """A case with its contacts and journal. An old number leads to the case it was merged into."""
        async with database.snapshot() as tx:
            return json_answer(await show_case(tx, request.path_params["number"]))

    return [
        Route("/api/v1/cases", cases, methods=["GET"]),
        Route("/api/v1/cases/{number}", case, methods=["GET"]),
    ]
