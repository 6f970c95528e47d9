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

from app.static_files import CONTENT_TYPES

Headers = tuple[tuple[bytes, bytes], ...]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".atom": "application/atom+xml; charset=utf-8",
    **CONTENT_TYPES,
}
# Files that exist once a language.
SPOKEN = (".html", ".atom")
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


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it is answered: plain or compressed, whole or "not modified"."""

    plain: Answer
    packed: Answer
    plain_unchanged: Answer
    packed_unchanged: Answer
    plain_tag: str
    packed_tag: str

    def answer(self, gzip_wanted: bool, if_none_match: str) -> Answer:
        """The answer that fits what the client understands and already holds."""
        if gzip_wanted:
            return self.packed_unchanged if _matches(if_none_match, self.packed_tag) else self.packed
        return self.plain_unchanged if _matches(if_none_match, self.plain_tag) else self.plain


def document(
    name: str,
    content: bytes,
    tag: str,
    *,
    compressed: bytes | None = None,
    status: int = 200,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Document:
    """The answers for a file called `name`.

    `tag` differs whenever the content does; `compressed` is the content as gzip, when it was made before; `more`:
    headers besides the usual.
    """
    kind = PurePath(name).suffix
    headers = {"content-type": _TYPES[kind], "x-content-type-options": "nosniff", **more}
    headers["cache-control"] = _FOR_EVER if name.startswith("static/") else _FRESH if status == 200 else "no-store"
    headers["vary"] = "Accept-Encoding, Accept-Language, Cookie" if kind in SPOKEN else "Accept-Encoding"
    if kind == ".html":
        headers |= GUARDS
    elif kind in (".json", ".atom"):
        headers["access-control-allow-origin"] = "*"
    if compressed is None:
        compressed = gzip.compress(content, 6, mtime=0)
    return _variants(headers, content, compressed, tag, status)


def _variants(headers: Mapping[str, str], content: bytes, compressed: bytes, tag: str, status: int) -> Document:
    plain, packed = f'"{tag}"', f'"{tag}-gz"'
    as_packed = {**headers, "content-encoding": "gzip"}
    return Document(
        plain=Answer(status, _headers({**headers, "etag": plain}, len(content)), content),
        packed=Answer(status, _headers({**as_packed, "etag": packed}, len(compressed)), compressed),
        plain_unchanged=Answer(304, _headers({**headers, "etag": plain}), b""),
        packed_unchanged=Answer(304, _headers({**headers, "etag": packed}), b""),
        plain_tag=plain if status == 200 else "",
        packed_tag=packed if status == 200 else "",
    )


def _headers(fields: Mapping[str, str], length: int | None = None) -> Headers:
    given = [(name.encode(), value.encode()) for name, value in fields.items()]
    return (*given, *([] if length is None else [(b"content-length", str(length).encode())]))


@lru_cache(1024)
def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client that sent this Accept-Encoding reads gzip."""
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "x-gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _matches(if_none_match: str, tag: str) -> bool:
    if not if_none_match or not tag:
        return False
    # Weak comparison (RFC 9110, 13.1.2): a cache on the way may have marked our tag as weak.
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in if_none_match.split(","))


@lru_cache(2)
def _http_date(second: int) -> bytes:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)).encode()
