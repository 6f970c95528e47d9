"""What single settings say: each function reads one text of the environment, or raises ValueError with what it must be.

The words go behind the setting's name. Where a text holds a secret they repeat nothing of it.
"""

import re
import shlex
import shutil
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from email_validator import EmailNotValidError, validate_email
from stdnum import iban

from app.rights import ROLES
from claims.payment_files import Payer
from notify import QuietHours
from notify.channels.centres import centre_from
from notify.channels.relays import relay_from
from notify.mail import LONGEST_LOCAL_PART
from notify.messages import is_plain_url, is_sendable
from notify.sms_prices import MICRO, Micro, Prices, read_prices
from notify.tables import BATCH

Network = IPv4Network | IPv6Network
SHORTEST_KEY = 32  # characters


@dataclass(frozen=True, slots=True)
class Bind:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """An OpenID Connect provider. `roles`: its group → our roles; whoever is in none of them may not enter."""

    issuer: str
    client_id: str
    client_secret: str
    groups_claim: str
    roles: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class MailBind:
    """Where mail is taken in: over SMTP or LMTP, at an address or at the path of a Unix socket."""

    protocol: Literal["smtp", "lmtp"]
    at: Bind | Path


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where a copy of the page goes: a folder (`bucket` None), or what names begin with in a bucket."""

    path: str
    bucket: str | None = None
    endpoint: str = ""
    region: str = ""


def database_url(text: str) -> str:
    if urlsplit(text).scheme not in ("postgresql", "postgres"):
        raise ValueError("must look like postgresql://user:password@host:5432/name")
    return text.replace("postgres://", "postgresql://", 1)


def mirrors(text: str) -> tuple[Mirror, ...]:
    return tuple(_mirror(part.strip()) for part in text.split(",") if part.strip())


def _mirror(text: str) -> Mirror:
    parts = urlsplit(text)
    more = dict(parse_qsl(parts.query))
    if parts.scheme == "s3" and parts.netloc and more.keys() <= {"endpoint", "region"}:
        return Mirror(parts.path.strip("/"), parts.netloc, more.get("endpoint", ""), more.get("region", ""))
    if parts.scheme == "" and Path(text).is_absolute():
        return Mirror(text)
    raise ValueError("must be absolute folders or s3://bucket/path, if need be with ?endpoint= and &region=")


def smtp_urls(text: str) -> tuple[str, ...]:
    urls = tuple(part.strip() for part in text.split(",") if part.strip())
    wrong = [place for place, url in enumerate(urls, start=1) if not _is_relay(url)]
    if wrong or not urls:
        which = f"number {wrong[0]} of {len(urls)} " if len(urls) > 1 else ""
        # Not the URL itself nor what is wrong in it: that may be a piece of the password.
        raise ValueError(
            f"{which}must be smtp://[user:password@]host:port or smtps://…, if need be with ?tls=off, ?tls=offered or "
            "?tls=required (never less than required with a password), &ca=, &fingerprint=sha256:…, &weight=, "
            "&connections= or &per_connection=; several are separated by commas"
        )
    return urls


def _is_relay(url: str) -> bool:
    try:
        relay_from(url)
    except ValueError:
        return False
    return True


def smpp_urls(text: str) -> tuple[str, ...]:
    urls = tuple(part.strip() for part in text.split(",") if part.strip())
    for place, url in enumerate(urls, start=1):
        try:
            centre_from(url)
        except ValueError as error:
            # Its words never repeat the URL, which holds a password.
            raise ValueError(f"number {place} of {len(urls)} {error}" if len(urls) > 1 else str(error)) from None
    return urls


def sms_prices(text: str) -> Prices:
    try:
        with Path(text).open(encoding="utf-8-sig", newline="") as file:
            return read_prices(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"must be a CSV file that can be read ({error})") from None


def cost_caps(text: str) -> dict[str, Micro]:
    caps: dict[str, Micro] = {}
    for part in text.split(","):
        amount, _, currency = part.strip().partition(" ")
        if not amount.isdigit() or not re.fullmatch("[A-Z]{3}", currency) or currency in caps:
            raise ValueError("must be what texts about one incident may cost, such as 5000 EUR, or 5000 EUR, 800 USD")
        caps[currency] = int(amount) * MICRO
    return caps


def web_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be the address people open, such as https://status.example.com")
    if not is_plain_url(text):  # it goes into headers of mail
        raise ValueError("must be written in plain letters and digits (a name with others as xn--…)")
    return text.rstrip("/")


def mail_address(text: str) -> str:
    try:
        address = validate_email(text, check_deliverability=False, test_environment=True).ascii_email
    except EmailNotValidError as error:
        raise ValueError(f"must be a mail address ({error})") from None
    if address is None or not is_sendable(address):
        raise ValueError("must be a mail address of plain letters, digits and dots")
    if address.index("@") > LONGEST_LOCAL_PART:
        # What names the message in the addresses for answers and bounces needs the rest of the 64.
        raise ValueError(f"must have at most {LONGEST_LOCAL_PART} characters before the @")
    return address


def mail_addresses(text: str) -> frozenset[str]:
    return frozenset(mail_address(part.strip()).lower() for part in text.split(",") if part.strip())


def mail_binds(text: str) -> tuple[MailBind, ...]:
    return tuple(_mail_bind(part.strip()) for part in text.split(",") if part.strip())


def _mail_bind(text: str) -> MailBind:
    scheme, found, rest = text.partition(":")
    protocol: Literal["smtp", "lmtp"] = "lmtp" if scheme.lower() == "lmtp" else "smtp"
    place = rest if found and scheme.lower() in ("smtp", "lmtp") else text
    if place.startswith("/") and not place.startswith("//"):
        return MailBind(protocol, Path(place))
    if place.startswith("///"):
        return MailBind(protocol, Path(place[2:]))
    try:
        at = bind(place.removeprefix("//"))
        if "/" not in at.host:
            return MailBind(protocol, at)
    except ValueError:
        pass  # said below, for all that it may be
    raise ValueError(
        "must be host:port, smtp://host:port, lmtp://host:port or lmtp:/path/of/socket; several with commas"
    )


def certificate(text: str) -> Path:
    path = Path(text)
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(path)
    except (OSError, ssl.SSLError):
        raise ValueError("must be a PEM file with the certificate chain and its key, that we may read") from None
    return path


def command(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        raise ValueError("must be a command as a shell reads it, such as clamdscan --fdpass --no-summary") from None
    if words and shutil.which(words[0]) is None:
        raise ValueError(f"names {words[0]}, which cannot be found or run here")
    return words


def payer(text: str) -> Payer:
    name, _, account = (part.strip() for part in text.rpartition(","))
    if not name or not iban.is_valid(account):
        raise ValueError("give a name and an account: Example Air, NL91ABNA0417164300")
    return Payer(name, iban.compact(account))


def posts_key(text: str) -> bytes:
    if len(text) < SHORTEST_KEY:
        raise ValueError(f"needs {SHORTEST_KEY} characters or more: whoever reads public posts for you signs with it")
    return text.encode()


def time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone by its IANA name, such as Europe/Amsterdam") from None
    return text


def secret_keys(text: str) -> tuple[bytes, ...]:
    keys = tuple(part.strip().encode() for part in text.split(",") if part.strip())
    if not keys:
        raise ValueError(
            "is missing; set it to a random text of 32 characters or more, the same for every process "
            "(`stormdesk up` makes its own)"
        )
    if any(len(key) < SHORTEST_KEY for key in keys):
        raise ValueError(f"each key needs {SHORTEST_KEY} characters or more (newest first, separated by commas)")
    return keys


def bind(text: str) -> Bind:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("must be host:port, such as 127.0.0.1:8080")
    return Bind(host.strip("[]") or "127.0.0.1", int(port))


def networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            "must be the addresses or networks of your proxies, separated by commas, such as 10.0.0.0/24,::1"
        ) from None


def issuer(text: str) -> str:
    parts = urlsplit(text)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or parts.query or parts.fragment or parts.scheme not in ("https", "http"):
        raise ValueError("must be the issuer's address, such as https://login.example.com/realm")
    if parts.scheme != "https" and not loopback:
        raise ValueError("must begin with https://: whoever could change what it says could sign in as anybody")
    return text.rstrip("/")


def present(text: str) -> str:
    if not text.strip():
        raise ValueError("is missing; your provider gives it when you register Stormdesk")
    return text


def role_table(text: str) -> dict[str, tuple[str, ...]]:
    """`storm-ops=operator+approver,storm-desk=agent`."""
    table: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        group, _, names = part.rpartition("=")
        roles = tuple(name.strip() for name in names.split("+"))
        if not group or set(roles) - set(ROLES):
            raise ValueError(
                "must say which group of your provider has which roles, such as "
                f"storm-ops=operator+approver,storm-desk=agent; the roles are {', '.join(ROLES)}"
            )
        table[group.strip()] = roles
    if not table:
        raise ValueError("is missing; it says which group has which roles, such as storm-ops=operator+approver")
    return table


def depth(text: str) -> int:
    depth = positive(text)
    if depth < BATCH:
        raise ValueError(f"must be {BATCH} or more: a batch of that many is what a connection takes at once")
    return depth


def quiet_hours(text: str) -> QuietHours | None:
    if text == "none":
        return None
    start, found, end = text.partition("-")
    try:
        hours = QuietHours(time.fromisoformat(start.strip()), time.fromisoformat(end.strip()))
    except ValueError:
        raise ValueError("must be when nobody is to be woken by a text, such as 22:00-07:00, or none") from None
    if not found or hours.start == hours.end:
        raise ValueError("must name two different times, such as 22:00-07:00, or be none")
    return hours


def alert_secrets(text: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in (one.strip() for one in text.split(",") if one.strip()):
        name, _, secret = part.partition("=")
        if not re.fullmatch("[a-z0-9][a-z0-9-]{0,39}", name) or len(secret) < SHORTEST_KEY or name in found:
            # Not the part itself: it holds the secret.
            raise ValueError(
                "must be name=secret for each system that sends signed alerts, with commas: names of lower-case "
                f"letters, digits and -, secrets of {SHORTEST_KEY} characters or more"
            )
        found[name] = secret.encode()
    return found


def minutes(text: str) -> timedelta:
    return timedelta(minutes=positive(text))


def days(text: str) -> timedelta:
    if (days := positive(text)) > 36_500:
        raise ValueError("must be at most 36500 days")
    return timedelta(days=days)


def domain_limits(text: str) -> dict[str, tuple[float, int]]:
    limits: dict[str, tuple[float, int]] = {}
    for part in (one.strip() for one in text.split(",") if one.strip()):
        found = re.fullmatch(r"([a-z0-9.-]+)=([0-9]+(?:\.[0-9]+)?)/s:([0-9]+)", part.lower())
        if found is None or float(found[2]) <= 0 or int(found[3]) == 0:
            raise ValueError(
                "must be domain=messages/s:at once, such as example.com=20/s:10; several are separated by commas"
            )
        limits[found[1]] = (float(found[2]), int(found[3]))
    return limits


def approvals(text: str) -> int:
    if text.strip() not in ("0", "1", "2"):
        raise ValueError("must be 0, 1 or 2: how many others approve an update before it is published")
    return int(text)


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise ValueError("must be a whole number above zero")
    return int(text)
