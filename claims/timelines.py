"""A case as a story: everything that came in, was said, decided or done, in the order it happened. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Told = Literal["contact", "reply", "decision", "appeal", "appointment", "feedback", "note"]
# Of these the case itself tells more elsewhere in the story.
_TOLD_ELSEWHERE = frozenset(("contact_joined", "replied", "decided", "appealed", "promised"))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `what`: as `claims.case_view` shows it, or the line of the journal."""

    told: Told
    at: datetime
    what: Mapping[str, Any]


def timeline(case: Mapping[str, Any]) -> Sequence[Event]:
    """The story of a case from `claims.case_view.show_case`, the newest first."""
    events = [Event("contact", one["received_at"], one) for one in case["contacts"]]
    # What a decision's letter says stands in the decision.
    events += [Event("reply", one["written_at"], one) for one in case["replies"] if one["kind"] != "decision"]
    seen: set[tuple[str, datetime]] = set()
    for claim in case["claims"]:
        for decision in claim["decisions"]:
            told = {**decision, "kind": claim["kind"]}
            # One ruling stands on every claim of its kind; it is told once.
            if (claim["kind"], decision["decided_at"]) not in seen:
                events.append(Event("decision", decision["decided_at"], told))
            seen.add((claim["kind"], decision["decided_at"]))
            if decision["appeal"] is not None:
                events.append(Event("appeal", decision["appeal"]["made_at"], told))
    events += [Event("appointment", one["made_at"], one) for one in case["appointments"]]
    events += [Event("feedback", one["given_at"], one) for one in case["feedback"] if one["given_at"] is not None]
    events += [Event("note", one["at"], one) for one in case["journal"] if one["event"] not in _TOLD_ELSEWHERE]
    return sorted(events, key=lambda one: one.at, reverse=True)
