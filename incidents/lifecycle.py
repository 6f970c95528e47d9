"""The rules of an incident: its phases, who may follow whom, and what an update must say before it may be published.

Pure: it takes plain values and the time, and knows neither the database nor the web.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

from foundation.errors import Conflict, Fault, Invalid
from foundation.languages import SPOKEN
from incidents.wording import (
    LONGEST_TITLE,
    UpdateText,
    language_faults,
    line_faults,
    text_faults,
    tidy_text,
)
from incidents.wording import tidy as tidy_line

Kind = Literal["incident", "maintenance"]
State = Literal["draft", "declared", "dismissed"]
Phase = Literal[
    "investigating",
    "identified",
    "monitoring",
    "resolved",
    "postmortem",
    "scheduled",
    "in_progress",
    "verifying",
    "completed",
    "cancelled",
]
Impact = Literal["none", "minor", "major", "critical"]
Certainty = Literal["unknown", "suspected", "confirmed"]
ComponentStatus = Literal["operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage"]
# Whom an update is for: all concerned, or those whom a change of scope brought in or let go.
Audience = Literal["everyone", "joined", "left"]

# In the order in which most incidents go through them, and most planned work.
PHASES: tuple[Phase, ...] = ("investigating", "identified", "monitoring", "resolved")
MAINTENANCE_PHASES: tuple[Phase, ...] = ("scheduled", "in_progress", "verifying", "completed")
# An incident or planned work is over in these.
OVER: frozenset[Phase] = frozenset({"resolved", "postmortem", "completed", "cancelled"})
# Of an update in these, people wait for the next one. Planned work says when it ends instead.
PROMISING: frozenset[Phase] = frozenset({"investigating", "identified", "monitoring"})
# From best to worst: where several are claimed for one component, the worst is shown.
STATUSES: tuple[ComponentStatus, ...] = get_args(ComponentStatus)
LONGEST_EVIDENCE = 2000
LONGEST_PROMISE = timedelta(days=7)  # later than this is a slip of the pen


@dataclass(frozen=True, slots=True)
class Draft:
    """An update as written. `component_status` and `impact` None leave them as they are (resolving restores).

    `cause_party`: with whom the cause lies; `cause_stated_by`: the party that says so, None for ourselves;
    `cause_evidence`: on what, for the record, never for the public.
    `corrects`: the id of a published update of the same incident that was wrong; then only those hear this one who may
    have got that. `audience`: see `audience.addressees`.
    """

    phase: Phase
    texts: Mapping[str, UpdateText]
    next_update_at: datetime | None = None
    cause_certainty: Certainty = "unknown"
    cause_party: str | None = None
    component_status: ComponentStatus | None = None
    impact: Impact | None = None
    corrects: str | None = None
    cause_stated_by: str | None = None
    cause_evidence: str = ""
    audience: Audience = "everyone"


@dataclass(frozen=True, slots=True)
class Declaration:
    """An incident as declared: what it is called (per language), how bad it is, since when, and what it concerns."""

    title: Mapping[str, str]
    impact: Impact
    started_at: datetime
    components: Sequence[str] = ()
    groups: Sequence[str] = ()


def tidy(draft: Draft) -> Draft:
    """The draft with white space around its texts removed, and line ends of one kind; resolving restores the rest."""
    texts = {language: tidy_text(text) for language, text in draft.texts.items()}
    restored = "operational" if draft.phase == "resolved" and draft.component_status is None else draft.component_status
    return replace(draft, texts=texts, component_status=restored, cause_evidence=tidy_line(draft.cause_evidence))


def tidy_title(title: Mapping[str, str]) -> dict[str, str]:
    """An incident's title with white space around it removed."""
    return {language: tidy_line(text) for language, text in title.items()}


def check_declaration(declared: Declaration, now: datetime) -> None:
    """Raise Invalid with every fault of a declaration."""
    faults = list(title_faults(declared.title))
    if not declared.components and not declared.groups:
        faults.append(Fault("components", "Name at least one component or group that is affected."))
    if declared.started_at > now:
        faults.append(Fault("started_at", "An incident cannot have started in the future."))
    _refuse("The incident cannot be declared like this.", faults)


def check_update(draft: Draft, current: Phase, now: datetime) -> None:
    """Raise Invalid with every fault of an update to an incident that is `current`; Conflict when none is possible."""
    check_move(current, draft.phase)
    faults = [
        *text_faults(draft.texts, corrects=draft.corrects is not None),
        *_cause_faults(draft),
        *promise_faults(draft.phase, draft.next_update_at, now),
    ]
    if draft.phase == "resolved" and draft.component_status not in (None, "operational"):
        faults.append(Fault("component_status", "A resolved incident leaves its components operational."))
    _refuse("The update cannot be published like this.", faults)


def check_move(current: Phase, to: Phase) -> None:
    """Raise Conflict unless an incident may go from `current` to phase `to`.

    Open phases may follow each other in any order: a repair that fails leads back to the search, and saying so is
    honest. Resolved is the end; what breaks again is a new incident, with cases of its own.
    """
    if current == "resolved" and to != "resolved":
        raise Conflict("This incident is resolved. Declare a new incident if it happens again.", code="resolved")


def promise_faults(phase: Phase, next_update_at: datetime | None, now: datetime) -> Iterator[Fault]:
    """Every update but the last says when the next one comes, and that must still be ahead."""
    if next_update_at is None:
        if phase != "resolved":
            yield Fault("next_update_at", "Say when the next update comes.")
    elif next_update_at <= now:
        yield Fault("next_update_at", "The next update must be promised for a time that is still ahead.")
    elif next_update_at > now + LONGEST_PROMISE:
        yield Fault("next_update_at", "Promise the next update within seven days.")


def title_faults(title: Mapping[str, str]) -> Iterator[Fault]:
    """What is wrong with an incident's title, field by field."""
    yield from language_faults("title", title)
    for language in SPOKEN:
        if language in title:
            yield from line_faults(f"title.{language}", title[language], LONGEST_TITLE)


def _cause_faults(draft: Draft) -> Iterator[Fault]:
    named = any(text.cause for text in draft.texts.values())
    if draft.cause_certainty == "unknown":
        for field, given in (("cause_party", draft.cause_party), ("cause_stated_by", draft.cause_stated_by)):
            if given is not None:
                yield Fault(field, "Name a party only when the cause is suspected or confirmed.")
        if draft.cause_evidence:
            yield Fault("cause_evidence", "There is evidence of something: say whether it is suspected or confirmed.")
        if named:
            yield Fault("cause_certainty", "A cause is named: say whether it is suspected or confirmed.")
        return
    if not named and draft.cause_party is None:
        yield Fault("cause_certainty", "Say what is suspected or confirmed: a cause in every language, or a party.")
    if draft.cause_certainty == "confirmed" and not draft.cause_evidence:
        yield Fault("cause_evidence", "Say what confirms it: who looked at what, and when.")
    if len(draft.cause_evidence) > LONGEST_EVIDENCE:
        yield Fault("cause_evidence", f"Keep this within {LONGEST_EVIDENCE} characters.")


def _refuse(message: str, faults: Sequence[Fault]) -> None:
    if faults:
        raise Invalid(message, faults)
