"""Where a request really comes from: the connection's other end, unless that is a proxy we were told to trust."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

from app.setting_values import Network

_FORWARDED = frozenset((b"x-forwarded-for", b"forwarded", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip"))
_TOLD = "stormdesk.client_told"  # in the scope: a trusted proxy said who asks


class ClientAddress:
    """An ASGI application in front of another that puts the client's address and scheme right in the scope.

    X-Forwarded-For is read from its end, past the proxies in `trusted`; the first that is not one of them is the
    client. From anybody else such fields are left as they are and believed in nothing.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._trusted and (client := scope.get("client")) and self._trusts(client[0]):
            scope = {**scope, **self._told(scope, client)}
        await self._app(scope, receive, send)

    def _told(self, scope: Scope, client: tuple[str, int]) -> Scope:
        given = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
        address = client[0]
        for one in reversed([part.strip() for part in given.split(",") if part.strip()]):
            if not _is_address(one):
                break
            address = one
            if not self._trusts(one):
                break
        schemes = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        scheme = schemes[-1].decode("latin-1").lower() if schemes else scope["scheme"]
        # Only what was found out is passed on: who asks further in must not read anything else from these fields.
        kept = [(name, value) for name, value in scope["headers"] if name not in _FORWARDED]
        return {
            "client": (address, client[1] if address == client[0] else 0),
            "scheme": scheme if scheme in ("http", "https") else scope["scheme"],
            "headers": [*kept, (b"x-forwarded-for", address.encode())] if given else kept,
            _TOLD: bool(given),
        }

    def _trusts(self, address: str) -> bool:
        try:
            read = ip_address(address)
        except ValueError:
            return False
        return any(read in network for network in self._trusted)


def is_this_machine(scope: Scope) -> bool:
    """Whether the machine itself asks. A proxy on it speaks for strangers: what it forwards is not local."""
    client = scope.get("client")
    if client is None or any(name in _FORWARDED for name, _ in scope["headers"]):
        return False
    return _is_loopback(client[0])


def is_unknown_proxy(scope: Scope) -> bool:
    """Whether a machine of the house forwards for others and is not among the proxies we were told to trust."""
    client = scope.get("client")
    forwards = any(name in _FORWARDED for name, _ in scope["headers"])
    if client is None or not forwards or scope.get(_TOLD):
        return False
    return _is_address(client[0]) and not ip_address(client[0]).is_global


@lru_cache(4096)
def network_of(address: str) -> str:
    """What stands for one subscriber: an IPv4 address, or the /64 of an IPv6 one."""
    if not _is_address(address):
        return address
    read = ip_address(address)
    if isinstance(read, IPv6Address):
        mapped = read.ipv4_mapped
        return str(mapped) if mapped else str(ip_network((read, 64), strict=False))
    return str(read)


@lru_cache(4096)
def _is_loopback(address: str) -> bool:
    return _is_address(address) and ip_address(address).is_loopback


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
