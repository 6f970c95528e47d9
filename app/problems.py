"""Turns refusals into answers: `application/problem+json` (RFC 9457) with a stable code, never a stack trace."""

from typing import Any

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from foundation.database import DatabaseAway
from foundation.errors import Busy, Conflict, Invalid, NotFound, Refusal

_log = structlog.get_logger()

_STATUS: dict[type[Refusal], int] = {Invalid: 422, NotFound: 404, Conflict: 409, Busy: 503}
_HTTP_CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def problem(status: int, code: str, detail: str, *, retry_after: int | None = None, **more: Any) -> Response:
    """One problem document."""
    body = {"type": f"urn:stormdesk:{code}", "title": code.replace("_", " "), "status": status, "code": code}
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Response(
        msgspec.json.encode({**body, "detail": detail, **more}),
        status,
        headers={"Cache-Control": "no-store", **headers},
        media_type="application/problem+json",
    )


async def refusal(_: Request, error: Exception) -> Response:
    """The answer to a `Refusal`."""
    assert isinstance(error, Refusal)
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
    faults = [{"field": fault.field, "message": fault.message} for fault in error.faults]
    more = {"errors": faults} if faults else {}
    return problem(status, error.code, error.message, retry_after=error.retry_after, **more)


async def http_error(request: Request, error: Exception) -> Response:
    """The answer to Starlette's own errors (no such route, wrong method, no right to enter)."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    if status == 403 and not request.user.is_authenticated:
        answer = problem(401, "unauthenticated", "Sign in first: send an API token as Authorization: Bearer …")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    answer = problem(status, _HTTP_CODES.get(status, "http_error"), str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def unexpected(request: Request, error: Exception) -> Response:
    """The answer when we broke. A database that is away says so and asks to come back; anything else is a bug."""
    if isinstance(error, DatabaseAway):
        return problem(503, "unavailable", "We cannot store this right now. Please try again shortly.", retry_after=5)
    _log.error("request failed", path=request.url.path, exc_info=error)
    return problem(500, "internal_error", "Something broke on our side. It has been noted.")
