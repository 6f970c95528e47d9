"""The SMS centres we bind to: where, as whom, and when one that is away is worth trying again. Opens nothing."""

import random
import time
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import parse_qs, unquote, urlsplit

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

# How a centre writes the id of one message in its response and in its receipt.
IdStyle = Literal["text", "hex-decimal", "decimal-hex"]


@dataclass(slots=True)
class Centre:
    """One bind to an SMS centre, from `smpp://system_id:password@host:port?window=20&…`.

    `window`: messages under way at once. `rate`: messages a second that were agreed, None for no limit but the
    centre's own throttling. `ids`: `hex-decimal` when responses have hexadecimal ids and receipts the same number in
    decimal, `decimal-hex` the other way round, `text` when they are alike but for leading zeros and case. `tls`: the
    connection is encrypted to a centre whose certificate names its host, by an authority of the system's or of `ca`.
    """

    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    window: int = 20
    system_type: str = ""
    tls: bool = False
    ca: str | None = None
    rate: float | None = None
    ids: IdStyle = "text"
    failures: int = 0
    away_until: float = 0.0

    @property
    def name(self) -> str:
        """What ids and texts of this centre are stored under."""
        return f"{self.system_id}@{self.host}:{self.port}"

    def failed(self) -> None:
        """Leave it alone for a while: doubling, with jitter."""
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures, 10), _LONGEST_PAUSE)
        self.failures += 1
        self.away_until = time.monotonic() + pause * random.uniform(1, 1.5)  # noqa: S311 (jitter)

    def answered(self) -> None:
        self.failures = 0
        self.away_until = 0.0

    def seconds_until_next(self) -> float:
        """How long until it is worth trying."""
        return max(0.0, self.away_until - time.monotonic())

    def reference(self, message_id: str, *, in_receipt: bool = False) -> str:
        """The name of a message of this centre, the same from its response and from its receipt."""
        return f"{self.name}:{_settled(message_id, self.ids, in_receipt=in_receipt)}"


def centre_from(url: str) -> Centre:
    """The centre at `url`; raises ValueError that does not repeat it (it holds a password)."""
    parts = urlsplit(url)
    if parts.scheme != "smpp" or not parts.hostname or not parts.username:
        raise ValueError("must be smpp://system_id:password@host:port")
    wishes = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := sorted(set(wishes) - {"window", "system_type", "tls", "ca", "rate", "ids"}):
        raise ValueError(f"{unknown[0]} is none of window, system_type, tls, ca, rate and ids")
    window, rate = wishes.get("window", "20"), wishes.get("rate")
    if not window.isascii() or not window.isdigit() or not 1 <= int(window) <= 1000:
        raise ValueError("window must be from 1 to 1000")
    if wishes.get("tls", "off") not in ("off", "on"):
        raise ValueError("tls must be on or off")
    if "ca" in wishes and wishes.get("tls") != "on":
        raise ValueError("ca is of use with tls=on only")
    if wishes.get("ids", "text") not in get_args(IdStyle):
        raise ValueError(f"ids must be one of {', '.join(get_args(IdStyle))}")
    centre = Centre(
        parts.hostname,
        parts.port or 2775,
        unquote(parts.username),
        unquote(parts.password or ""),
        window=int(window),
        system_type=wishes.get("system_type", ""),
        tls=wishes.get("tls") == "on",
        ca=wishes.get("ca"),
        rate=_rate(rate) if rate is not None else None,
        ids=wishes.get("ids", "text"),  # type: ignore[arg-type]  # looked up above
    )
    # C-octet strings of SMPP 3.4 section 4.1.5, without their NUL.
    for what, text, most in (("system_id", centre.system_id, 15), ("password", centre.password, 8)):
        if len(text) > most or not text.isascii() or not text.isprintable():
            raise ValueError(f"{what} can have {most} ASCII characters at most")
    return centre


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 100_000:
        raise ValueError("rate must be a number of messages a second")
    return rate


def _settled(message_id: str, ids: IdStyle, *, in_receipt: bool) -> str:
    """One spelling for an id. What is not the number it should be stays as it is, so that it can still be looked up."""
    text = message_id.strip()
    base = {"hex-decimal": 10 if in_receipt else 16, "decimal-hex": 16 if in_receipt else 10}.get(ids)
    if base is not None and text.isascii() and text.isalnum():
        try:
            return str(int(text, base))
        except ValueError:
            pass
    return text.lower().lstrip("0") or "0"
