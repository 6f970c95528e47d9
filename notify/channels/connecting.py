"""Opening a connection to a relay: aiosmtplib connects, secures and signs in; then our own conversation takes over.

Nothing is said to a server that has not proven who it is, where its URL asks for proof: no EHLO after the handshake, no
password, no mail.
"""

import asyncio
import hashlib
import ssl
from functools import lru_cache
from typing import cast

import aiosmtplib

from notify.channels.conversation import Conversation
from notify.channels.envelopes import Extensions
from notify.channels.relays import Relay
from notify.channels.replies import Reply, Timeouts


class CannotConnect(Exception):
    """No connection that may be used. `refused`: the server answered, and wants nothing from us (5xx)."""

    def __init__(self, words: str, *, refused: bool = False) -> None:
        super().__init__(Reply(0, words.encode("utf-8", "replace")).words)
        self.refused = refused


async def connect(relay: Relay, timeouts: Timeouts, greeting_name: str) -> Conversation:
    """A connection that is ready for mail; raises `CannotConnect`."""
    try:
        context = None if relay.security in ("off", "offered") else await _tls_context(relay)
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.security == "tls",
            start_tls=False,
            tls_context=context,
            timeout=timeouts.connect,
            local_hostname=greeting_name,
        )
        await client.connect()
        try:
            return await _prepared(client, relay, timeouts)
        except BaseException:
            client.close()
            raise
    except aiosmtplib.SMTPResponseException as error:
        raise CannotConnect(f"{error.code} {error.message}", refused=error.code >= 500) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise CannotConnect(str(error) or type(error).__name__) from error


async def _prepared(client: aiosmtplib.SMTP, relay: Relay, timeouts: Timeouts) -> Conversation:
    if relay.security == "tls":
        _check_fingerprint(client, relay)
    await _greet(client)
    if relay.security == "starttls" or (relay.security == "offered" and client.supports_extension("starttls")):
        if not client.supports_extension("starttls"):
            raise CannotConnect(f"{relay.name} offers no STARTTLS, and its URL asks for encryption; nothing was sent.")
        await client.starttls(tls_context=await _tls_context(relay))
        _check_fingerprint(client, relay)
        await _greet(client)  # what was offered before the handshake may have been anybody's word
    if relay.user is not None:
        if client.get_transport_info("ssl_object") is None:  # cannot be: the URL would not have been taken
            raise CannotConnect(f"The connection to {relay.name} is not encrypted, so no password is sent over it.")
        await client.login(relay.user, relay.password or "")
    offers = Extensions.offered(client.supports_extension)
    return Conversation(cast(asyncio.Transport, client.transport), offers, timeouts)


async def _greet(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code == 421 or not client.is_connected:
            raise
        await client.helo()


def _check_fingerprint(client: aiosmtplib.SMTP, relay: Relay) -> None:
    if not relay.fingerprints:
        return
    tls = client.get_transport_info("ssl_object")
    found = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
    if found not in relay.fingerprints:
        raise CannotConnect(
            f"{relay.name} shows a certificate with the fingerprint sha256:{found}, which its URL does not name; "
            "nothing was sent."
        )


async def _tls_context(relay: Relay) -> ssl.SSLContext:
    # It reads the system's certificates: some 30 ms that the loop must not stand still for.
    return await asyncio.to_thread(_loaded_context, relay)


@lru_cache(maxsize=64)
def _loaded_context(relay: Relay) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=relay.ca)
    # A pinned certificate is known by its fingerprint alone, or by that and the ca when both are named.
    if relay.security == "offered" or (relay.fingerprints and not relay.ca):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
