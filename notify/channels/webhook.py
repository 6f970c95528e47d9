"""Sends what subscribers' machines asked for: one signed POST of JSON each, to the public network and nowhere else.

The name is looked up here, judged, and the very address that was judged is connected to, so a name server that changes
its mind between the two has nobody to lie to. No redirect is followed. A repeat is harmless, because it carries the
same `Stormdesk-Delivery`: so whatever may or may not have arrived is sent again. See docs/decisions/0015.
"""

import asyncio
import hashlib
import hmac
import json
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpcore2
import structlog

from foundation.clock import Clock, Monotonic, system_clock
from foundation.tokens import Tokens
from notify.addresses import BadAddress
from notify.channels import Accepted, Deferred, Outgoing, Refused, Result, Unsent
from notify.messages import one_line
from notify.references import delivery_reference
from notify.subscriptions import CONFIRMATION_TOPIC, secret_purpose, stop_token
from notify.webhook_urls import WebhookUrl, is_public, read_webhook

_log = structlog.get_logger()

# Every name a host has. Raises OSError when there is none.
Resolve = Callable[[str, int], Awaitable[list[str]]]
# Told of the address (its URL) that answered 410: its owner wants no more.
Gone = Callable[[str], Awaitable[None]]

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
ALL_SECONDS = 20.0  # also for a receiver that answers a byte at a time
_MOST_READ = 4096  # bytes of an answer; more is left unread
_KEPT = 300  # characters of it
_LONGEST_HOLD = timedelta(hours=1)
_BRACES = re.compile(r"\{\{|\}\}")


class _Forbidden(Exception):
    """The name leads to an address that no webhook may reach."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where webhooks may go. The defaults are the rule; anything else is for tests: they own no public address."""

    schemes: tuple[str, ...] = ("https",)
    may_connect: Callable[[IPv4Address | IPv6Address], bool] = is_public


