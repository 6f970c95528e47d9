"""How fast a destination lets us send, learned from what it answers. Pure: rules over plain values and times.

A domain without a pace is sent to as fast as we can. One that asks us to slow down gets a token bucket and a bound on
what is under way at once, cut by half each time it asks again and raised slowly while it does not (additive increase
would take hours from one a minute, so both go by a factor). What is counted here is in the database, so all workers
keep to it together (`paced.py`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# Where a domain starts that has just told us for the first time to slow down: the default of large senders for a site
# that is not known better (10 connections), and a tenth of their 100 messages a second.
FIRST_RATE = 10.0
FIRST_CONCURRENCY = 10
SLOWEST_RATE = 1 / 60  # what large senders fall back to on "try again later"
SLOWER, FASTER = 0.5, 1.25
# A burst of answers to messages that were already out is one request to slow down, not twenty.
ONE_REQUEST = timedelta(seconds=5)
EASE_EVERY = timedelta(seconds=30)
# Nobody needs a bucket who lets us do this much.
FREE_RATE = 200.0

# The brake: so many results of a domain at least, so many of them refusals, and how long it holds.
FEWEST_RESULTS = 20
REFUSED_SHARE = 0.5
STOP_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Pace:
    """What a destination permits: `rate` messages a second, `concurrency` under way at once.

    `tokens` could be sent at `counted_at`. The ceilings were set by people and are never exceeded; None: none was set.
    """

    rate: float
    concurrency: int
    tokens: float
    counted_at: datetime
    ceiling_rate: float | None = None
    ceiling_concurrency: int | None = None
    throttled_at: datetime | None = None


def first_pace(now: datetime) -> Pace:
    """The pace of a domain that asked us for the first time to slow down."""
    return Pace(FIRST_RATE, FIRST_CONCURRENCY, 0.0, now, throttled_at=now)


def tokens_at(pace: Pace, now: datetime) -> float:
    """How many messages may be begun at `now`: what has dripped in since, at most a second's worth (and one)."""
    dripped = pace.tokens + pace.rate * max((now - pace.counted_at).total_seconds(), 0.0)
    return min(dripped, max(pace.rate, 1.0))


def slower(pace: Pace, now: datetime) -> Pace:
    """The pace after the destination asked us to slow down (again)."""
    if pace.throttled_at is not None and now - pace.throttled_at < ONE_REQUEST:
        return pace
    rate = max(pace.rate * SLOWER, SLOWEST_RATE)
    return replace(
        pace,
        rate=rate,
        concurrency=max(int(pace.concurrency * SLOWER), 1),
        tokens=min(tokens_at(pace, now), rate),
        counted_at=now,
        throttled_at=now,
    )


def faster(pace: Pace) -> Pace | None:
    """The pace after a while without complaint; None: it needs none any more."""
    rate = pace.rate * FASTER
    if pace.ceiling_rate is None and rate >= FREE_RATE:
        return None
    return replace(
        pace,
        rate=min(rate, pace.ceiling_rate or rate),
        concurrency=min(max(pace.concurrency + 1, int(pace.concurrency * FASTER)), pace.ceiling_concurrency or 1000),
    )


def domain_of(address: str) -> str:
    """The destination of an address: its mail domain, the host of its URL, or nothing for a phone number."""
    if "@" in address:
        return address.rpartition("@")[2].lower()
    return address.partition("://")[2].partition("/")[0].partition(":")[0].lower()


class Watch:
    """Notices when a destination refuses in a spike. One for each channel of a process; counts since the last verdict.

    Only domains that have refused at all are counted, so the many that work cost nothing.
    """

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def note(self, domain: str, *, refused: bool) -> bool:
        """Count a result; True when the brake should be pulled for `domain`."""
        if not refused and domain not in self._counts:
            return False
        results, refusals = self._counts.pop(domain, (0, 0))
        results, refusals = results + 1, refusals + refused
        if results >= FEWEST_RESULTS:
            return refusals >= REFUSED_SHARE * results
        # The newest last, so that a storm of domains drops the oldest counts instead of filling the memory.
        self._counts[domain] = (results, refusals)
        if len(self._counts) > 10_000:
            del self._counts[next(iter(self._counts))]
        return False
