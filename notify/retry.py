"""When to try again: exponential backoff with jitter, never past the moment the message loses its use. Pure."""

from datetime import datetime, timedelta

FIRST = timedelta(seconds=45)
LONGEST = timedelta(minutes=30)
# Greylisting lifts after some minutes, so the early tries stand close; a relay that is away for long is asked rarely.
GROWTH = 2.0
# Added at random, so that ten thousand people deferred by one overloaded server do not come back in one second.
SPREAD = 0.5


def pause_after(attempt: int, chance: float) -> timedelta:
    """How long to wait after attempt number `attempt` (1 is the first). `chance`: a random number from 0 up to 1."""
    doublings = min(max(attempt, 1) - 1, 16)
    return min(FIRST * GROWTH**doublings, LONGEST) * (1 + SPREAD * chance)


def next_pause(
    attempt: int, now: datetime, not_after: datetime, chance: float, asked: timedelta | None = None
) -> timedelta | None:
    """The pause before the next try, or None when that try would come too late to be of use.

    `asked`: what the other side wants us to wait, which it knows better; a little is added, so that nobody is early.
    """
    pause = pause_after(attempt, chance) if asked is None else asked * (1 + SPREAD * chance / 5)
    return pause if now + pause < not_after else None
