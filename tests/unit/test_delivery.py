"""The rule book of a delivery, one sentence each."""

from datetime import UTC, datetime, timedelta

import pytest

from notify.channels import Accepted, Deferred, Refused, Result, Unclear, Unsent
from notify.delivery import FINAL, STATES, TRANSITIONS, Outcome, State, outcome

NOW = datetime(2026, 2, 8, 14, tzinfo=UTC)


def _after(result: Result, *, attempt: int = 1, left: timedelta = timedelta(hours=2)) -> Outcome:
    return outcome(result, attempt=attempt, now=NOW, not_after=NOW + left, chance=0)


def test_a_mail_that_was_taken_is_accepted_with_the_words_of_whoever_took_it() -> None:
    assert _after(Accepted(250, "queued as 1A2B")) == Outcome("accepted", None, None, 250, "queued as 1A2B")


def test_a_refusal_for_good_is_not_tried_again() -> None:
    assert _after(Refused("refused", 550, "no such user")).state == "rejected"


def test_a_refusal_for_now_is_tried_again_after_a_pause() -> None:
    found = _after(Deferred("refused_for_now", 450, "busy"))
    assert found.state == "deferred"
    assert found.pause is not None


def test_a_retry_that_would_come_too_late_ends_as_expired_and_keeps_the_reason() -> None:
    found = _after(Deferred("refused_for_now", 450, "busy"), left=timedelta(seconds=10))
    assert (found.state, found.reason, found.pause) == ("expired", "refused_for_now", None)


def test_what_may_have_left_us_is_unknown_and_never_sent_again() -> None:
    assert _after(Unclear("connection_lost")).state == "unknown"
    assert "planned" not in TRANSITIONS["unknown"]
    assert "sending" not in TRANSITIONS["unknown"]


def test_what_was_not_tried_is_planned_again_at_once() -> None:
    assert _after(Unsent()) == Outcome("planned", tried=False)


def test_a_report_may_still_clear_up_what_was_unknown() -> None:
    assert TRANSITIONS["unknown"] == {"delivered", "bounced"}


def test_every_state_has_its_line_in_the_table() -> None:
    assert set(TRANSITIONS) == set(STATES)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_never_leads_back_to_work(state: State) -> None:
    assert TRANSITIONS[state] <= FINAL
