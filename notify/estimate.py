"""When the last recipient will have been told: an estimate per domain and for all, with what it hangs on. Pure.

Domains without a pace of their own are served in one queue, so the last of each comes when that queue is empty. A slow
domain has a queue of its own, which drips at its rate; a stopped or held one has no estimate but a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Because = Literal["done", "rate", "throttled", "stopped", "held", "paused", "unmeasured"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of one domain is unsent, and how. `seconds_stopped`: until its brake is released, 0 when it is not pulled.

    `rate`: messages a second that the domain permits; None: it has no pace of its own.
    """

    unsent: int
    rate: float | None = None
    seconds_stopped: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds until the last recipient; None where nobody can tell, and `because` says what it hangs on."""

    seconds: float | None
    because: Because


def estimates(
    domains: Mapping[str, Waiting], measured: float | None, blocked: Literal["held", "paused"] | None = None
) -> Mapping[str, Estimate]:
    """The estimate of each domain. `measured`: deliveries a second just now, all domains together; None: none yet.

    `blocked`: somebody holds or pauses the dispatch.
    """
    shared = sum(one.unsent for one in domains.values() if one.rate is None)
    return {name: _estimate(one, shared, measured, blocked) for name, one in domains.items()}


def last_of(found: Mapping[str, Estimate]) -> Estimate:
    """The estimate of all together: the slowest domain, and any that nobody can tell about."""
    open_ended = [one for one in found.values() if one.seconds is None]
    if open_ended:
        return open_ended[0]
    return max(found.values(), key=lambda one: one.seconds or 0.0, default=Estimate(0.0, "done"))


def _estimate(one: Waiting, shared: int, measured: float | None, blocked: Literal["held", "paused"] | None) -> Estimate:
    if not one.unsent:
        return Estimate(0.0, "done")
    if blocked is not None:
        return Estimate(None, blocked)
    if one.rate is not None:
        because: Because = "stopped" if one.seconds_stopped else "throttled"
        return Estimate(one.seconds_stopped + one.unsent / one.rate, because)
    if not measured:
        return Estimate(None, "unmeasured")
    return Estimate(shared / measured, "rate")
