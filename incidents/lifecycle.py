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
# With these words what was disrupted works again.
_RESTORING: frozenset[Phase] = frozenset({"resolved", "completed"})
_OPEN: frozenset[Phase] = PROMISING | {"resolved"}
# Where an update may lead from each phase. Who ends planned work early says so, and nothing follows what is over.
MOVES: dict[Phase, frozenset[Phase]] = {
    "investigating": _OPEN,
    "identified": _OPEN,
    "monitoring": _OPEN,
    "resolved": frozenset({"resolved"}),
    "postmortem": frozenset({"resolved"}),
    "scheduled": frozenset({"scheduled", "in_progress", "cancelled"}),
    "in_progress": frozenset({"in_progress", "verifying", "completed"}),
    "verifying": frozenset({"in_progress", "verifying", "completed"}),
    "completed": frozenset({"completed"}),
    "cancelled": frozenset({"cancelled"}),
}
# From best to worst: where several are claimed for one component, the worst is shown.
STATUSES: tuple[ComponentStatus, ...] = get_args(ComponentStatus)

SEVERITIES = (1, 2, 3, 4)
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
    """An incident as declared: what it is called (per language), since when, and what it concerns.

    `impact`: None to have it computed from its components. `severity`: 1 (all hands) to 4. `exercise`: a drill, for
    ever. `aware_at`: since when we knew, if that was before now; `notice_limit`: within what people must hear of it.
    """

    title: Mapping[str, str]
    impact: Impact | None
    started_at: datetime
    components: Sequence[str] = ()
    groups: Sequence[str] = ()
    severity: int | None = None
    exercise: bool = False
    aware_at: datetime | None = None
    notice_limit: timedelta | None = None


def tidy(draft: Draft) -> Draft:
    """The draft with white space around its texts removed, and line ends of one kind; resolving restores the rest."""
    texts = {language: tidy_text(text) for language, text in draft.texts.items()}
    restored: ComponentStatus | None = draft.component_status
    if draft.phase in _RESTORING and restored is None:
        restored = "operational"
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
    if declared.aware_at is not None and declared.aware_at > now:
        faults.append(Fault("aware_at", "We cannot have known in the future."))
    faults += standing_faults(declared.severity, declared.notice_limit)
    _refuse("The incident cannot be declared like this.", faults)


def standing_faults(severity: int | None, notice_limit: timedelta | None) -> Iterator[Fault]:
    """What is wrong with how an incident is ranked, and with the time in which people must hear of it."""
    if severity is not None and severity not in SEVERITIES:
        yield Fault("severity", "A severity is a number from 1 (all hands) to 4.")
    if notice_limit is not None and not timedelta() < notice_limit <= LONGEST_PROMISE:
        yield Fault("notice_limit", "People must hear within a time between a minute and seven days.")


def check_update(draft: Draft, current: Phase, now: datetime, *, reopening: bool = False) -> None:
    """Raise Invalid with every fault of an update to an incident that is `current`; Conflict when none is possible."""
    check_move(current, draft.phase, reopening=reopening)
    faults = [
        *text_faults(draft.texts, corrects=draft.corrects is not None),
        *_cause_faults(draft),
        *promise_faults(draft.phase, draft.next_update_at, now),
    ]
    if draft.phase in _RESTORING and draft.component_status not in (None, "operational"):
        faults.append(Fault("component_status", "What is over leaves its components operational."))
    _refuse("The update cannot be published like this.", faults)


def check_move(current: Phase, to: Phase, *, reopening: bool = False) -> None:
    """Raise Conflict unless an update may take what is `current` to phase `to`.

    Open phases may follow each other in any order: a repair that fails leads back to the search, and saying so is
    honest. What is resolved stays so, unless somebody decided to reopen it; otherwise what breaks again is a new
    incident, with cases of its own. A postmortem is published by an act of its own.
    """
    if current in ("resolved", "postmortem") and to in PROMISING and not reopening:
        raise Conflict(
            "This incident is resolved. Reopen it if it was never over, or declare a new one.", code="resolved"
        )
    if to not in MOVES[current] and not (reopening and to in PROMISING):
        raise Conflict(f"What is {_said(current)} cannot become {_said(to)} by an update.", code="no_such_move")


def needs_reopening(current: Phase, to: Phase) -> bool:
    """Whether going from `current` to `to` opens again what was over."""
    return current in ("resolved", "postmortem") and to in PROMISING


def _said(phase: Phase) -> str:
    return phase.replace("_", " ")


def promise_faults(phase: Phase, next_update_at: datetime | None, now: datetime) -> Iterator[Fault]:
    """Every update but the last says when the next one comes, and that must still be ahead."""
    if next_update_at is None:
        if phase in PROMISING:
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
