"""The pages behind the links in a message: stopping the news, and asking whether the message is ours.

It speaks HTTP and opens the transactions. Reading a page changes nothing, since programs that look for harmful links
open every one of them; only a POST acts. Neither page needs JavaScript, a cookie or a login.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from foundation.access import for_anybody
from foundation.database import Database, Tx
from foundation.tokens import Tokens
from notify.checking import what_we_said
from notify.opt_outs import How, Reader, Scope, come_back, find_reader, leave
from notify.references import check_code, read_check_code, read_leave_token

_LARGEST_FORM = 8 << 10
_LONGEST_CODE = 60  # as typed
# RFC 8058 section 3.2: in a form of either encoding.
_ONE_CLICK = re.compile(rb"List-Unsubscribe(?:=|\"\r?\n\r?\n)One-Click", re.IGNORECASE)
_SCOPES: Mapping[str, Scope] = {"topic": "topic", "all": "all"}
# Who stops what is nobody else's business: not a cache's, not a search engine's.
_PRIVATE = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class MessageLook:
    """What these pages need to be drawn. `language_of` picks the first language we have from wishes.

    `mail_from`: the address our mail comes from; `guards`: headers that keep a page from loading or running anything,
    and its address from the next site.
    """

    render: Callable[..., str]
    language_of: Callable[..., str]
    page_name: str
    zone: str
    mail_from: str
    guards: Mapping[str, str]

    def page(
        self, request: Request, template: str, *, status: int = 200, wish: str | None = None, **context: Any
    ) -> Response:
        """One page, in the language asked for, else that of `wish`, else the browser's."""
        language = self.language_of(request.query_params.get("lang"), wish, request.headers.get("accept-language"))
        text = self.render(template, language, page_name=self.page_name, zone=self.zone, **context)
        return HTMLResponse(text.encode("utf-8", "replace"), status, headers={**self.guards, **_PRIVATE})


def message_routes(*, database: Database, tokens: Tokens, look: MessageLook) -> list[BaseRoute]:
    """The routes behind the links in our messages."""
    leaving = _LeavePage(database, tokens, look)
    return [
        Route("/u/{token}", leaving.show, methods=["GET"]),
        Route("/u/{token}", leaving.act, methods=["POST"]),
        Route("/check", _check_page(database, tokens, look), methods=["GET"]),
    ]


class _LeavePage:
    """Stopping the news, of this disruption or of all, and the way back."""

    def __init__(self, database: Database, tokens: Tokens, look: MessageLook) -> None:
        self._database = database
        self._tokens = tokens
        self._look = look

    @for_anybody
    async def show(self, request: Request) -> Response:
        async with self._database.snapshot() as tx:
            reader = await self._reader(tx, request)
        return self._page(request, reader)

    @for_anybody
    async def act(self, request: Request) -> Response:
        """Do what a button or a mail program asks for. Always answers with the page, also the second time."""
        raw = await _body(request)
        asked = parse_qs(raw.decode("utf-8", "replace")).get("what", [""])[0]
        how: How = "page"
        if _ONE_CLICK.search(raw):
            asked, how = "topic", "one_click"
        if asked not in _SCOPES and asked != "back":
            async with self._database.snapshot() as tx:
                return self._page(request, await self._reader(tx, request), status=422)
        async with self._database.transaction() as tx:
            reader = await self._reader(tx, request)
            if reader is not None:
                if asked in _SCOPES:
                    await leave(tx, reader, _SCOPES[asked], how)
                else:
                    await come_back(tx, reader)
                reader = await self._reader(tx, request)
        return self._page(request, reader, done="left" if asked in _SCOPES else "back")

    async def _reader(self, tx: Tx, request: Request) -> Reader | None:
        delivery_id = read_leave_token(self._tokens, request.path_params["token"])
        return None if delivery_id is None else await find_reader(tx, delivery_id)

    def _page(
        self,
        request: Request,
        reader: Reader | None,
        *,
        status: int = 200,
        done: Literal["", "left", "back"] = "",
    ) -> Response:
        if reader is None:
            return self._look.page(request, "notify/bad_link.html", status=404)
        return self._look.page(
            request, "notify/leave.html", status=status, wish=reader.language, reader=reader, done=done
        )


def _check_page(database: Database, tokens: Tokens, look: MessageLook) -> Callable[..., Any]:
    @for_anybody
    async def check(request: Request) -> Response:
        """The form, and below the code somebody typed what we know of it: nothing about any person."""
        typed = request.query_params.get("code", "").strip()[:_LONGEST_CODE]
        message_id = read_check_code(tokens, typed)
        said = None
        if message_id is not None:
            async with database.snapshot() as tx:
                said = await what_we_said(tx, message_id, check_code(tokens, message_id))
        return look.page(request, "notify/check.html", typed=typed, said=said, mail_from=look.mail_from)

    return check


async def _body(request: Request) -> bytes:
    raw = b""
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > _LARGEST_FORM:
                raise HTTPException(413, f"This is more than we can take in one piece ({_LARGEST_FORM // 1024} kB).")
    except ClientDisconnect:
        raise HTTPException(400, "The connection ended before the form did.") from None
    return raw
