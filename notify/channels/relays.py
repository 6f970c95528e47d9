"""The mail servers we hand mail to: where they are, on what terms, and whose turn it is. Opens nothing."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from notify.channels.relay_health import Health, Patience, State

Security = Literal["off", "offered", "starttls", "tls"]

_OPTIONS = frozenset({"tls", "ca", "fingerprint", "weight", "connections", "per_connection"})


@dataclass(frozen=True, slots=True)
class Relay:
    """One mail server, from `smtp://[user:password@]host[:port][?options]` or `smtps://…`.

    Without sign-in, STARTTLS is used when offered, whatever the certificate: relays on one's own network rarely have a
    valid one, and the choice is that or no encryption. With sign-in, `?tls=required`, `?ca=…` or `?fingerprint=…` the
    connection is encrypted to a server that proves who it is, or there is none. `?tls=off` sends in the clear.
    """

    host: str
    port: int
    security: Security = "offered"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    weight: int = 1
    connections: int | None = None  # most at once, in one process
    per_connection: int | None = None  # messages; then we take leave and come back
    ca: str | None = None  # a PEM file: whom to trust instead of the system's list
    fingerprints: tuple[str, ...] = ()  # SHA-256 of the server's certificate, in hex; one of them must be it

    @property
    def name(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def relay_from(url: str) -> Relay:
    """The relay at `url`; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError(f"A relay is smtp://[user:password@]host:port or smtps://…, not {parts.scheme}://…")
    options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(f"{unknown[0]}= in a relay's URL is not known; known are {', '.join(sorted(_OPTIONS))}.")
    user = unquote(parts.username) if parts.username else None
    security = _security(parts.scheme, options, signs_in=user is not None)
    return Relay(
        parts.hostname,
        parts.port or (465 if security == "tls" else 25),
        security,
        user,
        unquote(parts.password) if parts.password else None,
        weight=_number(options, "weight") or 1,
        connections=_number(options, "connections"),
        per_connection=_number(options, "per_connection"),
        ca=options["ca"][0] if "ca" in options else None,
        fingerprints=tuple(_fingerprint(one) for one in options.get("fingerprint", ())),
    )


def _security(scheme: str, options: dict[str, list[str]], *, signs_in: bool) -> Security:
    proven = signs_in or "ca" in options or "fingerprint" in options
    wish = options.get("tls", ["required" if proven or scheme == "smtps" else "offered"])[0]
    choices: dict[str, Security] = {"off": "off", "offered": "offered", "required": "starttls"}
    if wish not in choices:
        raise ValueError(f"tls={wish} in a relay's URL must be off, offered or required.")
    if wish != "required" and (proven or scheme == "smtps"):
        raise ValueError(
            f"tls={wish} in a relay's URL does not go with smtps, a password, ca= or fingerprint=: they need a server "
            "that proves who it is. Leave it out, or leave those out."
        )
    return "tls" if scheme == "smtps" else choices[wish]


def _number(options: dict[str, list[str]], name: str) -> int | None:
    if name not in options:
        return None
    text = options[name][0]
    if not re.fullmatch("[1-9][0-9]{0,6}", text):
        raise ValueError(f"{name}= in a relay's URL must be a whole number above zero.")
    return int(text)


def _fingerprint(text: str) -> str:
    kind, _, digits = text.partition(":")
    digits = digits.replace(":", "").lower()
    if kind.lower() != "sha256" or not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError("fingerprint= in a relay's URL must be sha256: and 64 hex digits (colons between are fine).")
    return digits


class RelayHealth(NamedTuple):
    """How a relay is doing, for metrics and people. `failures`: in a row; `refused`: for who we are, by the relay or
    behind it; `trouble`: what it said or did when it was last left."""

    host: str
    port: int
    state: State
    failures: int
    sent: int
    refused: int
    trouble: str


class Berth:
    """A lane's place at a relay. It counts as a connection from when it is taken until it is given back."""

    def __init__(self, relay: Relay, health: Health) -> None:
        self.relay = relay
        self.health = health
        self.taken = 0
        self._credit = 0.0

    @property
    def free(self) -> bool:
        return self.health.usable and (self.relay.connections is None or self.taken < self.relay.connections)


class Relays:
    """All relays of a channel. A lane takes a place at one, by weight and health, and gives it back."""

    def __init__(
        self, urls: Sequence[str], *, patience: Patience | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        if not urls:
            raise ValueError("Mail needs at least one relay.")
        self._now = now
        self._berths = [Berth(relay_from(url), Health(now, patience or Patience())) for url in urls]

    def take(self) -> Berth | None:
        """A place at the relay whose turn it is: None while all are away, braked or full.

        Smooth weighted turns: each relay is credited its share, and the one with the most credit pays for all. So
        weights 3 and 1 give A A B A, not A A A B, and a share may change at any time.
        """
        free = [berth for berth in self._berths if berth.free]
        if not free:
            return None
        total = 0.0
        for berth in free:
            share = berth.relay.weight * berth.health.share
            berth._credit += share
            total += share
        chosen = max(free, key=lambda berth: berth._credit)
        chosen._credit -= total
        chosen.taken += 1
        return chosen

    def give_back(self, berth: Berth) -> None:
        """The lane has left the relay."""
        berth.taken -= 1

    def seconds_until_next(self) -> float:
        """How long until a relay that is away or braked is worth trying; 0 when one is, though it may be full."""
        return max(0.0, min(berth.health.until for berth in self._berths) - self._now())

    def health(self) -> list[RelayHealth]:
        """How each relay is doing, in the order of the settings."""
        return [
            RelayHealth(
                *(berth.relay.host, berth.relay.port, berth.health.state, berth.health.failures),
                *(berth.health.sent, berth.health.refused, berth.health.trouble),
            )
            for berth in self._berths
        ]
