"""How fast a destination lets us send, learned from what it answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from notify.pacing import (
    FEWEST_RESULTS,
    FIRST_RATE,
    FREE_RATE,
    ONE_REQUEST,
    SLOWEST_RATE,
    Pace,
    Watch,
    domain_of,
    faster,
    first_pace,
    slower,
    tokens_at,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + ONE_REQUEST


def a_pace(**more: object) -> Pace:
    return replace(Pace(10.0, 10, 0.0, NOW), **more)  # type: ignore[arg-type]  # fields by their names


def test_a_domain_starts_where_large_senders_start() -> None:
    assert (first_pace(NOW).rate, first_pace(NOW).throttled_at) == (FIRST_RATE, NOW)


def test_tokens_drip_in_and_do_not_pile_up() -> None:
    assert tokens_at(a_pace(), NOW + timedelta(seconds=0.5)) == 5.0
    assert tokens_at(a_pace(), NOW + timedelta(hours=1)) == 10.0


def test_a_rate_below_one_a_second_still_saves_up_for_one_message() -> None:
    assert tokens_at(a_pace(rate=1 / 60), NOW + timedelta(minutes=5)) == 1.0


def test_a_clock_that_steps_back_takes_nothing_away() -> None:
    assert tokens_at(a_pace(tokens=3.0), NOW - timedelta(seconds=5)) == 3.0


def test_each_request_to_slow_down_halves_the_pace() -> None:
    again = slower(a_pace(), LATER)
    assert (again.rate, again.concurrency, again.throttled_at) == (5.0, 5, LATER)


def test_a_burst_of_answers_is_one_request() -> None:
    once = slower(a_pace(), LATER)
    assert slower(once, LATER + timedelta(seconds=1)) is once


def test_it_never_comes_to_a_standstill() -> None:
    pace = a_pace()
    for number in range(40):
        pace = slower(pace, NOW + (number + 1) * ONE_REQUEST)
    assert (pace.rate, pace.concurrency) == (SLOWEST_RATE, 1)


def test_it_goes_up_again_slowly_and_is_free_in_the_end() -> None:
    pace: Pace | None = a_pace()
    steps = 0
    while pace is not None:
        before, pace, steps = pace.rate, faster(pace), steps + 1
        assert pace is None or before < pace.rate <= before * 1.25
    assert FIRST_RATE * 1.25**steps >= FREE_RATE


def test_nobody_goes_above_what_people_set() -> None:
    bound = faster(a_pace(ceiling_rate=11.0, ceiling_concurrency=10))
    assert bound is not None
    assert (bound.rate, bound.concurrency) == (11.0, 10)


def test_a_spike_of_refusals_pulls_the_brake_and_counting_starts_anew() -> None:
    watch = Watch()
    verdicts = [watch.note("a.example", refused=True) for _ in range(FEWEST_RESULTS)]
    assert verdicts == [False] * (FEWEST_RESULTS - 1) + [True]
    assert not watch.note("a.example", refused=True)


def test_some_refusals_among_many_are_no_spike() -> None:
    watch = Watch()
    assert not any(watch.note("a.example", refused=number % 4 == 0) for number in range(100))


def test_domains_that_refuse_nothing_are_not_counted() -> None:
    watch = Watch()
    assert not any(watch.note(f"{number}.example", refused=False) for number in range(100))
    assert not watch


def test_a_storm_of_domains_does_not_fill_the_memory() -> None:
    watch = Watch()
    for number in range(20_000):
        watch.note(f"{number}.example", refused=True)
    assert len(watch._counts) <= 10_000


def test_the_domain_of_an_address() -> None:
    assert domain_of("zoe@Example.ORG") == "example.org"
    assert not domain_of("+31612345678")
    assert (
        domain_of("https://Hooks.Example.com:8443/a%40b/c")
        == domain_of("https://hooks.example.com")
        == ("hooks.example.com")
    )
