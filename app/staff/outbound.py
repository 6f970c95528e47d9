"""Calls to an identity provider that cannot be led astray: no redirects, no address of ours, no endless answer.

The provider's own host is the administrator's choice and may be anywhere, inside the house too. Whatever else its
documents point to must be reached by https at a public address (unless the provider itself is on this machine). The
address that was checked is the one that is called: a name that leads elsewhere a moment later leads nowhere.
"""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import httpx2
import msgspec
from authlib.integrations.httpx_client import AsyncOAuth2Client

from app.cookies import is_loopback

_SECONDS = 10.0
_LARGEST = 1 << 20  # bytes


class NotReached(Exception):
    """An address that we do not call, or whose answer cannot be used; the message says why."""


class _Guarded(httpx2.AsyncHTTPTransport):
    """Calls nothing but the issuer's own host, and public addresses by https."""

    def __init__(self, issuer: str) -> None:
        # No connection is kept: one to an address would be used again for another name there, its certificate unread.
        super().__init__(limits=httpx2.Limits(max_keepalive_connections=0))
        self._issuer = httpx2.URL(issuer)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        address = await check_address(self._issuer, request.url)
        return await super().handle_async_request(request if address is None else pinned(request, address))


def pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    """`request`, made to `address` whatever its name leads to; the certificate must still be of the name."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,  # Host stays as it was
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


async def check_address(issuer: httpx2.URL, url: httpx2.URL) -> str | None:
    """The address at which to call `url`; None: wherever it leads, for it is the provider's own host.

    Raises `NotReached` when a provider at `issuer` must not have us call it.
    """
    own = (url.scheme, url.host, url.port) == (issuer.scheme, issuer.host, issuer.port)
    if own and (url.scheme == "https" or is_loopback(url.host)):
        return None
    if url.scheme != "https":
        raise NotReached(f"{url.host} must be called by https")
    if url.host == issuer.host:  # another port of the same host
        return None
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotReached(f"{url.host} cannot be found") from error
    if not all(ip_address(one[4][0]).is_global for one in found):
        raise NotReached(f"{url.host} is not a public address")
    return str(found[0][4][0])


def outbound_client(issuer: str, **options: Any) -> AsyncOAuth2Client:
    """A client for the provider at `issuer`."""
    # trust_env off: a proxy in the environment would make the call where our check did not look.
    return AsyncOAuth2Client(
        transport=_Guarded(issuer), follow_redirects=False, timeout=_SECONDS, trust_env=False, **options
    )


async def read_json(client: AsyncOAuth2Client, url: str, *, bearer: str = "") -> dict[str, Any]:
    """The JSON object at `url`. Raises `NotReached`, httpx2.HTTPError."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with client.stream("GET", url, headers=headers, withhold_token=True) as answer:
        if answer.status_code != 200:
            raise NotReached(f"{url} answered {answer.status_code}")
        body = b""
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > _LARGEST:
                raise NotReached(f"{url} answered with more than {_LARGEST} bytes")
    try:
        read = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise NotReached(f"{url} did not answer with JSON") from error
    if not isinstance(read, dict):
        raise NotReached(f"{url} did not answer with a JSON object")
    return read
