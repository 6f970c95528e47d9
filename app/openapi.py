"""`/api/v1/openapi.json`: the API described by itself (OpenAPI 3.1), from what its handlers say beside themselves.

Who may enter comes from `foundation.access` and the table of rights, what goes in and out from `foundation.calls` and
the types there, the words from docstrings. Nothing is written down twice, so nothing can fall behind.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.answers import Document, document
from app.problems import REFUSED, Problem
from app.rights import RIGHTS, ROLES, TABLE
from app.schemas import Schemas
from foundation.access import entry_of, for_anybody
from foundation.calls import Call, call, call_of, given_type
from foundation.errors import Invalid, NotFound, Refusal
from incidents.statuspage_shape import DOCUMENTS

PATH = "/api/v1/openapi.json"
PROBLEM = "application/problem+json"
Json = dict[str, Any]

_ABOUT = (
    "Everything the desk does, and what anybody may ask. What is refused is answered as a problem document "
    "(RFC 9457) whose `code` is stable. Times are in UTC."
)
# Refusals of the door, that any call may meet: status, name, codes, what to do.
_ANY_CALL: Sequence[tuple[int, str, tuple[str, ...], str]] = (
    (414, "AddressTooLong", ("too_long",), "The address is longer than any of ours."),
    (429, "TooMany", ("too_many",), "Too many requests from one network at once: come back after `Retry-After`."),
    (431, "HeadersTooLarge", ("too_many_headers",), "More header fields, or longer ones, than anybody needs."),
    (500, "Broken", ("internal_error",), "Something broke on our side, and has been noted."),
    (503, "Unavailable", ("unavailable", "busy"), "Not now, nothing is lost: come back after `Retry-After`."),
)
_STAFF_CALL: Sequence[tuple[int, str, tuple[str, ...], str]] = (
    (401, "Unauthenticated", ("unauthenticated",), "Sign in first: send an API token."),
    (403, "Forbidden", ("forbidden",), "None of your roles has the right that this needs."),
)
_WITH_BODY: Sequence[tuple[int, str, tuple[str, ...], str]] = (
    (400, "Incomplete", ("bad_request",), "The connection ended before the body did."),
    (413, "TooLarge", ("too_large",), "The body is larger than anybody needs."),
)
_COME_BACK = {429, 503}
_CACHED = {
    "schema": {"type": "string"},
    "description": "The `ETag` of what you hold; when that is current the answer is 304 without a body.",
}
_REASON = "Why you do this, for the record of who did what."


class Undescribed(Exception):
    """A route under /api does not say what it takes and gives; the message names it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the API is: `public` and `desk` (for staff) are addresses, `session_cookie` is what people sign in with."""

    public: str
    desk: str
    session_cookie: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: a method at a path, the right it needs (None: open to anybody), what it says of itself.

    `is_file`: it is part of the status page, which is served without a route and without limits.
    """

    method: str
    path: str
    right: str | None
    said: Call
    words: str
    is_file: bool = False

    @property
    def id(self) -> str:
        """A name for it in generated clients, which stays as long as method and path do."""
        version, _, rest = self.path.removeprefix("/api/").partition("/")
        parts = re.sub("[{}]", "", rest.removesuffix(".json")).replace("-", "_").replace("/", "_")
        return f"{self.method}_{parts}" if version == "v1" else f"{self.method}_{version}_{parts}"

    @property
    def tag(self) -> str:
        """What it is about; the files of the status page are one thing."""
        return "statuspage" if self.is_file else self.path.split("/")[3].removesuffix(".json")

    @property
    def parts_of_path(self) -> list[str]:
        """The names in curly brackets."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


def route(routes: Sequence[BaseRoute], at: Places) -> Route:
    """The route of the document, which describes `routes` and itself. Raises `Undescribed`.

    The document is made when it is first asked for, which takes a third of a second: not every process is asked.
    """

    @for_anybody
    @call(gives=dict[str, Any], cached=True)
    async def described(request: Request) -> Response:
        """This document."""
        wanted = request.headers.get("accept-encoding", ""), request.headers.get("if-none-match", "")
        answer = (await run_in_threadpool(made)).answer(*wanted)
        response = Response(answer.body, answer.status)
        response.raw_headers = list(answer.headers)
        return response

    @cache
    def made() -> Document:
        content = msgspec.json.encode(describe(operations, at))
        return document("openapi.json", content, hashlib.sha256(content).hexdigest()[:20])

    own = Route(PATH, described, methods=["GET"])
    operations = [*operations_of([*routes, own])]
    return own


def describe(calls: Sequence[Operation], at: Places) -> Json:
    """The document of these calls and of the status page's files, as JSON would hold it."""
    operations = [*calls, *_files()]
    schemas = Schemas()
    schemas.add_answer(Problem)
    for one in operations:
        _add_types(schemas, one)
    schemas.make()
    paths: dict[str, Json] = {}
    for one in operations:
        item = paths.setdefault(one.path, {})
        item[one.method] = _operation(one, schemas)
        if one.right is not None and at.desk != at.public:
            item[one.method]["servers"] = [{"url": at.desk}]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stormdesk", "version": "1", "description": _ABOUT},
        "servers": [{"url": at.public}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas.components,
            "responses": {
                name: _refused(schemas, status, codes, words)
                for status, name, codes, words in (*_ANY_CALL, *_STAFF_CALL, *_WITH_BODY)
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`stormdesk token create` makes one."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": at.session_cookie,
                    "description": "Somebody signed in at the desk. Changes also need the page's `X-CSRF-Token`.",
                },
            },
        },
    }


