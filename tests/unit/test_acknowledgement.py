"""Who hears that we have their message, how often, and on whose word."""

from datetime import UTC, datetime, timedelta

import pytest

from claims.acknowledgement import MOST_A_DAY, MOST_AN_INCIDENT, Earlier, verdict, vouched_for

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def told(hours: float, incident: str = "one", *, address: bool = True, case: bool = True) -> Earlier:
    return Earlier(NOW - timedelta(hours=hours), incident, address, case)


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([], ("first", "")),
        ([told(0.1)], ("none", "just_told")),
        ([told(7)], ("again", "")),
        ([told(7, case=False)], ("again", "")),
        ([told(0.1, "another")], ("first", "")),
        ([told(1, address=False)], ("again", "")),
        ([told(7 * n + 7) for n in range(MOST_AN_INCIDENT)], ("none", "told_often")),
        ([told(1, f"i{n}") for n in range(MOST_A_DAY)], ("none", "many_today")),
        ([told(25, f"i{n}") for n in range(MOST_A_DAY)], ("first", "")),
    ],
)
def test_how_often_an_address_hears_from_us(earlier: list[Earlier], expected: tuple[str, str]) -> None:
    assert verdict(NOW, "one", earlier) == expected


def test_over_a_month_of_messages_an_address_hears_four_times_an_incident() -> None:
    sent: list[Earlier] = []
    for hour in range(24 * 30):
        now = NOW + timedelta(hours=hour)
        if verdict(now, "one", sent)[0] != "none":
            sent.append(Earlier(now, "one", same_address=True, same_case=True))
    assert len(sent) == MOST_AN_INCIDENT


def test_nobody_is_vouched_for_where_no_server_is_believed() -> None:
    assert not vouched_for("mx; dmarc=pass header.from=a.example", "", "x@a.example")
    assert vouched_for("mx 1; dmarc=pass (p=none) header.from=A.example", "mx", "x@a.example")
    assert not vouched_for("mx; dkim=pass header.d=a.example.evil.org", "mx", "x@a.example")
