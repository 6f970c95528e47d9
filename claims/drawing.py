"""What every page and call of claims is made with: how it looks, its headers, its language, its body.

It speaks HTTP and knows nothing of contacts and cases.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope

from foundation.errors import Invalid

# A case is nobody's business but its owner's: not a cache's, not a search engine's.
PRIVATE = {
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
        return {**self.guards, **PRIVATE}


def json_answer(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json", headers={"Cache-Control": "no-store"})


def page(
    look: Look, request: Request, template: str, *, status: int = 200, wish: str | None = None, **context: Any
) -> Response:
    language = language_for(look, request, wish)
    text = look.render(template, language, page_name=look.page_name, zone=look.zone, **context)
    # Lone surrogates cannot come from a form read as UTF-8, but they can from a contact that came as JSON.
    return HTMLResponse(text.encode("utf-8", "replace"), status, headers=look.headers)


def language_for(look: Look, request: Request, wish: str | None = None) -> str:
    return look.language_of(request.query_params.get("lang"), wish, request.headers.get("accept-language"))


async def read_all(receive: Receive, most: int) -> bytes:
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


def local_moment(text: str, zone: str) -> datetime | None:
    """The time of a field of type datetime-local, in the page's zone; None when it is empty or none."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        fault = "We cannot read this time. Leave it empty, and we call as soon as we can."
        raise Invalid(fault) from None
