"""Signed links and keyed names: what we hand out and recognise again. It knows no noun of the domain.

A token is `base64url(payload || tag)`. The tag is HMAC-SHA-256 over purpose and payload, cut to 16 bytes (RFC 2104
section 5 allows half). Keys can be rotated: the first signs, all of them verify. `Namer` is for names that are made by
the hundred thousand and read back.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

_TAG_BYTES = 16
_NAME_BYTES = 12
# RFC 4648 base32 in lower case, ten bits at a time: a name is made for every message, and the library's encoder was a
# tenth of the cost of sending one.
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]


class BadToken(Exception):
    """The token is not one of ours, or not for this purpose."""


class Tokens:
    """Signs and reads tokens. `keys`: secrets of at least 32 bytes, the newest first."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < 32 for key in keys):
            raise ValueError("Signing needs at least one key of 32 bytes or more.")
        self._keys = tuple(keys)

    def namer(self, purpose: str) -> "Namer":
        """What makes names for `purpose`, and knows them again under every key."""
        return Namer([hmac.digest(key, b"names for " + purpose.encode(), "sha256") for key in self._keys])

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

    def name(self, purpose: str, text: str) -> str:
        """A keyed, unguessable name (26 characters a-z2-7) that is always the same for the same text."""
        return _name(self._keys[0], purpose, text)

    def names(self, purpose: str, text: str) -> list[str]:
        """`name` with every key, the newest first: what somebody was told before a rotation is among them."""
        return [_name(key, purpose, text) for key in self._keys]


def _name(key: bytes, purpose: str, text: str) -> str:
    number = int.from_bytes(_tag(key, purpose, text.encode()), "big") << 2
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


class Namer:
    """Makes keyed, unguessable names (24 characters 0-9a-f), always the same for the same text. From `Tokens.namer`.

    A name is keyed BLAKE2b (RFC 7693 section 2.9), 96 bits of it, which can be tried against us only, a request a
    guess. Two are made for every message, and it is a fifth of the price of `Tokens.name`.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        # Kept with the key taken in, which costs as much as the rest, and copied for each name.
        self._states = [hashlib.blake2b(key=key, digest_size=_NAME_BYTES) for key in keys]

    def name(self, text: str) -> str:
        """The name of `text`."""
        return _digest(self._states[0], text)

    def under_all(self, text: str) -> list[str]:
        """The names of `text` under each key, the newest first."""
        return [_digest(state, text) for state in self._states]

    def knows(self, name: str, text: str) -> bool:
        """Whether `name` is that of `text`, under any of the keys."""
        return any(hmac.compare_digest(one.encode(), name.encode()) for one in self.under_all(text))


def _digest(state: "hashlib.blake2b", text: str) -> str:
    state = state.copy()
    state.update(text.encode())
    return state.hexdigest()


def _tag(key: bytes, purpose: str, payload: bytes) -> bytes:
    # The length prefix keeps (purpose, payload) pairs apart that would join to the same bytes.
    label = purpose.encode()
    return hmac.digest(key, len(label).to_bytes(2, "big") + label + payload, hashlib.sha256)[:_TAG_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
