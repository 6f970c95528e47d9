"""Passwords: which ones are good enough, and how they are kept (argon2id).

With the parameters of RFC 9106, section 4 (`app.wiring`), hashing takes 64 MiB and a tenth of a second on purpose; a
few at a time, so that a storm of sign-ins cannot eat the machine.
"""

import asyncio
from collections.abc import Sequence
from functools import cached_property

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

SHORTEST = 12
LONGEST = 128
_GUESSES = 3  # zxcvbn's scale: 3 is "safely unguessable", 10^8 guesses and more
_READ = 72  # zxcvbn's time grows with the square of what it reads
_AT_ONCE = 2


class Passwords:
    """Hashes and checks passwords, `_AT_ONCE` at a time in this process. `cost`: of making one, and of guessing it."""

    def __init__(self, cost: Parameters) -> None:
        self._hasher = PasswordHasher.from_parameters(cost)
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def fits(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one `kept` was made of. Without a kept one: no, after just as long."""
        async with self._turn:
            return await asyncio.to_thread(self._fits, kept, password)

    def _fits(self, kept: str | None, password: str) -> bool:
        try:
            self._hasher.verify(kept or self._nobodys, password[: LONGEST + 1])
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("the password of nobody")


def fault_of(password: str, known: Sequence[str]) -> str | None:
    """What is wrong with a new password, as a sentence (a message id); None when it will do.

    `known`: what an attacker would try first, such as the account's name.
    """
    if len(password) < SHORTEST:
        return "Please choose a longer password: 12 characters or more. Three or four words make a good one."
    if len(password) > LONGEST:
        return "Please choose a shorter password: 128 characters at most."
    if zxcvbn(password[:_READ], user_inputs=[*known, "stormdesk"], max_length=_READ)["score"] < _GUESSES:
        return "This password would be guessed soon. Three or four words that do not belong together make a good one."
    return None
