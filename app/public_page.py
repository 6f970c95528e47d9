"""Serves the status page from memory: the files in STATUS_DIR and nothing else, so it needs no database and no queue.

It follows the manifest the renderer writes last, and when the page has grown old it says so in the page. It knows HTTP
and files; what the page says is the renderer's.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from babel.dates import format_timedelta
from starlette.types import ASGIApp, Receive, Scope, Send

from app.answers import HSTS, SCRIPTED, Answer, Document, document
from app.language_choice import choice, cookies_for
from app.problems import problem
from app.static_files import static_files
from app.templates import moment, render
from foundation.clock import Clock, Monotonic, system_clock
from foundation.languages import SPOKEN
from incidents.page_contents import AGE_PLACE
from incidents.page_files import MANIFEST, compressed_beside, read_manifest, sha256

LOOK_EVERY = 0.25  # seconds between two looks at the manifest
OLD_AFTER = 120  # seconds; the renderer writes every 30

# The header fields a `PageRequest` takes, in its order.
READ = (b"accept-encoding", b"accept-language", b"if-none-match", b"cookie")

_PLACE = AGE_PLACE.encode()


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    content: bytes
    digest: str
    fresh: Document


class PageRequest(NamedTuple):
    """A plain GET, as far as the page needs to know it."""

    path: str
    query: str = ""
    accept_encoding: str = ""
    accept_language: str = ""
    if_none_match: str = ""
    cookie: str = ""


class Edition(NamedTuple):
    """Which edition is served. `as_of`: Unix seconds; `fingerprint` differs when something public does."""

    as_of: float
    fingerprint: str


class PageStore:
    """The current edition of `status_dir`, in memory, looked after at every answer (a stat each 250 ms at most)."""

    def __init__(
        self,
        status_dir: Path,
        *,
        clock: Clock = system_clock,
        monotonic: Monotonic = time.monotonic,
        https: bool = False,
    ) -> None:
        self._folder = status_dir
        self._https = https
        self._clock = clock
        self._monotonic = monotonic
        self._looked = float("-inf")
        self._seen: tuple[int, int] | None = None
        self._files: dict[str, _File] = {}
        self._edition = Edition(0.0, "")
        self._zoned = _Zoned(monotonic)
        self._minutes = 0
        self._documents: dict[tuple[str, str], Document] = {}
        self._own = _own_files(https)

    def answer(self, request: PageRequest) -> Answer | None:
        """What to say; None when it is not the page's to answer."""
        self._look_now_and_then()
        path, wish = request.path, choice(request.query, request.accept_language, request.cookie)
        language = wish.language
        found = self._documents.get((path, language)) or self._documents.get((path, ""))
        if found is None:
            found = self._missing(path, language)
        if found is None:
            return None
        if wish.zone:
            found = self._zoned.document(path, language, wish.zone, found)
        if wish.remember:
            return found.plain.remembering(cookies_for(request.query, https=self._https))
        return found.answer(request.accept_encoding, request.if_none_match)

    def edition(self) -> Edition:
        """Which edition would be answered with now."""
        self._look_now_and_then()
        return self._edition

    def content(self, name: str) -> bytes | None:
        """What a file of the edition holds; None when there is none of that name."""
        self._look_now_and_then()
        found = self._files.get(name)
        return None if found is None else found.content

    def _look_now_and_then(self) -> None:
        now = self._monotonic()
        if now - self._looked >= LOOK_EVERY or not self._files:
            self._looked = now
            self._look()

    def _missing(self, path: str, language: str) -> Document | None:
        if path.startswith("/api/v2/"):
            return _nothing_as_data(self._https)
        if path.startswith(("/incidents/", "/static/")):
            return _notice("missing", language, 404, self._https)
        if path in ("/", "/history"):  # an edition has them: there is none yet
            return _notice("starting", language, 503, self._https)
        return None

    def _look(self) -> None:
        try:
            state = (self._folder / MANIFEST).stat()
        except OSError:  # gone or out of reach: what is in memory stays, and grows old openly
            pass
        else:
            if (mark := (state.st_mtime_ns, state.st_ino)) != self._seen and self._load():
                self._seen = mark
        minutes = int((self._clock().timestamp() - self._edition.as_of) // 60) if self._files else 0
        minutes = minutes if minutes * 60 >= OLD_AFTER else 0
        if minutes != self._minutes or not self._documents:
            self._minutes = minutes
            self._documents = self._table()
            self._zoned.forget()

    def _load(self) -> bool:
        """Take over the edition on disk; False while it is being replaced (the next look will find it whole)."""
        manifest = read_manifest(self._folder)
        if manifest is None:
            return False
        files = {name: self._file(name, digest) for name, digest in manifest.files.items()}
        whole = all(one is None or one.digest == manifest.files[one.name] for one in files.values())
        if not whole and self._files:
            return False
        self._files = {name: one for name, one in files.items() if one is not None}
        self._edition = Edition(manifest.as_of, manifest.fingerprint)
        self._documents = {}
        return whole

    def _file(self, name: str, digest: str) -> _File | None:
        known = self._files.get(name)
        if known is not None and known.digest == digest:
            return known
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            return None
        actual = sha256(content)
        compressed = compressed_beside(self._folder / name, content)
        more = self._more(name)
        return _File(name, content, actual, document(name, content, actual[:20], compressed=compressed, more=more))

    def _more(self, name: str) -> Mapping[str, str]:
        return {**_more(self._https), **(SCRIPTED if name.endswith(".html") else {})}

    def _table(self) -> dict[tuple[str, str], Document]:
        table = {(f"/{one.name}", ""): one.fresh for one in self._own}
        for one in self._files.values():
            document = self._aged(one) if self._minutes and one.name.endswith(".html") else one.fresh
            table[_address(one.name)] = document
        return table

    def _aged(self, one: _File) -> Document:
        if _PLACE not in one.content:
            return one.fresh
        language = _address(one.name)[1]
        age = format_timedelta(timedelta(minutes=self._minutes), granularity="minute", locale=language)
        warning = render("incidents/stale.html", language, age=age).encode()
        return document(
            one.name,
            one.content.replace(_PLACE, warning),
            f"{one.digest[:20]}-{self._minutes}m",
            more=self._more(one.name),
        )


class PublicPage:
    """An ASGI application that answers for the page and hands everything else to `app`.

    `let_go`: called once the process is told to end; ends answers that would go on for as long as somebody listens.
    """

    def __init__(self, store: PageStore, app: ASGIApp, let_go: Callable[[], None] = lambda: None) -> None:
        self.store = store
        self.let_go = let_go
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        asked = (headers.get(name, "") for name in READ)
        answer = self.store.answer(PageRequest(scope["path"], scope["query_string"].decode("latin-1"), *asked))
        if answer is None:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def _address(name: str) -> tuple[str, str]:
    """Where a file is found: `incidents/abc.nl.html` → ("/incidents/abc", "nl"), `feed.nl.atom` → ("/feed.atom", "nl").

    What has no language is found under its own name.
    """
    stem, _, rest = name.partition(".")
    language, _, kind = rest.rpartition(".")
    if language not in SPOKEN:
        return f"/{name}", ""
    path = "/" if stem == "index" else f"/{stem}"
    return (path if kind == "html" else f"{path}.{kind}"), language


class _Zoned:
    """Pages with their times in another zone, made from the page itself when first asked for. Few, and few a second:
    beyond that a reader gets the page as it is, which names its zone beside every time.
    """

    MOST = 128
    PER_SECOND = 20.0

    def __init__(self, monotonic: Monotonic) -> None:
        self._monotonic = monotonic
        self._made: dict[tuple[str, str, str], Document] = {}
        self._credit, self._since = self.PER_SECOND, monotonic()

    def forget(self) -> None:
        self._made = {}

    def document(self, path: str, language: str, zone: str, page: Document) -> Document:
        key = (path, language, zone)
        found = self._made.get(key)
        if found is not None or not page.is_page or not self._may():
            return found or page
        if len(self._made) >= self.MOST:
            self._made.clear()
        made = page.rewritten(in_zone(page.plain.body, zone, language), f"-{zone.replace('/', '.')}")
        self._made[key] = made
        return made

    def _may(self) -> bool:
        now = self._monotonic()
        self._credit = min(self.PER_SECOND, self._credit + (now - self._since) * self.PER_SECOND)
        self._since = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True


_TIME = re.compile(rb'(<time datetime="([0-9-]{10}T[0-9:+-]{8,20})"[^>]*>)[^<]*')
_OPTION = re.compile(rb'<option value="([A-Za-z/_]+)"')


def in_zone(page: bytes, zone: str, language: str) -> bytes:
    """A page with every time of `parts.time` in another zone, and that zone chosen in its form."""

    def moved(found: re.Match[bytes]) -> bytes:
        return found[1] + moment(datetime.fromisoformat(found[2].decode()), zone, language).encode()

    def chosen(found: re.Match[bytes]) -> bytes:
        return found[0] + b" selected" if found[1].decode() == zone else found[0]

    return _OPTION.sub(chosen, _TIME.sub(moved, page))


@lru_cache
def _own_files(https: bool) -> tuple[_File, ...]:
    """Our style sheet and icon, for pages that do not come from STATUS_DIR and for the time before there is one."""
    made = []
    for name, content in static_files().items():
        digest = sha256(content)
        made.append(
            _File(
                f"static/{name}", content, digest, document(f"static/{name}", content, digest[:20], more=_more(https))
            )
        )
    return tuple(made)


@lru_cache
def _notice(template: str, language: str, status: int, https: bool) -> Document:
    content = render(f"incidents/{template}.html", language).encode()
    return document(f"{template}.html", content, template, status=status, more=_more(https))


@lru_cache
def _nothing_as_data(https: bool) -> Document:
    content = problem(404, "not_found", "There is no such document.").body
    more = {**_more(https), "content-type": "application/problem+json"}
    return document("missing.json", bytes(content), "missing", status=404, more=more)


def _more(https: bool) -> Mapping[str, str]:
    return HSTS if https else {}
