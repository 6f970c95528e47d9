"""The time, as a value that can be handed in. It knows UTC only; zones belong to the edge."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
# Seconds that only ever grow, for measuring how long something takes: time.monotonic, or a test's own.
Monotonic = Callable[[], float]


def system_clock() -> datetime:
    """Now, in UTC, with its zone attached."""
    return datetime.now(UTC)
