"""The mail servers we hand mail to: where they are, whose turn it is, and which are away for now. Opens nothing."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0

Security = Literal["off", "offered", "starttls", "tls"]


@dataclass(slots=True)
class Relay:
    """One mail server, from `smtp://[user:password@]host[:port]` or `smtps://…`.

    Without sign-in, STARTTLS is used when offered, whatever the certificate: relays on one's own network rarely have a
    valid one, and the choice is that or no encryption. With sign-in, or `?tls=required`, both are insisted on.
    `?tls=off` sends in the clear.
    """

    host: str
    port: int
    security: Security = "offered"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    failures: int = 0
    away_until: float = 0.0

    def failed(self) -> None:
        """Leave it alone for a while: doubling, with jitter, and once however many lanes found out together."""
        now = time.monotonic()
        if now >= self.away_until:
            pause = min(_FIRST_PAUSE * 2 ** min(self.failures, 10), _LONGEST_PAUSE)
            self.failures += 1
            self.away_until = now + pause * random.uniform(1, 1.5)  # noqa: S311 (jitter)

    def answered(self) -> None:
        self.failures = 0
        self.away_until = 0.0


def relay_from(url: str) -> Relay:
    """The relay at `url`; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError(f"A relay is smtp://[user:password@]host:port or smtps://…, not {parts.scheme}://…")
    user = unquote(parts.username) if parts.username else None
    wish = parse_qs(parts.query).get("tls", ["required" if user else "offered"])[0]
    choices: dict[str, Security] = {"off": "off", "offered": "offered", "required": "starttls"}
    if wish not in choices:
        raise ValueError(f"tls={wish} in a relay's URL must be off, offered or required.")
    security = "tls" if parts.scheme == "smtps" else choices[wish]
    port = parts.port or (465 if security == "tls" else 25)
    return Relay(parts.hostname, port, security, user, unquote(parts.password) if parts.password else None)


class Relays:
    """All relays of a channel, taken in turn; those that are away are passed over."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._relays = [relay_from(url) for url in urls]
        self._turn = count()

    def candidates(self) -> list[Relay]:
        """The relays worth trying now, the one whose turn it is first."""
        start = next(self._turn)
        now = time.monotonic()
        ordered = [self._relays[(start + step) % len(self._relays)] for step in range(len(self._relays))]
        return [relay for relay in ordered if relay.away_until <= now]

    def all_failing(self) -> bool:
        """Whether no relay answered when it was last asked."""
        return all(relay.failures for relay in self._relays)

    def seconds_until_next(self) -> float:
        """How long until one of them is worth trying."""
        return max(0.0, min(relay.away_until for relay in self._relays) - time.monotonic())
