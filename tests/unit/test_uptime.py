"""What the bars say of a day: the worst that was, how many it touched and for how long; and the share that was good."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from incidents.snapshot import ShownComponent, StatusChange
from incidents.uptime import midnight, records, window
from tests.support.snapshots import ZONE, a_component

NOON = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)  # 12:00 in New York, two days after its clocks went forward
TODAY = date(2026, 3, 10)


def _known(name: str = "Check-in", group: str | None = None, **changes: Any) -> ShownComponent:
    long_ago = NOON - timedelta(days=400)
    return replace(a_component(name, group), **{"created_at": long_ago, "updated_at": long_ago, **changes})


def _change(one: ShownComponent, hours_ago: float, old: Any, new: Any) -> StatusChange:
    return StatusChange(one.key, NOON - timedelta(hours=hours_ago), old, new)


def test_days_are_those_of_the_zone_and_today_is_the_last() -> None:
    after_midnight_in_utc = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
    assert window(after_midnight_in_utc, ZONE, days=3)[-1] == date(2026, 3, 9)
    assert window(after_midnight_in_utc, "UTC", days=3) == [date(2026, 3, day) for day in (8, 9, 10)]


def test_the_day_the_clocks_go_forward_has_23_hours() -> None:
    length = midnight(date(2026, 3, 9), ZONE).timestamp() - midnight(date(2026, 3, 8), ZONE).timestamp()
    assert length == 23 * 3600


def test_a_failure_over_midnight_counts_on_both_days() -> None:
    one = _known()
    # From 22:00 the day before until 03:00 today: two hours and three.
    changes = [_change(one, 14, "operational", "major_outage"), _change(one, 9, "major_outage", "operational")]
    [record] = records([one], changes, now=NOON, zone=ZONE, days=3)
    assert [day.worst for day in record.days] == ["operational", "major_outage", "major_outage"]
    assert [day.longest for day in record.days] == [timedelta(), timedelta(hours=2), timedelta(hours=3)]
    assert [day.date for day in record.troubled] == [TODAY, TODAY - timedelta(days=1)]
    # Known: 23 hours of the short day, 24, and 12 of today; lost: five.
    assert record.share == pytest.approx(1 - 5 / 59)


def test_what_still_lasts_counts_until_now() -> None:
    one = _known(status="partial_outage", updated_at=NOON - timedelta(hours=4))
    [record] = records([one], [_change(one, 4, "operational", "partial_outage")], now=NOON, zone=ZONE, days=1)
    assert (record.days[0].worst, record.days[0].longest) == ("partial_outage", timedelta(hours=4))
    assert record.share == pytest.approx(1 - 0.3 * 4 / 12)


def test_a_failure_older_than_the_window_fills_it() -> None:
    one = _known(status="major_outage", updated_at=NOON - timedelta(days=30))
    [record] = records([one], [], now=NOON, zone=ZONE, days=3)
    assert [day.worst for day in record.days] == ["major_outage"] * 3
    assert record.share == pytest.approx(0)


def test_before_there_was_a_component_nothing_is_known() -> None:
    one = _known(created_at=NOON - timedelta(hours=13))  # 23:00 yesterday
    [record] = records([one], [], now=NOON, zone=ZONE, days=3)
    assert [day.worst for day in record.days] == [None, "operational", "operational"]
    assert record.share == 1
    unborn = _known(created_at=NOON)
    assert records([unborn], [], now=NOON, zone=ZONE, days=3)[0].share is None


def test_planned_work_and_slowness_are_shown_and_cost_nothing() -> None:
    one = _known()
    changes = [
        _change(one, 8, "operational", "under_maintenance"),
        _change(one, 6, "under_maintenance", "degraded_performance"),
        _change(one, 5, "degraded_performance", "operational"),
    ]
    [record] = records([one], changes, now=NOON, zone=ZONE, days=1)
    assert record.days[0].worst not in (None, "operational")
    assert record.days[0].longest == timedelta(hours=3)
    assert record.share == 1


def test_a_group_has_one_bar_that_counts_whom_it_touched() -> None:
    members = [_known(f"DL {number}", "Flights", position=number) for number in range(3)]
    alone = _known("Website")
    changes = [
        _change(members[0], 3, "operational", "major_outage"),
        _change(members[0], 1, "major_outage", "operational"),
        _change(members[1], 2, "operational", "partial_outage"),
        _change(members[1], 1, "partial_outage", "operational"),
    ]
    flights, website = records([*members, alone], changes, now=NOON, zone=ZONE, days=2)
    assert (flights.name, flights.size, website.name, website.size) == ("Flights", 3, "Website", 1)
    today = flights.days[-1]
    assert (today.worst, today.touched, today.longest) == ("major_outage", 2, timedelta(hours=2))
    assert flights.share == pytest.approx(1 - (2 + 0.3) / (3 * 36))
    assert website.days[-1].touched == 0


def test_runs_are_the_days_in_stretches() -> None:
    one = _known(created_at=NOON - timedelta(days=2))
    changes = [_change(one, 3, "operational", "major_outage"), _change(one, 2, "major_outage", "operational")]
    [record] = records([one], changes, now=NOON, zone=ZONE, days=4)
    assert [(run.first, run.length, run.worst) for run in record.runs] == [
        (0, 1, None), (1, 2, "operational"), (3, 1, "major_outage"),
    ]  # fmt: skip
