"""When the last recipient will have been told."""

from notify.estimate import Estimate, Waiting, estimates, last_of


def test_domains_without_a_pace_share_one_queue() -> None:
    found = estimates({"a": Waiting(100), "b": Waiting(300)}, measured=50.0)
    assert found == {"a": Estimate(8.0, "rate"), "b": Estimate(8.0, "rate")}
    assert last_of(found) == Estimate(8.0, "rate")


def test_a_slow_domain_takes_as_long_as_it_drips() -> None:
    found = estimates({"fast": Waiting(100), "slow": Waiting(60, rate=0.5)}, measured=100.0)
    assert found["slow"] == Estimate(120.0, "throttled")
    assert last_of(found) == Estimate(120.0, "throttled")


def test_a_stopped_domain_begins_when_its_brake_is_released() -> None:
    found = estimates({"stopped": Waiting(10, rate=1.0, seconds_stopped=600.0)}, measured=None)
    assert found["stopped"] == Estimate(610.0, "stopped")


def test_what_people_hold_has_no_estimate() -> None:
    found = estimates({"a": Waiting(10), "b": Waiting(0)}, measured=10.0, blocked="held")
    assert found == {"a": Estimate(None, "held"), "b": Estimate(0.0, "done")}
    assert last_of(found) == Estimate(None, "held")


def test_before_anything_was_measured_nobody_can_tell() -> None:
    assert last_of(estimates({"a": Waiting(10)}, measured=None)) == Estimate(None, "unmeasured")


def test_nothing_left_is_done() -> None:
    assert last_of(estimates({}, measured=None)) == Estimate(0.0, "done")
