"""The claim form: what it asks, what it asks back, the receipt. It works without JavaScript.

Whatever somebody typed and whatever they attached is there again when the form goes back to them. What only looks wrong
is asked about once, and taken as it is when it comes back: nobody is kept out by a rule of ours.
"""

from collections.abc import Mapping, Sequence
from secrets import token_urlsafe
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from claims.drawing import Look, language_for, page, read_all
from claims.evidence import REGIONS
from claims.file_kinds import LARGEST_MESSAGE, MOST_FILES, WHY_NOT
from claims.file_store import Kept
from claims.intake import Arrival, Intake, fingerprint
from claims.links import read_link, track_token
from claims.ports import Outage, OutageLookup
from claims.post_links import read_post_token
from claims.receipts import grouped
from claims.submissions import (
    ASKS_FOR,
    FIELDS,
    LARGEST_FORM,
    form_faults,
    form_questions,
    from_form,
    is_form_name,
    named_incident,
    read_form,
)
from claims.uploads import NotKept, Upload, Uploads
from foundation.access import for_anybody
from foundation.database import Database, DatabaseAway
from foundation.errors import Busy, Fault
from foundation.tokens import Tokens

# What our own form says beside what people tell us.
_OURS = frozenset(("kept", "asked", "form", "drop"))


def form_routes(
    *, intake: Intake, database: Database, tokens: Tokens, outages: OutageLookup, look: Look, uploads: Uploads
) -> list[BaseRoute]:
    """The form and its receipt."""
    form = _ClaimForm(intake, database, tokens, outages=outages, look=look, uploads=uploads)
    return [
        Route("/claim", form.show, methods=["GET"]),
        Route("/claim", form.send, methods=["POST"]),
        Route("/claim/received/{token}", form.received, methods=["GET"]),
    ]


class _ClaimForm:
    """The form, what is wrong with it, and the receipt."""

    def __init__(
        self, intake: Intake, database: Database, tokens: Tokens, *, outages: OutageLookup, look: Look, uploads: Uploads
    ) -> None:
        self._intake = intake
        self._database = database
        self._tokens = tokens
        self._outages = outages
        self._look = look
        self._uploads = uploads

    @for_anybody
    async def show(self, request: Request) -> Response:
        asked = request.query_params
        return await self._page(request, {"incident": asked.get("incident", ""), "post": asked.get("post", "")[:200]})

    @for_anybody
    async def send(self, request: Request) -> Response:
        try:
            upload = await self._read(request)
        except Busy as busy:  # nothing was read, so nothing can be given back: the browser still has it
            return await self._page(request, {}, busy=busy.retry_after, status=503)
        typed = upload.fields
        kept = [one for one in upload.kept if one.name != typed.get("drop")]
        said = from_form(typed)
        faults = [*form_faults(said), *_file_faults(upload.refused)]
        asked = set(typed.get("asked", "").split(","))
        faults += [one for one in form_questions(said, REGIONS) if one.field not in asked]
        if faults:
            return await self._page(request, typed, faults, kept=kept, status=422)
        language = language_for(self._look, request, typed.get("language"))
        raw = urlencode([(name, value) for name, value in typed.items() if name not in _OURS]).encode()
        # Sent twice by a double click or a reload it is one contact; mended and sent again it is another.
        name, words = typed.get("form", ""), fingerprint(raw, kept).hex()
        arrival = Arrival(
            "web",
            language,
            raw,
            key=f"form:{name}:{words}" if is_form_name(name) else None,
            files=tuple(kept),
            continues=read_post_token(self._tokens, typed.get("post", "")),
        )
        try:
            receipt = await self._intake.accept(arrival)
        except Busy as busy:
            return await self._page(request, typed, kept=kept, busy=busy.retry_after, status=503)
        token = track_token(self._tokens, receipt)
        return RedirectResponse(f"/claim/received/{token}?lang={language}", 303, headers=self._look.headers)

    async def _read(self, request: Request) -> Upload:
        if not self._uploads.is_one(request):
            return Upload(read_form(await read_all(request.receive, LARGEST_FORM)), (), ())
        upload = await self._uploads.read(request)
        before = self._uploads.from_slip(upload.fields.get("kept", ""))
        known = {one.sha256 for one in before}
        fresh = [one for one in upload.kept if one.sha256 not in known]
        refused = list(upload.refused)
        everything = [*before, *fresh]
        while len(everything) > MOST_FILES or sum(one.size for one in everything) > LARGEST_MESSAGE:
            too_much = everything.pop()
            refused.append(NotKept(too_much.shown_name, "too_many"))
        return Upload(upload.fields, everything, refused)

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
        kept: Sequence[Kept] = (),
        busy: int | None = None,
        status: int = 200,
    ) -> Response:
        values = {name: typed.get(name, "") for name in (*FIELDS, "post")}
        about, options = await self._choice(named_incident(values["incident"]))
        asked = {fault.field for fault in faults} | set(typed.get("asked", "").split(","))
        drawn = page(
            self._look,
            request,
            "claims/claim.html",
            status=status,
            wish=typed.get("language"),
            typed=values,
            faults={fault.field: fault.message for fault in reversed(faults)},
            soft=not any(fault.field in ("message", "files") for fault in faults),
            asked=",".join(sorted(asked - {""})),
            files=kept,
            slip=self._uploads.slip(kept),
            about=about,
            outages=options,
            busy=busy is not None,
            wishes=ASKS_FOR,
            form_name=typed["form"] if is_form_name(typed.get("form", "")) else token_urlsafe(12),
            incident_query=f"incident={quote(values['incident'][:60])}&" if values["incident"] else "",
        )
        if busy is not None:
            drawn.headers["Retry-After"] = str(busy)
        return drawn

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


def _file_faults(refused: Sequence[NotKept]) -> list[Fault]:
    return [Fault("files", WHY_NOT[one.why]) for one in refused[:1]]
