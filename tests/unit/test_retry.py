"""When to try again."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notify.retry import FIRST, LONGEST, next_pause, pause_after

NOW = datetime(2026, 2, 8, 14, tzinfo=UTC)
_chances = st.floats(0, 1, exclude_max=True)
_attempts = st.integers(1, 32_767)


def test_pauses_double_until_the_longest() -> None:
    assert [pause_after(attempt, 0) / FIRST for attempt in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_after(30, 0) == LONGEST


@given(_attempts, _chances)
def test_jitter_only_ever_adds_so_nobody_comes_back_early(attempt: int, chance: float) -> None:
    assert pause_after(attempt, 0) <= pause_after(attempt, chance) <= LONGEST * 1.5


@given(_attempts, _chances, st.timedeltas(timedelta(-1), timedelta(days=2)))
def test_no_try_is_ever_planned_past_the_use_of_the_message(attempt: int, chance: float, left: timedelta) -> None:
    pause = next_pause(attempt, NOW, NOW + left, chance)
    assert pause is None or pause < left
