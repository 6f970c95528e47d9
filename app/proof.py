"""Proof that whoever holds a session has just shown again who they are: asked before people and rights are changed.

It is a signed cookie, bound to the session, good for a quarter of an hour. A session left open on a desk does not have
it, nor does one that came through a provider that did not ask anybody anything.
"""

import hashlib
from datetime import datetime, timedelta

from foundation.tokens import BadToken, Tokens

LASTS = timedelta(minutes=15)
NOT_PROVEN = "Nothing was changed. Sign in again, or show at /desk/again who you are, and repeat it."
_PURPOSE = "proven"
_TIME = 8  # bytes


def proof(tokens: Tokens, binding: str, *, now: datetime) -> str:
    """The proof, made now, for the session whose cookie is `binding`."""
    return tokens.sign(_PURPOSE, int(now.timestamp()).to_bytes(_TIME, "big") + _digest(binding))


def is_proven(tokens: Tokens, text: str, binding: str, *, now: datetime) -> bool:
    """Whether `text` is a proof for this session that is still good."""
    try:
        payload = tokens.read(_PURPOSE, text)
    except BadToken:
        return False
    age = int(now.timestamp()) - int.from_bytes(payload[:_TIME], "big")
    return payload[_TIME:] == _digest(binding) and 0 <= age < LASTS.total_seconds()


def _digest(binding: str) -> bytes:
    return hashlib.sha256(binding.encode("utf-8", "replace")).digest()[:16]
