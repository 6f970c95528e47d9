"""Seals what we must be able to read again and nobody else may: secrets of second factors, a sign-in on its way.

With keys derived from the installation's, one for each purpose; keys can be rotated: the first seals, all of them open.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Seal:
    """Seals and opens texts for one purpose. `keys`: the installation's, the newest first."""

    def __init__(self, purpose: str, keys: Sequence[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(_derived(purpose, key)) for key in keys])

    def close(self, text: str) -> bytes:
        """`text` sealed, with the time."""
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes, *, seconds: int | None = None) -> str | None:
        """The text; None when none of our keys opens it, or when it was sealed more than `seconds` ago."""
        try:
            return self._fernet.decrypt(sealed, ttl=seconds).decode()
        except InvalidToken:
            return None


def _derived(purpose: str, key: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(key, f"stormdesk {purpose}".encode(), hashlib.sha256))
