"""Which URLs may be a webhook, and which network addresses one may lead to. Pure: text and numbers in, verdicts out.

Anybody may give us a URL, and we then call it from inside our own network. So the URL is judged by its form when it is
given, and where it leads by `is_public` at every call, on the very address that is then connected to.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

import idna

from notify.addresses import BadAddress

_LONGEST = 500
# Visible ASCII without what RFC 3986 keeps out of a URL; so no blank, line end or NUL can reach a request line.
_WRITTEN = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_BLANK = re.compile(r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# Names that mean something only inside a network (RFC 6761, 6762, 7686, 8375, 9476, and what clouds use).
_INSIDE = (
    *("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "private", "onion", "alt"),
    *("home.arpa", "in-addr.arpa", "ip6.arpa", "invalid"),
)


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL taken apart. `host` is in ASCII and lower case, `target` what stands in the request line."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        usual = 443 if self.scheme == "https" else 80
        return f"{self.scheme}://{self.host}{'' if self.port == usual else f':{self.port}'}{self.target}"


def read_webhook(text: str, *, schemes: tuple[str, ...] = ("https",)) -> WebhookUrl:
    """The webhook at `text`, in its one spelling. Raises `BadAddress`, in words for whoever typed it.

    Addresses in digits are refused in every way of writing them (127.0.0.1, 2130706433, 0x7f.1, [::1]): a service that
    the world can reach has a name, and a certificate for it.
    """
    text = text.strip(" \t\r\n")
    # Before anything is taken apart: urlsplit drops line ends in silence, as browsers do.
    if _BLANK.search(text):
        raise BadAddress("The address must be one line without spaces.")
    if len(text) > _LONGEST:
        raise BadAddress(f"The address is longer than {_LONGEST} characters.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadAddress("This is not a web address.") from None
    if parts.scheme not in schemes or not parts.hostname:
        raise BadAddress("The address must start with https://.")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise BadAddress("The address must not hold a user name or password.")
    if parts.fragment:
        raise BadAddress("The address must not hold a #.")
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    if not _WRITTEN.fullmatch(target):
        raise BadAddress("The address holds characters that do not belong in one; write them percent-encoded.")
    # A @ means a mail domain to whoever looks for one; here it is only ever part of a path.
    target = target.replace("@", "%40")
    port = port if port is not None else (443 if parts.scheme == "https" else 80)
    if parts.scheme == "https" and port != 443 and port < 1024:
        raise BadAddress("The address names a port that is kept for something else; use 443 or one above 1023.")
    return WebhookUrl(parts.scheme, _host(parts.hostname), port, target)


def _host(name: str) -> str:
    try:
        host = name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise BadAddress("The name of the server cannot be read.") from None
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    # The last label of a public name has a letter and does not start with a digit: 127.1, 0x7f.1 and the like do.
    if len(host) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAddress("The address must name a server, such as hooks.example.com.")
    if not labels[-1][0].isalpha():
        raise BadAddress("The address must name a server by its name, not by numbers.")
    if any(host == inside or host.endswith(f".{inside}") for inside in _INSIDE):
        raise BadAddress("The address names something inside a network, which we cannot and will not reach.")
    return host


# IANA's registry of special-purpose IPv4 addresses, multicast, the reserved rest, and the one address with which a
# cloud (Azure) serves its machines on a public number. 169.254.169.254 and 100.100.100.200 are in ranges anyway.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
# Of IPv6 only what is given out for the public network counts. That leaves out, without naming them: loopback, ::,
# addresses that hold an IPv4 one (::ffff:0:0/96, ::/96, NAT64's 64:ff9b::/96 and 64:ff9b:1::/48), unique local
# (with the clouds' fd00:ec2::254), link-local, site-local and multicast. Inside it are special ones, and tunnels.
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether a webhook may lead to this address: it belongs to the public network, and to no tunnel out of it."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return (
        address.scope_id is None and address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)
    )
