"""Phone at the desk: look for the caller, note what they say; and take in a call centre's evening as a file."""

from collections.abc import Mapping, Sequence
from secrets import token_urlsafe
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.call_import import CallsTaken, take_calls
from app.desk import Desk
from app.forms import read_form
from app.outages import Outages
from claims.calls import NOTED, as_call, call_faults, find_callers, form_key
from claims.intake import Intake
from claims.receipts import grouped
from claims.submissions import ASKS_FOR, is_form_name
from foundation.access import needs
from foundation.errors import Fault, Invalid

_LONGEST = 200


def routes(desk: Desk, intake: Intake) -> list[BaseRoute]:
    """The pages of the phone."""
    pages = _Calls(desk, intake)
    return [
        Route("/desk/calls", pages.search, methods=["GET"]),
        Route("/desk/calls", pages.note, methods=["POST"]),
        Route("/desk/calls/file", pages.file, methods=["POST"]),
    ]


class _Calls:
    def __init__(self, desk: Desk, intake: Intake) -> None:
        self._desk = desk
        self._intake = intake
        self._outages = Outages(desk.parts.clock)

    @needs("cases.work")
    async def search(self, request: Request) -> Response:
        """The caller is looked for first; whoever is found is one key away from their note."""
        asked = request.query_params
        typed, chosen = asked.get("q", "").strip()[:_LONGEST], asked.get("customer", "")[:_LONGEST]
        return await self._page(request, typed, chosen, taken=asked.get("taken", "")[:20])

    @needs("cases.work")
    async def note(self, request: Request) -> Response:
        """Keep what the caller said."""
        typed = await read_form(request)
        if faults := call_faults(typed):
            return await self._page(request, typed.get("q", "")[:_LONGEST], "", typed=typed, faults=faults, status=422)
        receipt = await self._intake.accept(
            as_call(typed, str(request.user.actor), key=form_key(typed.get("form", "")))
        )
        return self._desk.to(f"/desk/calls?taken={receipt}")

    @needs("cases.work")
    async def file(self, request: Request) -> Response:
        """Take in a file of calls, line by line."""
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("file")
            content = await file.read() if isinstance(file, UploadFile) else b""
        try:
            loaded = await take_calls(self._intake, content)
        except Invalid as refused:
            return await self._page(request, "", "", faults=[Fault("file", refused.message)], status=422)
        return await self._page(request, "", "", loaded=loaded, status=422 if loaded.bad else 200)

    async def _page(
        self,
        request: Request,
        q: str,
        chosen: str,
        *,
        typed: Mapping[str, str] | None = None,
        faults: Sequence[Fault] = (),
        taken: str = "",
        loaded: CallsTaken | None = None,
        status: int = 200,
    ) -> Response:
        async with self._desk.parts.database.snapshot() as tx:
            found = await find_callers(tx, q) if q else []
            outages = await self._outages.open_outages(tx)
        caller = next((one for one in found if one.card.number == chosen), found[0] if len(found) == 1 else None)
        values: dict[str, Any] = dict.fromkeys(NOTED, "")
        if caller is not None:
            card = caller.card
            values |= {"customer_number": card.number, "name": card.name, "language": card.language}
            values |= {"phone": next(iter(card.phones), ""), "email": next(iter(card.mails), "")}
        elif q:
            values |= {"phone" if q.lstrip("+").replace(" ", "").isdigit() else "name": q}
        values |= {name: typed[name] for name in NOTED if typed and name in typed}
        form = (typed or {}).get("form", "")
        return self._desk.page(
            request,
            "app/calls.html",
            status,
            q=q,
            found=found,
            caller=caller,
            typed=values,
            faults={one.field: one.message for one in faults},
            outages=outages,
            wishes=ASKS_FOR,
            taken=grouped(taken) if taken else "",
            loaded=loaded,
            form_name=form if is_form_name(form) else token_urlsafe(12),
        )
