"""How much of anything anybody may send, and how fast: asked at the edge, before a route is reached.

Per client address the limits are wide: behind one address there may be an airport or a phone network. What is tight is
tied to what is asked about: one receipt cannot be tried again and again. Numbers and reasons:
docs/decisions/0021-limits.md. Counted in this process's memory (the library `limits`): a storm must not become writes,
and two processes at worst let through twice as much.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.client_address import is_this_machine, is_unknown_proxy, network_of
from app.problems import problem
from claims.uploads import LARGEST_UPLOAD

_log = structlog.get_logger()
_TOO_LARGE = "This is more than we can take in one piece (1024 kB)."
_TOO_MANY = "Too many requests from your network at once. Please try again soon."

LARGEST_BODY = 1 << 20  # bytes; nobody sends more than an update in all its languages, or a form that comes back
BODY_SECONDS = 30.0  # a body must have come in by then
# With files, over a phone network in a storm; only where files are taken.
UPLOAD_SECONDS = 300.0
_UPLOADS = re.compile(r"/claim|/api/v1/contacts|/t/[^/]+/files|/desk/calls/file")
MOST_HEADERS = 100
LONGEST_HEADER = 8 << 10  # bytes, name and value
LONGEST_TARGET = 4 << 10


@dataclass(frozen=True, slots=True)
class _Limit:
    """`item` for each client network; for what ends in a name (a receipt, a token) `each` per network and name."""

    item: RateLimitItem
    each: RateLimitItem | None = None


# By method and the beginning of the path; the first that fits counts.
_LIMITS: tuple[tuple[str, str, _Limit], ...] = (
    ("POST", "/api/v1/contacts", _Limit(RateLimitItemPerMinute(6000))),
    ("GET", "/api/v1/contacts/", _Limit(RateLimitItemPerMinute(3000), RateLimitItemPerMinute(60))),
    ("POST", "/claim", _Limit(RateLimitItemPerMinute(3000))),
    ("POST", "/follow", _Limit(RateLimitItemPerMinute(600))),
    ("POST", "/u/", _Limit(RateLimitItemPerMinute(3000))),  # mail providers do it for many of their users at once
    ("POST", "/api/v1/alerts/", _Limit(RateLimitItemPerMinute(600))),
    ("POST", "/track", _Limit(RateLimitItemPerMinute(600))),
    ("POST", "/t/", _Limit(RateLimitItemPerMinute(3000), RateLimitItemPerMinute(30))),
    ("POST", "/api/v1/posts", _Limit(RateLimitItemPerMinute(3000))),
    ("GET", "/t/", _Limit(RateLimitItemPerMinute(6000), RateLimitItemPerMinute(120))),
    ("POST", "/desk/sign-in", _Limit(RateLimitItemPerMinute(300))),
    ("POST", "/desk/welcome/", _Limit(RateLimitItemPerMinute(120))),
    ("GET", "/desk/welcome/", _Limit(RateLimitItemPerMinute(300))),
    ("GET", "/desk/sign-in/provider", _Limit(RateLimitItemPerMinute(120))),
)
# Whatever else a stranger may ask of the application.
_OTHERWISE = _Limit(RateLimitItemPerMinute(6000))


class Limits:
    """An ASGI application in front of another that keeps clients within what anybody may ask."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refused := _too_large(scope):
            await _answer(send, *refused)
            return
        wait = None if is_this_machine(scope) or self._is_unknown_proxy(scope) else self._wait(scope)
        if wait is not None:
            await _answer(send, 429, "too_many", _TOO_MANY, wait)
            return
        await self._app(scope, _bounded(receive, *_room(scope)), send)

    def _is_unknown_proxy(self, scope: Scope) -> bool:
        """Whether this comes through a proxy of the house that nobody told us of: everybody would count as one."""
        if not is_unknown_proxy(scope):
            return False
        if not self._warned:
            self._warned = True
            _log.warning("a proxy is not in STORMDESK_TRUSTED_PROXIES, so clients cannot be told apart or limited")
        return True

    def _wait(self, scope: Scope) -> int | None:
        """Seconds until this client may ask again; None: at once."""
        client = scope.get("client")
        network = network_of(client[0]) if client else "nobody"
        path = scope["path"]
        kind, limit = _limit(scope["method"], path)
        keys: list[tuple[RateLimitItem, tuple[str, ...]]] = [(limit.item, (kind, network))]
        if limit.each is not None:
            keys.append((limit.each, (kind, network, path.removeprefix(kind)[:100])))
        for item, key in keys:
            if not self._counter.hit(item, *key):
                return max(1, round(item.get_expiry() / 10))
        return None


class Tries:
    """Tries of a fact with a receipt: ten in ten minutes from one network, a hundred an hour from all together.

    Whoever has the link needs neither, so nobody is shut out of their case by others who guess.
    """

    def __init__(self) -> None:
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def allows(self, scope: Scope, receipt: str) -> bool:
        """Count one try of `receipt`, and say whether it may go on."""
        client = scope.get("client")
        network = network_of(client[0]) if client else "nobody"
        own, all_together = RateLimitItemPerMinute(10, 10), RateLimitItemPerHour(100)
        return self._counter.hit(own, network, receipt) and self._counter.hit(all_together, receipt)


def _limit(method: str, path: str) -> tuple[str, _Limit]:
    for wanted, beginning, limit in _LIMITS:
        if method == wanted and path.startswith(beginning):
            return beginning, limit
    return "", _OTHERWISE


def _too_large(scope: Scope) -> tuple[int, str, str] | None:
    headers = scope["headers"]
    if len(headers) > MOST_HEADERS or max([len(name) + len(value) for name, value in headers] or [0]) > LONGEST_HEADER:
        return 431, "too_many_headers", "This request has more header fields, or longer ones, than anybody needs."
    if _announced(headers) > _room(scope)[0]:
        return 413, "too_large", _TOO_LARGE
    if len(scope["path"]) + len(scope["query_string"]) > LONGEST_TARGET:
        return 414, "too_long", "This address is longer than any of ours."
    return None


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The length that a body claims to have. One that is no number says nothing; what comes in is counted."""
    said = next((value for name, value in headers if name == b"content-length"), b"")
    return int(said) if said.isdigit() and len(said) < 19 else 0


def _room(scope: Scope) -> tuple[int, float]:
    """How many bytes the body of a request may have, and in how many seconds it must have come in."""
    if scope["method"] == "POST" and _UPLOADS.fullmatch(scope["path"]):
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        if kind.lower().startswith(b"multipart/form-data"):
            return LARGEST_UPLOAD, UPLOAD_SECONDS
    return LARGEST_BODY, BODY_SECONDS


def _bounded(receive: Receive, most: int, seconds: float) -> Receive:
    """`receive`, for a body that must have come in within `seconds` and is refused once it has more than `most` bytes.

    After the body waiting costs nothing.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    whole = False
    size = 0

    async def received() -> Message:
        nonlocal whole, size
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            whole = True
            return {"type": "http.disconnect"}  # as if they had gone: half a text is not what somebody said
        whole = message["type"] != "http.request" or not message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > most:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return received


async def _answer(send: Send, status: int, code: str, detail: str, wait: int | None = None) -> None:
    answer = problem(status, code, detail, retry_after=wait)
    headers = [*answer.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
