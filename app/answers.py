"""Answers made once and given many times: a file in every form HTTP asks for (plain, compressed, "not modified").

It knows HTTP and bytes, not where they come from.
"""

import gzip
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath
from types import MappingProxyType
from typing import NamedTuple

from app.static_files import CONTENT_TYPES

Headers = tuple[tuple[bytes, bytes], ...]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".atom": "application/atom+xml; charset=utf-8",
    ".rss": "application/rss+xml; charset=utf-8",
    ".ics": "text/calendar; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml; charset=utf-8",
    **CONTENT_TYPES,
}
# Files that exist once a language.
SPOKEN = (".html", ".atom", ".rss", ".ics")
# What other sites may read with a script.
_SHARED = (".json", ".atom", ".rss", ".ics", ".xml", ".svg")
_FRESH = "public, max-age=10"
_FOR_EVER = "public, max-age=31536000, immutable"
# Of every page. None needs a script or anything from elsewhere: whatever slipped through escaping would still be inert.
GUARDS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
}
# Of what is no page of ours, and could be opened like one.
INERT = "default-src 'none'; frame-ancestors 'none'"
# Of the pages that one script, a file of ours, renews: it may run, and ask us; nothing comes from elsewhere still.
SCRIPTED = {
    **GUARDS,
    "content-security-policy": GUARDS["content-security-policy"] + "; script-src 'self'; connect-src 'self'",
}
# Of every answer of an installation that is opened by https: browsers come back by https only, for two years.
HSTS = {"strict-transport-security": "max-age=63072000; includeSubDomains"}
_REASONS = {200: b"OK", 304: b"Not Modified", 404: b"Not Found", 503: b"Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `raw(date)` is the same as bytes for HTTP/1.1, kept for the second it was made in."""

    status: int
    headers: Headers
    body: bytes
    _raw: list[tuple[int, bytes]] = field(default_factory=list, compare=False)

    def remembering(self, cookies: Sequence[tuple[bytes, bytes]]) -> "Answer":
        """The same, with these cookies set; for this reader alone, so no cache on the way may keep it."""
        kept = [(name, b"no-store" if name == b"cache-control" else value) for name, value in self.headers]
        return Answer(self.status, (*kept, *cookies), self.body)

    def raw(self, second: int) -> bytes:
        """Status line, headers with the date of `second` (Unix time), and body."""
        if self._raw and self._raw[0][0] == second:
            return self._raw[0][1]
        lines = [b"HTTP/1.1 ", str(self.status).encode(), b" ", _REASONS[self.status], b"\r\n"]
        for name, value in self.headers:
            lines += [name, b": ", value, b"\r\n"]
        made = b"".join([*lines, b"date: ", _http_date(second), b"\r\n\r\n", self.body])
        self._raw[:] = [(second, made)]
        return made


class Form(NamedTuple):
    """A file in one encoding: whole, "not modified", and the tag that tells which it is ("": never unchanged)."""

    fresh: Answer
    unchanged: Answer
    tag: str


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it is answered, by the encodings it exists in; `identity` always is one."""

    forms: Mapping[str, Form]

    @property
    def plain(self) -> Answer:
        """The whole of it, not compressed."""
        return self.forms["identity"].fresh

    @property
    def is_page(self) -> bool:
        """Whether people read it in a browser."""
        return (b"content-type", _TYPES[".html"].encode()) in self.plain.headers

    def rewritten(self, content: bytes, mark: str) -> "Document":
        """The same with another content; `mark` sets its tag apart."""
        form = self.forms["identity"]
        own = ("etag", "content-length")
        headers = {name.decode(): value.decode() for name, value in form.fresh.headers if name.decode() not in own}
        tag, status = form.tag.strip('"') + mark, form.fresh.status
        packed = gzip.compress(content, 5, mtime=0)
        return Document(
            {
                "identity": _form(headers, content, tag, status),
                "gzip": _form({**headers, "content-encoding": "gzip"}, packed, f"{tag}-gzip", status),
            }
        )

    def answer(self, accept_encoding: str, if_none_match: str) -> Answer:
        """The answer that fits what the client understands and already holds."""
        form = self.forms.get(best_encoding(accept_encoding)) or self.forms["identity"]
        return form.unchanged if if_none_match and _matches(if_none_match, form.tag) else form.fresh


def document(
    name: str,
    content: bytes,
    tag: str,
    *,
    compressed: Mapping[str, bytes] = MappingProxyType({}),
    status: int = 200,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Document:
    """The answers for a file called `name`.

    `tag` differs whenever the content does; `compressed`: the content in other encodings, as far as it was made before;
    `more`: headers besides the usual, or instead of them.
    """
    kind = PurePath(name).suffix
    headers = {"content-type": type_of(name), "x-content-type-options": "nosniff"}
    headers["cache-control"] = _FOR_EVER if name.startswith("static/") else _FRESH if status == 200 else "no-store"
    headers["vary"] = "Accept-Encoding, Accept-Language, Cookie" if kind in SPOKEN else "Accept-Encoding"
    if kind == ".html":
        headers |= GUARDS
    elif kind in _SHARED:
        headers["access-control-allow-origin"] = "*"
    if kind == ".svg":  # opened by itself it is a page, in which a script could run
        headers["content-security-policy"] = INERT
    headers |= more
    bodies = {"gzip": gzip.compress(content, 6, mtime=0), **compressed} if "gzip" not in compressed else compressed
    forms = {"identity": _form(headers, content, tag, status)}
    for encoding, packed in bodies.items():
        as_packed = {**headers, "content-encoding": encoding}
        forms[encoding] = _form(as_packed, packed, f"{tag}-{encoding}", status)
    return Document(forms)


def type_of(name: str) -> str:
    """The content type of a file called `name`."""
    kind = PurePath(name).suffix
    return "application/cap+xml; charset=utf-8" if kind == ".xml" and name.startswith("incidents/") else _TYPES[kind]


def _form(headers: Mapping[str, str], body: bytes, tag: str, status: int) -> Form:
    tagged = {**headers, "etag": f'"{tag}"'}
    kept = {name: value for name, value in tagged.items() if name != "content-encoding"}
    whole = Answer(status, _headers(tagged, len(body)), body)
    return Form(whole, Answer(304, _headers(kept), b""), f'"{tag}"' if status == 200 else "")


def _headers(fields: Mapping[str, str], length: int | None = None) -> Headers:
    given = [(name.encode(), value.encode()) for name, value in fields.items()]
    return (*given, *([] if length is None else [(b"content-length", str(length).encode())]))


# The smallest first: the client decides by what it refuses, and by weight only where it says so.
_ENCODINGS = ("br", "gzip")


@lru_cache(1024)
def best_encoding(accept_encoding: str) -> str:
    """What to send to a client that sent this Accept-Encoding: br, gzip or identity."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip().removeprefix("x-")] = _weight(weight)
    wanted = [(weights.get(one, weights.get("*", 0.0)), -place, one) for place, one in enumerate(_ENCODINGS)]
    most, _, best = max(wanted)
    return best if most > 0 else "identity"


def _weight(parameter: str) -> float:
    name, _, value = parameter.replace(" ", "").partition("=")
    try:
        return min(1.0, max(0.0, float(value))) if name == "q" else 1.0
    except ValueError:
        return 0.0


def _matches(if_none_match: str, tag: str) -> bool:
    if not if_none_match or not tag:
        return False
    # Weak comparison (RFC 9110, 13.1.2): a cache on the way may have marked our tag as weak.
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in if_none_match.split(","))


@lru_cache(2)
def _http_date(second: int) -> bytes:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)).encode()
