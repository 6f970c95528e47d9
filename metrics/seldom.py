"""Figures that need every row: counted again only when a hundred times as long has passed as counting them took.

So they cost the database one part in a hundred, however many rows there are, and are still new at every scrape while
they are few. It knows no database.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from foundation.clock import Monotonic

T = TypeVar("T")
_REST = 100.0  # times as long as it took


class Seldom:
    """What was counted, and when it may be counted again."""

    def __init__(self, clock: Monotonic = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, float, Any]] = {}

    async def figure(self, name: str, count: Callable[[], Awaitable[T]], *, of: str = "") -> T:
        """The figure `name`: what `count` says, or said lately about the same thing (`of`)."""
        known = self._known.get(name)
        if known is not None and known[0] == of and self._clock() < known[1]:
            found: T = known[2]
            return found
        began = time.perf_counter()
        counted = await count()
        self._known[name] = (of, self._clock() + _REST * (time.perf_counter() - began), counted)
        return counted
