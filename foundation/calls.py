"""What a call of the API takes and gives, said beside its handler; and reading what came as that, every fault at once.

A handler under /api says `@call(...)` next to `@needs(...)`; its docstring says what it does. The API's document is
made of that (`app.openapi`), so it cannot say anything else than the code.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec

from foundation.errors import Fault, Invalid, Refusal

H = TypeVar("H", bound=Callable[..., Any])
T = TypeVar("T", bound=msgspec.Struct)
# The codes of refusals, by their class.
Refusals: TypeAlias = Mapping[type[Refusal], Sequence[str]]
_MARK = "call"
_JSON = ("application/json",)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Call:
    """What a call takes and gives. Types are whatever msgspec describes (structs, dataclasses, typed dicts, literals).

    `takes`: the JSON body, None when there is none; `may_be_empty`: no body is the same as all of it left out.
    `query`: a struct with a field for each parameter, read by `read_query`. `path`: the type of each part of the path
    that is not just text. `headers`: header fields that matter, and what they are for. `gives`: the answer, with this
    `status` and one of these media types; a `located` answer names what was made in `Location`, a `cached` one has an
    `ETag`. `refuses`: this call's own refusals; those that any call may meet need not be said.
    """

    gives: Any
    takes: Any = None
    may_be_empty: bool = False
    query: type[msgspec.Struct] | None = None
    path: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    status: int = 200
    media: Sequence[str] = _JSON
    located: bool = False
    cached: bool = False
    refuses: Refusals | None = None


def call(
    *,
    gives: Any,
    takes: Any = None,
    may_be_empty: bool = False,
    query: type[msgspec.Struct] | None = None,
    path: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
    media: Sequence[str] = _JSON,
    located: bool = False,
    cached: bool = False,
    refuses: Refusals | None = None,
) -> Callable[[H], H]:
    """Says of a handler what it takes and gives (`Call`)."""
    said = Call(gives, takes, may_be_empty, query, path, headers, status, media, located, cached, refuses)

    def mark(handler: H) -> H:
        setattr(handler, _MARK, said)
        return handler

    return mark


def call_of(handler: object) -> Call | None:
    """What a handler says of itself; None when it says nothing. A handler that is an object has `call = Call(…)`."""
    said = getattr(handler, _MARK, None)
    return said if isinstance(said, Call) else None


def read_body(raw: bytes, kind: type[T]) -> T:
    """The body as a `kind`. Raises Invalid with a fault for every field that is missing, unknown or wrong."""
    try:
        content = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("The request is not JSON.", code="not_json") from None
    faults: list[Fault] = []
    found = _convert(content, kind, "", faults)
    if faults:
        raise Invalid("Some fields need mending.", faults)
    return found  # type: ignore[no-any-return]  # of this kind, or there were faults


def read_query(given: Iterable[tuple[str, str]], kind: type[T]) -> T:
    """The parameters of a query string (`request.query_params.multi_items()`) as a `kind`.

    Raises Invalid with a fault for every one that is wrong, unknown or given twice: a filter that is misspelt must not
    quietly give everything.
    """
    known = {one.encode_name: one for one in msgspec.structs.fields(kind)}
    faults: list[Fault] = []
    found: dict[str, Any] = {}
    for name, text in given:
        if name not in known:
            faults.append(Fault(_join("", name), "There is no such parameter."))
        elif known[name].name in found:
            faults.append(Fault(name, "Give this once."))
        else:
            found[known[name].name] = _convert(_plain(text, known[name].type), known[name].type, name, faults)
    faults += [
        Fault(name, "This is required.") for name, one in known.items() if one.required and one.name not in found
    ]
    if faults:
        raise Invalid("Some of the address's parameters need mending.", faults)
    return kind(**found)


def given_type(kind: Any) -> Any:
    """The type of a parameter when it is given: `int | None` is `int`."""
    if get_origin(kind) is Union or type(kind).__name__ == "UnionType":
        left = [one for one in get_args(kind) if one is not type(None)]
        return Union[tuple(left)]  # noqa: UP007 (built at run time)
    return kind


def _plain(text: str, kind: Any) -> Any:
    """The text of a parameter as JSON would hold it: a number or a truth where that is meant, else the text."""
    bare = given_type(kind)
    while hasattr(bare, "__metadata__"):
        bare = bare.__origin__
    if bare is bool and text in ("true", "false"):
        return text == "true"
    if bare is int and _WHOLE.fullmatch(text):
        return int(text)
    return text


def _convert(value: Any, kind: Any, field: str, faults: list[Fault]) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _convert_struct(value, kind, field, faults)
    if get_origin(kind) is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        return {name: _convert(one, inner, _join(field, name), faults) for name, one in value.items()}
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        faults.append(Fault(field, str(error).partition(" - at ")[0].replace("`", "") + "."))
        return None


def _convert_struct(value: Any, kind: type[msgspec.Struct], field: str, faults: list[Fault]) -> Any:
    if not isinstance(value, dict):
        faults.append(Fault(field or "body", "Expected an object."))
        return None
    known = {one.name: one for one in msgspec.structs.fields(kind)}
    before = len(faults)
    faults += [Fault(_join(field, name), "There is no such field.") for name in value.keys() - known.keys()]
    for name, one in known.items():
        if one.required and name not in value:
            faults.append(Fault(_join(field, name), "This is required."))
    given = {
        name: _convert(value[name], one.type, _join(field, name), faults)
        for name, one in known.items()
        if name in value
    }
    return kind(**given) if len(faults) == before else None


def _join(field: str, name: str) -> str:
    return f"{field}.{name}"[-200:] if field else name[:200]
