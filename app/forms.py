"""Forms of the desk: read with limits, and taken only when our own page sent them (CSRF).

Two proofs are asked of every change made with a cookie: that the browser says the request comes from our own site
(Sec-Fetch-Site, or else Origin), and a token bound to the cookie, in the field `csrf` or the header X-CSRF-Token.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from foundation.errors import Fault, Invalid
from foundation.tokens import BadToken, Tokens

LARGEST_FORM = 1 << 20  # bytes; what the application takes at most of any body
MOST_FIELDS = 200
_PURPOSE = "form"
_FORM = "application/x-www-form-urlencoded"


class ForeignForm(Exception):
    """A change was asked for by a page that is not ours, or by one that is too old. The message says what to do."""


def form_token(tokens: Tokens, binding: str) -> str:
    """What a form carries to prove that we made it for the holder of the cookie `binding`."""
    return tokens.sign(_PURPOSE, _digest(binding))


async def check_own_form(request: Request, tokens: Tokens, binding: str) -> tuple[Receive, str]:
    """Raises `ForeignForm` unless our own page sent this; else its body to be received again, and its `reason`."""
    body = await read_body(request)
    fields = _fields(body) if _is_form(request) else await _beside_files(request, body)
    check_sender(request, tokens, binding, fields)
    return _again(body), fields.get("reason", "")


def check_sender(request: Request, tokens: Tokens, binding: str, fields: Mapping[str, str]) -> None:
    """Raises `ForeignForm` unless both proofs hold for a form with these `fields`."""
    if not _from_our_site(request):
        raise ForeignForm("This form was sent from another site, so we did not take it. Nothing was changed.")
    try:
        made_for = tokens.read(_PURPOSE, fields.get("csrf") or request.headers.get("x-csrf-token", ""))
    except BadToken:
        made_for = b""
    if not binding or made_for != _digest(binding):
        raise ForeignForm("This form is too old. Nothing was changed. Please open the page again and repeat it.")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form; of one that comes twice, the first. Raises HTTPException when there is too much."""
    return _fields(await read_body(request))


def every(body: bytes, name: str) -> list[str]:
    """Every value of the field `name` (tick boxes)."""
    return _parsed(body).get(name, [])


def local_field(at: datetime | None, zone: str) -> str:
    """A moment as a field of type datetime-local shows it; empty for none."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}" if at else ""


def moment_in(typed: Mapping[str, str], field: str, zone: str) -> datetime | None:
    """The moment in a field of type datetime-local, in the page's zone; None when it is empty. Raises Invalid."""
    try:
        text = typed.get(field, "").strip()
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        said = "Write this time as 2026-08-31T14:30."
        raise Invalid("We cannot read a time.", [Fault(field, said)]) from None


async def read_body(request: Request) -> bytes:
    """The body of a request, refused once it is longer than a form of ours can be."""
    try:
        body = await request.body()  # the application takes no more than that of anything
    except ClientDisconnect:
        raise HTTPException(400, "The connection ended before the form did.") from None
    if len(body) > LARGEST_FORM:
        raise HTTPException(413, f"This is more than we can take in one piece ({LARGEST_FORM >> 10} kB).")
    return body


def _fields(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in _parsed(body).items()}


def _parsed(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(413, f"This form has more than {MOST_FIELDS} fields.") from None


async def _beside_files(request: Request, body: bytes) -> dict[str, str]:
    """The fields of a form with files; none when it is no form at all."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return {}
    try:
        async with Request(request.scope, _again(body)).form(max_files=10, max_fields=MOST_FIELDS) as form:
            return {name: value for name, value in form.items() if isinstance(value, str)}
    except MultiPartException:
        raise HTTPException(400, "This form cannot be read.") from None


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


def _from_our_site(request: Request) -> bool:
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site == "same-origin"
    if (origin := request.headers.get("origin")) is not None:
        # Older browsers. A page elsewhere cannot have our cookie and another Host.
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    return True  # no browser of the last years; the token decides


def _again(body: bytes) -> Receive:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _digest(binding: str) -> bytes:
    return hashlib.sha256(binding.encode("utf-8", "replace")).digest()[:16]