def operations_of(routes: Sequence[BaseRoute]) -> Iterator[Operation]:
    """Every call under /api. Raises `Undescribed` for one that does not say what it takes and gives."""
    for one in routes:
        assert isinstance(one, Route)
        if not one.path.startswith("/api/"):
            continue
        said, entry, words = call_of(one.endpoint), entry_of(one.endpoint), (one.endpoint.__doc__ or "").strip()
        if said is None or not words:
            raise Undescribed(f"{one.path} does not say what it takes and gives: add @call(…) and a docstring.")
        assert entry is not None  # `shut` has seen it
        for method in sorted(one.methods - {"HEAD"}) if one.methods else ["POST"]:
            yield Operation(method.lower(), one.path, entry.right, said, words)


def _files() -> Iterator[Operation]:
    """The calls that are files of the status page: no route answers them, and they stand when nothing else does."""
    for path, kind in DOCUMENTS.items():
        yield Operation("get", path, None, Call(kind, cached=True), kind.__doc__, is_file=True)


def _add_types(schemas: Schemas, one: Operation) -> None:
    schemas.add_answer(one.said.gives)
    if one.said.takes is not None:
        schemas.add(one.said.takes)
    for kind in (one.said.path or {}).values():
        schemas.add(kind)
    for field in _parameters(one):
        schemas.add(given_type(field.type))


def _parameters(one: Operation) -> Sequence[msgspec.structs.FieldInfo]:
    return () if one.said.query is None else msgspec.structs.fields(one.said.query)


def _operation(one: Operation, schemas: Schemas) -> Json:
    words = " ".join(one.words.split())
    summary, _, more = words.partition(". ")
    made: Json = {
        "operationId": one.id,
        "tags": [one.tag],
        "summary": summary.rstrip("."),
        "description": _described(one, more),
        "parameters": list(_given(one, schemas)),
        "responses": _responses(one, schemas),
        "security": [] if one.right is None else [{"token": [one.right]}, {"session": [one.right]}],
    }
    if one.right is not None:
        made["x-right"] = one.right
    if one.said.takes is not None:
        schema = schemas.of(one.said.takes)
        made["requestBody"] = {
            "required": not one.said.may_be_empty,
            "content": {"application/json": {"schema": schema}},
        }
    return made


def _described(one: Operation, more: str) -> str:
    if one.right is None:
        return more or "Open to anybody."
    roles = ", ".join(role for role in ROLES if one.right in TABLE[role])
    return f"{more} Needs the right `{one.right}` ({RIGHTS[one.right]}), which these roles have: {roles}.".strip()


def _given(one: Operation, schemas: Schemas) -> Iterator[Json]:
    """Every parameter: of the path, the query and the header."""
    for name in one.parts_of_path:
        kind = (one.said.path or {}).get(name)
        schema = {"type": "string", "minLength": 1} if kind is None else schemas.of(kind)
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for field in _parameters(one):
        schema = dict(schemas.of(given_type(field.type)))
        if field.default not in (msgspec.NODEFAULT, None, ""):
            schema["default"] = field.default
        yield {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}
    for name, words in (one.said.headers or {}).items():
        yield {"name": name, "in": "header", "required": False, "description": words, "schema": {"type": "string"}}
    if one.said.cached:
        yield {"name": "If-None-Match", "in": "header", "required": False, **_CACHED}
    if one.right is not None:
        yield {
            "name": "X-Reason",
            "in": "header",
            "required": False,
            "description": _REASON,
            "schema": {"type": "string"},
        }


def _responses(one: Operation, schemas: Schemas) -> Json:
    said = one.said
    given: Json = {
        "description": HTTPStatus(said.status).phrase,
        "content": {media.partition(";")[0]: {"schema": schemas.of(said.gives)} for media in said.media},
    }
    if said.located:
        given["headers"] = {"Location": {"description": "Where it is now.", "schema": {"type": "string"}}}
    made = {str(said.status): given}
    if said.cached:
        made["304"] = {"description": "What you hold is current."}
    if one.is_file:
        missing = _refused(schemas, REFUSED[NotFound], ("not_found",), "There is no page yet.")
        return {**made, str(REFUSED[NotFound]): missing}
    shared = [*_ANY_CALL, *(_STAFF_CALL if one.right is not None else ()), *(_WITH_BODY if said.takes else ())]
    made |= {str(status): {"$ref": f"#/components/responses/{name}"} for status, name, _, _ in shared}
    for status, codes in sorted(_own_refusals(said, one).items()):
        made.setdefault(str(status), _refused(schemas, status, codes, HTTPStatus(status).phrase + "."))
    return dict(sorted(made.items()))


def _own_refusals(said: Call, one: Operation) -> dict[int, tuple[str, ...]]:
    refuses: dict[type[Refusal], Sequence[str]] = dict(said.refuses or {})
    if said.takes is not None:
        refuses[Invalid] = ("invalid", "not_json", *refuses.get(Invalid, ()))
    elif said.query is not None or one.parts_of_path:
        refuses[Invalid] = ("invalid", *refuses.get(Invalid, ()))
    return {REFUSED[kind]: tuple(dict.fromkeys(codes)) for kind, codes in refuses.items()}


def _refused(schemas: Schemas, status: int, codes: Sequence[str], words: str) -> Json:
    schema = {"allOf": [schemas.of(Problem), {"properties": {"status": {"const": status}, "code": {"enum": [*codes]}}}]}
    made: Json = {"description": words, "content": {PROBLEM: {"schema": schema}}}
    if status in _COME_BACK:
        made["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return made
