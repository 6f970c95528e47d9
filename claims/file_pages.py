"""Hands files out, to those who may have them, and takes more in for a contact. It speaks HTTP.

Every file is a download: never shown in our pages, never run, whatever is in it. One that waits for the scanner is not
handed out, one that the scanner refused never is.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from claims.attachments import Attachment, add, attachment, room_in_case
from claims.drawing import Look, json_answer, language_for, page
from claims.file_kinds import WHY_NOT
from claims.file_store import FileStore
from claims.links import read_link
from claims.tracking import follow
from claims.uploads import Uploads
from foundation.access import for_anybody, needs
from foundation.clock import Clock
from foundation.database import Database, driver
from foundation.errors import Conflict, Fault, Invalid, NotFound
from foundation.tokens import Tokens

_NO_SUCH_FILE = "There is no such file."


def file_routes(*, database: Database, tokens: Tokens, clock: Clock, look: Look, uploads: Uploads) -> list[BaseRoute]:
    """The routes of files."""
    pages = _Files(database, tokens, clock, look=look, uploads=uploads)
    return [
        Route("/t/{token}/files", pages.more, methods=["POST"]),
        Route("/t/{token}/files/{id}", pages.own, methods=["GET"]),
        Route("/desk/files/{id}", pages.at_the_desk, methods=["GET"]),
        Route("/desk/contacts/{receipt}/original", pages.original, methods=["GET"]),
    ]


class _Files:
    def __init__(self, database: Database, tokens: Tokens, clock: Clock, *, look: Look, uploads: Uploads) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock
        self._look = look
        self._uploads = uploads

    @for_anybody
    async def more(self, request: Request) -> Response:
        """Add files to what the holder of this link told us last."""
        link = read_link(self._tokens, request.path_params["token"])
        if link is None:
            return page(self._look, request, "claims/unknown.html", status=404)
        upload = await self._uploads.read(request)
        if upload.refused:
            faults = [Fault(one.shown_name[:200], WHY_NOT[one.why]) for one in upload.refused]
            raise Invalid(WHY_NOT[upload.refused[0].why], faults, code="invalid_files")
        async with self._database.transaction() as tx:
            case = await follow(tx, link, now=self._clock())
            if case is None or not case.own_contacts:
                return page(self._look, request, "claims/unknown.html", status=404)
            if sum(one.size for one in upload.kept) > await room_in_case(tx, case.own_contacts[0]):
                raise Invalid(WHY_NOT["case_full"], code="case_full")
            await add(tx, case.own_contacts[0], upload.kept)
        if "text/html" not in request.headers.get("accept", ""):
            names = [one.shown_name for one in upload.kept]
            answer = json_answer({"files": names})
            answer.status_code = 202
            return answer
        language = language_for(self._look, request, upload.fields.get("language"))
        return RedirectResponse(
            f"/t/{request.path_params['token']}?lang={language}&did=files", 303, headers=self._look.headers
        )

    @for_anybody
    async def own(self, request: Request) -> Response:
        """A file of a message that this link may show, and of no other."""
        link = read_link(self._tokens, request.path_params["token"])
        found = None
        if link is not None:
            async with self._database.transaction() as tx:
                case = await follow(tx, link, now=self._clock())
                found = await attachment(tx, _number(request.path_params["id"]), case.own_contacts if case else ())
        return await _download(self._uploads.store, found)

    @needs("cases.read")
    async def at_the_desk(self, request: Request) -> Response:
        """A file, for whoever works on cases."""
        async with self._database.transaction() as tx:
            found = await attachment(tx, _number(request.path_params["id"]))
        return await _download(self._uploads.store, found)

    @needs("cases.read")
    async def original(self, request: Request) -> Response:
        """A contact as it came in, byte for byte."""
        async with self._database.transaction() as tx:
            row = await (await driver(tx)).fetchrow(
                "SELECT receipt, channel, raw FROM contacts WHERE receipt = $1", request.path_params["receipt"]
            )
        if row is None:
            raise NotFound("There is no such contact.", code="no_such_contact")
        ending = "eml" if row["channel"] == "mail" else "txt"
        return Response(row["raw"], headers=_as_a_download(f"{row['receipt']}.{ending}"))


def _number(text: str) -> int:
    """The id of a file; one that no file has when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


async def _download(store: FileStore, found: Attachment | None) -> Response:
    if found is None or found.name is None or found.state == "set_aside":
        raise NotFound(_NO_SUCH_FILE, code="no_such_file")
    if found.state == "waiting":
        raise Conflict("This file is still being checked. Please come back in a few minutes.", code="file_unchecked")
    if found.state == "refused":
        raise Conflict("This file was found to be harmful, so nobody gets it.", code="file_refused")
    content = await asyncio.to_thread(store.read, found.name)
    if content is None:
        raise NotFound(_NO_SUCH_FILE, code="no_such_file")
    return Response(content, headers=_as_a_download(found.shown_name))


def _as_a_download(name: str) -> Mapping[str, Any]:
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-_. ") else "_" for one in name)
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",
    }
