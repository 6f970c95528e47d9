"""The pages and calls of claims: telling us, following a case, and what the desk asks.

It speaks HTTP and opens the transactions; what is told and shown is decided elsewhere. The pages need no JavaScript.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from claims import desk_api, person_api, track_pages
from claims.answers import ContactState, Received
from claims.drawing import Look, json_answer, read_all
from claims.file_kinds import WHY_NOT
from claims.file_pages import file_routes
from claims.file_store import FileStore, Kept
from claims.form_pages import form_routes
from claims.intake import Arrival, Intake
from claims.letters import Writer
from claims.links import track_token
from claims.ports import AudienceOf, OutageLookup, StaffName
from claims.receipts import grouped, read_receipt
from claims.submissions import (
    LARGEST_BODY,
    Submission,
    idempotency_key,
    language_tag,
    read_json,
)
from claims.tracking import contact_state
from claims.uploads import Uploads
from foundation.access import ANYBODY, for_anybody
from foundation.calls import Call, call
from foundation.clock import Clock
from foundation.database import Database
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
    files: FileStore,
    writer: Writer,
    staff_name: StaffName,
    audience: AudienceOf,
) -> list[BaseRoute]:
    """Every route of claims. The intake must be running while they are served."""
    uploads = Uploads(files, tokens, clock)
    return [
        Route("/api/v1/contacts", _Contacts(intake, tokens, look.public_url, uploads)),
        Route("/api/v1/contacts/{receipt}", _contact_state(database, intake), methods=["GET"]),
        *form_routes(intake=intake, database=database, tokens=tokens, outages=outages, look=look, uploads=uploads),
        *file_routes(database=database, tokens=tokens, clock=clock, look=look, uploads=uploads),
        *track_pages.routes(database=database, tokens=tokens, outages=outages, clock=clock, look=look, writer=writer),
        *person_api.routes(database),
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
