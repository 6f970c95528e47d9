"""The rule book of a delivery: its states, who follows whom, and what each result of sending leads to. Pure.

The statements in `outbox.py` carry these rules out; a state machine of Hypothesis holds them to the table below.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

from notify.channels import Accepted, Deferred, Refused, Result, Unclear, Unsent
from notify.retry import next_pause

State = Literal[
    "planned",  # waits for its turn
    "sending",  # in a batch under a lease, committed before a byte of it leaves; not stored in the row, see below
    "deferred",  # refused for now; its batch waits until it is due
    "accepted",  # the next system has it
    "delivered",  # a report says it arrived
    "bounced",  # a report says it did not
    "rejected",  # refused for good
    "suppressed",  # never to be sent: no usable address, or no consent
    "superseded",  # newer news overtook it before it was sent
    "expired",  # it lost its use before it could be sent
    "unknown",  # it may have arrived or not, and nobody can tell
]
STATES: tuple[State, ...] = get_args(State)

# What a row can hold. Sending is the one state that stands elsewhere: in the lease of the row's batch.
STORED: frozenset[State] = frozenset(STATES) - {"sending"}

TRANSITIONS: Mapping[State, frozenset[State]] = {
    # A planned row that was in doubt before (a worker died with it) ends as unknown, not as superseded or expired:
    # those two say that nothing was sent, and so does suppressed: the last usable address was lost since planning.
    "planned": frozenset({"sending", "suppressed", "superseded", "expired", "unknown"}),
    # Back to planned: released untried, or once after its worker died (the repeat carries the same Message-ID).
    # Superseded: overtaken while it was out, and then refused for now; it is not tried again.
    # Suppressed: called off while it was out.
    "sending": frozenset(
        {"accepted", "rejected", "deferred", "planned", "suppressed", "superseded", "expired", "unknown"}
    ),
    "deferred": frozenset({"sending", "suppressed", "superseded", "expired", "unknown"}),
    # Reports come later than acceptance, and sometimes after each other: a bounce after a receipt is a mailbox that
    # took the message and then sent it back.
    "accepted": frozenset({"delivered", "bounced"}),
    "delivered": frozenset({"bounced"}),
    "bounced": frozenset(),
    "rejected": frozenset(),
    "suppressed": frozenset(),
    "superseded": frozenset(),
    "expired": frozenset(),
    # A report can still clear up what the connection left open.
    "unknown": frozenset({"delivered", "bounced"}),
}

FINAL: frozenset[State] = frozenset(STATES) - {"planned", "sending", "deferred"}


class Outcome(NamedTuple):
    """What to store about an attempt. `pause` is set for deferred only; `reason` is a short stable word.

    `tried` false: nothing left us, so it does not count as an attempt.
    """

    state: State
    reason: str | None = None
    pause: timedelta | None = None
    code: int | None = None
    reply: str = ""
    tried: bool = True


def outcome(result: Result, *, attempt: int, now: datetime, not_after: datetime, chance: float) -> Outcome:
    """What `result` of attempt number `attempt` makes of a delivery. `chance`: random, 0 up to 1, spreads retries."""
    match result:
        case Accepted():
            return Outcome("accepted", None, None, result.code, result.reply)
        case Refused():
            return Outcome("rejected", result.reason, None, result.code, result.reply)
        case Unclear():
            # Not sent again: most such messages have arrived, and a newer update will tell the rest.
            return Outcome("unknown", result.reason, None, result.code, result.reply)
        case Unsent():
            return Outcome("planned", tried=False)
        case Deferred():
            pause = next_pause(attempt, now, not_after, chance, result.pause)
            state: State = "expired" if pause is None else "deferred"
            return Outcome(state, result.reason, pause, result.code, result.reply)
