"""Turns refusals into answers: `application/problem+json` (RFC 9457) with a stable code, never a stack trace.

Whoever reads a page gets a page: words instead of JSON where a browser asks for something outside /api.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app.answers import GUARDS
from app.desk import Desk
from app.proof import NOT_PROVEN
from app.templates import render
from foundation.database import DatabaseAway
from foundation.errors import Busy, Conflict, Fault, Invalid, NotFound, Refusal
from foundation.languages import choose_language

_log = structlog.get_logger()
_SIGNED_OUT = "You are signed out. Sign in and repeat it."

# What the class of a refusal is in HTTP.
REFUSED: dict[type[Refusal], int] = {Invalid: 422, NotFound: 404, Conflict: 409, Busy: 503}
_HTTP_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}


class Problem(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why something was not done (RFC 9457). `code` is stable; `detail` is for people; `errors`: field by field."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: Sequence[Fault] = ()


def problem(
    status: int, code: str, detail: str, *, retry_after: int | None = None, errors: Sequence[Fault] = ()
) -> Response:
    """One problem document."""
    kind, title = f"urn:stormdesk:{code}", code.replace("_", " ")
    said = Problem(type=kind, title=title, status=status, code=code, detail=detail, errors=errors)
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Response(
        msgspec.json.encode(said),
        status,
        headers={"Cache-Control": "no-store", **headers},
        media_type="application/problem+json",
    )


def _reads_pages(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not f"{request.url.path}/".startswith("/api/")


def _page(request: Request, template: str, status: int, *, retry_after: int | None = None) -> Response:
    language = choose_language(request.query_params.get("lang"), request.headers.get("accept-language"))
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    text = render(template, language)
    return HTMLResponse(text, status, headers={**GUARDS, "Cache-Control": "no-store", **headers})


class Problems:
    """The answers to everything that goes wrong, for Starlette."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def refusal(self, request: Request, error: Exception) -> Response:
        """The answer to a `Refusal`."""
        assert isinstance(error, Refusal)
        status = next((code for kind, code in REFUSED.items() if isinstance(error, kind)), 400)
        if _is_at_desk(request):
            return self._desk.page(request, "app/refused.html", status, said=error.message)
        return problem(status, error.code, error.message, retry_after=error.retry_after, errors=error.faults)

    async def http_error(self, request: Request, error: Exception) -> Response:
        """The answer to Starlette's own errors (no such route, wrong method, no right to enter)."""
        assert isinstance(error, HTTPException)
        status = error.status_code
        if status == 403 and not request.user.is_authenticated:
            return self._sign_in_first(request, error)
        if status == 403 and _is_at_desk(request) and error.detail == NOT_PROVEN:
            return self._desk.to("/desk/again?next=%2Fdesk%2Fusers")
        if status == 403 and _is_at_desk(request):
            return self._desk.page(request, "app/refused.html", 403, said=str(error.detail))
        if status == 404 and (onward := _without_slash(request)):
            return RedirectResponse(onward, 307)
        if status == 404 and _reads_pages(request):
            return _page(request, "incidents/missing.html", 404)
        answer = problem(status, _HTTP_CODES.get(status, "http_error"), str(error.detail))
        answer.headers.update(error.headers or {})
        if status == 405 and (allowed := _methods(request)):
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    async def away(self, request: Request, _: Exception) -> Response:
        """The answer while the database is away: come back, nothing is lost."""
        if _reads_pages(request):
            return _page(request, "app/away.html", 503, retry_after=30)
        return problem(503, "unavailable", "We cannot store this right now. Please try again shortly.", retry_after=5)

    async def unstorable(self, _: Request, error: Exception) -> Response:
        """PostgreSQL keeps any character but NUL. Nobody types one, so it is told, not repaired."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if getattr(cause, "sqlstate", None) != "22021":
            raise error
        return problem(422, "invalid", "This holds the character NUL, which cannot be stored. Please leave it out.")

    async def half(self, _: Request, __: Exception) -> Response:
        """The answer when somebody left, or took too long, before all of the body had come. Nobody may be there."""
        return problem(400, "bad_request", "The connection ended before the text did.")

    async def unexpected(self, request: Request, error: Exception) -> Response:
        """The answer when we broke: a bug, or the database went away before a route was reached (while signing in)."""
        if isinstance(error, DatabaseAway):
            return await self.away(request, error)
        _log.error("request failed", route=_route(request), exc_info=error)
        return problem(500, "internal_error", "Something broke on our side. It has been noted.")

    def _sign_in_first(self, request: Request, error: HTTPException) -> Response:
        if _is_at_desk(request):
            if request.method not in ("GET", "HEAD"):
                said = str(error.detail) if error.detail != "Forbidden" else _SIGNED_OUT
                return self._desk.page(request, "app/refused.html", 401, said=said)
            return self._desk.to(f"/desk/sign-in?{urlencode({'next': request.url.path})}")
        answer = problem(401, "unauthenticated", "Sign in first: send an API token as Authorization: Bearer …")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer


def _is_at_desk(request: Request) -> bool:
    return request.url.path.startswith("/desk")


def _without_slash(request: Request) -> str:
    """Where a page is whose address somebody typed with a slash too many; empty when it is not that.

    Not for calls of the API, whose addresses are typed once. By the path alone: what the Host field says is not ours.
    """
    path = request.url.path.rstrip("/")
    is_page = any(isinstance(route, Route) and route.path_regex.match(path) for route in request.app.routes)
    if path == request.url.path or f"{path}/".startswith("/api/") or not is_page:
        return ""
    return f"{path}?{request.url.query}" if request.url.query else path


def _methods(request: Request) -> set[str]:
    """Every method that some route takes at this address; Starlette names those of the first."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.path_regex.match(request.url.path):
            found |= route.methods or set()
    return found


def _route(request: Request) -> str:
    # Not the address: links carry what only their readers may have.
    route = request.scope.get("route")
    return str(getattr(route, "path", "none"))
