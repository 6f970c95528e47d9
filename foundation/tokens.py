"""Signed links and keyed names: what we hand out and recognise again. It knows no noun of the domain.

A token is `base64url(payload || tag)`. The tag is HMAC-SHA-256 over purpose and payload, cut to 16 bytes (RFC 2104
section 5 allows half). A name is keyed BLAKE2b (RFC 7693 section 2.9) over its text: two are made for every message,
and it is a quarter of the price of HMAC. Keys can be rotated: the first signs, all of them verify.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

_TAG_BYTES = 16
_NAME_BYTES = 12  # 96 bits, to be tried against us only, one request a guess


class BadToken(Exception):
    """The token is not one of ours, or not for this purpose."""


class Tokens:
    """Signs and reads tokens. `keys`: secrets of at least 32 bytes, the newest first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < 32 for key in keys):
            raise ValueError("Signing needs at least one key of 32 bytes or more.")
        self._keys = tuple(keys)

    def sign(self, purpose: str, payload: bytes) -> str:
        """A URL-safe token that carries `payload` in the open and proves that we made it for `purpose`."""
        return _encode(payload + _tag(self._keys[0], purpose, payload))

    def read(self, purpose: str, token: str) -> bytes:
        """The payload of a token made by `sign` for the same purpose; raises `BadToken` otherwise."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BadToken from None
        payload, tag = raw[:-_TAG_BYTES], raw[-_TAG_BYTES:]
        # The re-encoding refuses a second spelling of the same bytes (the unused bits of the last character).
        if _encode(raw) == token and any(hmac.compare_digest(_tag(key, purpose, payload), tag) for key in self._keys):
            return payload
        raise BadToken

    def names(self, purpose: str) -> "Names":
        """What makes names for `purpose`, and knows them again."""
        return Names([hmac.digest(key, b"names for " + purpose.encode(), "sha256") for key in self._keys])


class Names:
    """Keyed, unguessable names (24 characters 0-9a-f), always the same for the same text. From `Tokens.names`."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._states = [hashlib.blake2b(key=key, digest_size=_NAME_BYTES) for key in keys]

    def name(self, text: str) -> str:
        """The name of `text`."""
        return _name(self._states[0], text)

    def under_all(self, text: str) -> list[str]:
        """The names of `text` under each key, the newest first."""
        return [_name(state, text) for state in self._states]

    def knows(self, name: str, text: str) -> bool:
        """Whether `name` is that of `text`, under any of the keys."""
        return any(hmac.compare_digest(one.encode(), name.encode()) for one in self.under_all(text))


def _name(state: "hashlib.blake2b", text: str) -> str:
    # The state with the key in it is copied: taking the key in costs as much as the rest.
    state = state.copy()
    state.update(text.encode())
    return state.hexdigest()


def _tag(key: bytes, purpose: str, payload: bytes) -> bytes:
    # The length prefix keeps (purpose, payload) pairs apart that would join to the same bytes.
    label = purpose.encode()
    return hmac.digest(key, len(label).to_bytes(2, "big") + label + payload, hashlib.sha256)[:_TAG_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
