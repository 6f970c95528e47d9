"""What may be decided on a claim, and what a decision must say. Pure.

Every decision has a coded reason. Whoever is refused anything also hears why, in words, and what they can do next: a
decision without these is refused here, and again by a CHECK in the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from foundation.errors import Fault

Outcome = Literal["granted", "partly", "rejected"]
Reason = Literal[
    "as_asked",
    "by_law",
    "goodwill",
    "part_is_covered",
    "above_the_limit",
    "not_affected",
    "no_proof",
    "not_covered",
    "too_late",
    "extraordinary",
    "another_party_pays",
    "settled_before",
]
NextStep = Literal["appeal", "add_information", "ask_for_a_person", "dispute_body", "none_needed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
NEXT_STEPS: tuple[NextStep, ...] = get_args(NextStep)

_GRANTING: tuple[Reason, ...] = ("as_asked", "by_law", "goodwill", "settled_before")
_PARTING: tuple[Reason, ...] = ("part_is_covered", "above_the_limit", "goodwill", "no_proof", "another_party_pays")
_REFUSING: tuple[Reason, ...] = (
    *("not_affected", "no_proof", "not_covered", "too_late", "extraordinary", "another_party_pays", "settled_before"),
)
REASONS: dict[Outcome, tuple[Reason, ...]] = {"granted": _GRANTING, "partly": _PARTING, "rejected": _REFUSING}
LONGEST_WORDS = 10_000

Codes: TypeAlias = Sequence[str]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What somebody decides. `words`: to the customer, in their language; `next_steps`: what they can do then."""

    outcome: str
    reason: str
    words: str = ""
    next_steps: Codes = ()


def faults_in(ruling: Ruling) -> list[Fault]:
    """What is missing or wrong, all of it."""
    faults = []
    if ruling.outcome not in REASONS:
        return [Fault("outcome", f"Must be one of {', '.join(OUTCOMES)}.")]
    reasons = REASONS[ruling.outcome]
    if ruling.reason not in reasons:
        faults.append(Fault("reason", f"{ruling.outcome} needs one of these reasons: {', '.join(reasons)}."))
    if unknown := sorted(set(ruling.next_steps) - set(NEXT_STEPS)):
        faults.append(Fault("next_steps", f"{', '.join(unknown)}: must be some of {', '.join(NEXT_STEPS)}."))
    if len(ruling.words) > LONGEST_WORDS:
        faults.append(Fault("words", f"At most {LONGEST_WORDS} characters."))
    if ruling.outcome != "granted":
        if not ruling.words.strip():
            faults.append(Fault("words", "Say why, in words that the customer understands."))
        if not set(ruling.next_steps) - {"none_needed"}:
            faults.append(Fault("next_steps", "Say what the customer can do next: appeal, at least."))
    return faults


def may_be_appealed(outcome: str) -> bool:
    """Whether somebody who is not content may ask us to look again: whenever they did not get all."""
    return outcome != "granted"
