"""Clocks, rulings and questions: the rules of a case, a sentence each."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from claims.additions import holds_a_question
from claims.clocks import FIRST_ANSWER, Clock, answer_by, decide_appeal_by, decide_by
from claims.outcomes import NEXT_STEPS, OUTCOMES, REASONS, Ruling, faults_in
from claims.submissions import ASKS_FOR
from claims.tracking import read_case_number

FRIDAY = datetime(2026, 11, 20, 16, tzinfo=UTC)


def test_a_person_answers_within_a_day_and_a_public_post_within_a_quarter_of_an_hour() -> None:
    assert answer_by("mail", FRIDAY) == FRIDAY + timedelta(hours=24)
    assert answer_by("post", FRIDAY) == FRIDAY + timedelta(minutes=15)


def test_the_clock_in_the_table_is_the_one_in_the_rules() -> None:
    migration = Path(__file__).resolve().parents[2] / "alembic/versions/0011_casework.py"
    assert f"interval '{FIRST_ANSWER.total_seconds() / 3600:.0f} hours'" in migration.read_text()


def test_a_refund_is_decided_in_seven_days_which_every_law_allows() -> None:
    """Seven business days, as the United States have them, end later whatever the holidays."""
    assert decide_by("refund", FRIDAY) == datetime(2026, 11, 27, 16, tzinfo=UTC)


@pytest.mark.parametrize("kind", ASKS_FOR)
def test_everything_that_can_be_asked_has_a_time_by_which_it_is_decided(kind: str) -> None:
    assert FRIDAY < decide_by(kind, FRIDAY) <= FRIDAY + timedelta(days=30)  # type: ignore[arg-type]  # one of them
    assert decide_appeal_by(FRIDAY) == FRIDAY + timedelta(days=30)


def test_a_clock_is_running_then_late_then_kept_or_missed() -> None:
    due, hour = FRIDAY + timedelta(hours=24), timedelta(hours=1)
    assert Clock("claim", FRIDAY, due).state(due - hour) == "running"
    assert Clock("claim", FRIDAY, due).state(due + hour) == "late"
    assert Clock("claim", FRIDAY, due, due - hour).state(due + hour) == "kept"
    assert Clock("claim", FRIDAY, due, due + hour).state(due + 2 * hour) == "missed"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_whoever_gets_less_than_all_hears_why_and_what_to_do(outcome: str) -> None:
    reason = REASONS[outcome][0]  # type: ignore[index]  # one of them
    bare = {fault.field for fault in faults_in(Ruling(outcome, reason))}
    assert bare == (set() if outcome == "granted" else {"words", "next_steps"})
    assert faults_in(Ruling(outcome, reason, "Because.", ["appeal"])) == []
    assert faults_in(Ruling(outcome, reason, " \n", ["none_needed"])) == [] if outcome == "granted" else bare


def test_every_fault_of_a_ruling_is_told_at_once() -> None:
    faults = faults_in(Ruling("rejected", "as_asked", "", ["dance"]))
    assert [fault.field for fault in faults] == ["reason", "next_steps", "words"]
    assert [fault.field for fault in faults_in(Ruling("perhaps", ""))] == ["outcome"]
    assert "dance" not in NEXT_STEPS


@pytest.mark.parametrize(
    "words",
    [
        "When do I get my money?",
        "thanks. how long does it take",
        "Wanneer krijg ik mijn geld",
        "¿Cuándo?",
        "¿Cómo lo hago",
        "请问?",
    ],
)
def test_a_question_is_heard(words: str) -> None:
    assert holds_a_question(words)


@pytest.mark.parametrize("words", ["", "Thank you.", "Thanks, that was how it should be!", "Was"])
def test_what_is_no_question_asks_for_no_answer(words: str) -> None:
    assert not holds_a_question(words)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("c-100123", "C-100123"),
        (" C 100123 ", "C-100123"),
        ("100123", "C-100123"),
        ("C-1", ""),
        ("C-1٢3456", ""),
        ("", ""),
    ],
)
def test_a_case_number_is_read_however_it_is_typed(typed: str, read: str) -> None:
    assert read_case_number(typed) == read