class WebhookChannel:
    """The channel to machines. `public_url`: ours, for the links in `meta`; `tls`: whom to trust, else the system's."""

    name = "webhook"

    def __init__(
        self,
        tokens: Tokens,
        *,
        public_url: str,
        gone: Gone | None = None,
        reach: Reach | None = None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Clock = system_clock,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self.tokens = tokens
        self.public_url = public_url
        self.gone = gone
        self.reach = reach or Reach()
        self.resolve = resolve or Resolver()
        self.tls = tls or ssl.create_default_context()
        self.clock = clock
        self._monotonic = monotonic
        self._holds: dict[str, float] = {}

    def lane(self) -> "WebhookLane":
        return WebhookLane(self)

    def held(self, host: str) -> timedelta | None:
        """How long `host` wants to be left alone; None when it does not.

        For what this process has in hand already. What nobody has claimed waits in the queue of the host, for all
        workers alike (`paced.py`).
        """
        left = self._holds.get(host, 0.0) - self._monotonic()
        return timedelta(seconds=left) if left > 0 else None

    def hold(self, host: str, pause: timedelta) -> None:
        """Leave `host` alone, as it asked."""
        now = self._monotonic()
        self._holds = {name: until for name, until in self._holds.items() if until > now}
        self._holds[host] = now + pause.total_seconds()


class WebhookLane:
    """Sends a batch side by side: receivers are strangers to each other, and a slow one makes nobody else wait."""

    def __init__(self, channel: WebhookChannel) -> None:
        self._channel = channel
        self._pool: httpcore2.AsyncConnectionPool | None = None

    async def ready(self, stop: asyncio.Event) -> None:
        """There is no one peer to wait for."""

    async def send(self, batch: Sequence[Outgoing], stop: asyncio.Event) -> list[Result]:
        """One result for each of `batch`. They all begin at once, so `stop` only keeps a whole batch from beginning."""
        if stop.is_set():
            return [Unsent() for _ in batch]
        return list(await asyncio.gather(*(self._send(one) for one in batch)))

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def _send(self, one: Outgoing) -> Result:
        channel = self._channel
        try:
            url = read_webhook(one.address, schemes=channel.reach.schemes)
        except BadAddress:
            return Refused("bad_address")
        if (left := channel.held(url.host)) is not None:
            words = "It asked to be left alone for a while; not asked again yet."
            return Deferred("throttled", reply=words, pause=left, for_all=True)
        result = await self._post(url, one)
        if isinstance(result, Refused) and result.reason == "gone" and channel.gone is not None:
            await channel.gone(one.address)
        return result

    async def _post(self, url: WebhookUrl, one: Outgoing) -> Result:
        channel = self._channel
        body = _body(channel, one)
        try:
            async with (
                asyncio.timeout(ALL_SECONDS),
                self._open_pool().stream(
                    "POST",
                    httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
                    headers=_headers(channel, one, body),
                    content=body,
                    extensions={
                        "timeout": {"connect": CONNECT_SECONDS, "read": ANSWER_SECONDS, "write": ANSWER_SECONDS}
                    },
                ) as answer,
            ):
                return self._judge(url, answer, await _beginning(answer))
        except _Forbidden:
            return Refused("forbidden_address", reply="Its name leads to an address outside the public network.")
        except (httpcore2.TimeoutException, TimeoutError):
            return Deferred("no_answer_in_time")
        except (httpcore2.ConnectError, OSError) as error:
            return Deferred("no_connection", reply=_said(str(error).encode()))
        except httpcore2.NetworkError:
            return Deferred("connection_lost")
        except httpcore2.ProtocolError:
            return Deferred("unreadable_reply")

    def _judge(self, url: WebhookUrl, answer: httpcore2.Response, said: str) -> Result:
        code = answer.status
        if 200 <= code < 300:
            return Accepted(code, said)
        if code == 410:
            return Refused("gone", code, said)
        if code < 400:
            return Refused("redirected", code, said)
        if code >= 500 or code in (408, 425, 429):
            reason = "throttled" if code in (429, 503) else "refused_for_now"
            if (pause := _retry_after(answer.headers)) is not None:
                self._channel.hold(url.host, pause)
                return Deferred(reason, code, said, pause, for_all=True)
            return Deferred(reason, code, said)
        return Refused("refused", code, said)

    def _open_pool(self) -> httpcore2.AsyncConnectionPool:
        if self._pool is None:
            channel = self._channel
            # Nothing is kept open: the next message is hours away, and its name is to be looked up and judged anew.
            self._pool = httpcore2.AsyncConnectionPool(
                ssl_context=channel.tls,
                max_connections=100,
                max_keepalive_connections=0,
                http2=False,
                network_backend=_Guarded(channel.resolve, channel.reach.may_connect),
            )
        return self._pool


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Opens connections to addresses that were judged, never to a name."""

    def __init__(self, resolve: Resolve, may_connect: Callable[[IPv4Address | IPv6Address], bool]) -> None:
        self._resolve = resolve
        self._may_connect = may_connect
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the library's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        async with asyncio.timeout(timeout):
            found = list(dict.fromkeys(await self._resolve(host, port)))
        # One forbidden address among good ones is no accident, so the whole name is refused.
        if not found or not all(self._may_connect(ip_address(one)) for one in found):
            raise _Forbidden
        failure: httpcore2.ConnectError | httpcore2.ConnectTimeout | None = None
        for address in found[:3]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure


class Resolver:
    """The system's resolver, on threads of its own: names that never answer must not keep others' work waiting."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(8, "webhook-names")

    async def __call__(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._look_up, host, port)
        return [str(one[4][0]) for one in found]

    @staticmethod
    def _look_up(host: str, port: int) -> list[tuple[object, object, object, object, tuple[object, ...]]]:
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def sign(secret: str, at: int, body: bytes) -> str:
    """The signature of `body` sent at `at` (Unix seconds): HMAC-SHA-256 over `at.body`, in hex."""
    return hmac.digest(secret.encode(), b"%d." % at + body, hashlib.sha256).hex()


def _headers(channel: WebhookChannel, one: Outgoing, body: bytes) -> list[tuple[bytes | str, bytes | str]]:
    at = int(channel.clock().timestamp())
    secrets = channel.tokens.names(*secret_purpose(one.slots["customer_number"]))
    signatures = ",".join(f"v1={sign(secret, at, body)}" for secret in secrets)
    return [
        ("Content-Type", "application/json; charset=utf-8"),
        ("User-Agent", f"Stormdesk (+{channel.public_url}/follow)"),
        ("Accept", "*/*"),
        ("Stormdesk-Signature", f"t={at},{signatures}"),
        ("Stormdesk-Delivery", delivery_reference(channel.tokens, one.id)),
        ("Connection", "close"),
    ]


def _body(channel: WebhookChannel, one: Outgoing) -> bytes:
    """The JSON of the message with its `meta`, which is this receiver's own, put before it."""
    number = one.slots["customer_number"]
    meta = {
        "unsubscribe": f"{channel.public_url}/follow/stop/{stop_token(channel.tokens, number)}",
        "documentation": f"{channel.public_url}/follow",
    }
    if one.message.topic.startswith(CONFIRMATION_TOPIC):
        # Told once, and only to whoever owns the URL.
        meta["secret"] = channel.tokens.name(*secret_purpose(number))
    text = _BRACES.sub(lambda match: match[0][0], one.message.body)
    assert text.startswith("{"), "a webhook's message is a JSON object"
    return f'{{"meta":{json.dumps(meta)},{text[1:]}'.encode()


async def _beginning(answer: httpcore2.Response) -> str:
    read = b""
    async for chunk in answer.aiter_stream():
        read += chunk
        if len(read) >= _MOST_READ:
            break
    return _said(read)


def _said(raw: bytes) -> str:
    return one_line(raw[:_MOST_READ].decode("utf-8", "replace"))[:_KEPT]


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> timedelta | None:
    """How long a receiver asks us to wait; None when it does not say (a date is not read: nobody sends one)."""
    for name, value in headers:
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return min(timedelta(seconds=int(value.strip()[:9])), _LONGEST_HOLD)
    return None
