"""What people are entitled to: never less for more harm, nothing where an exemption holds, whole cents, explained."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims.entitlement import Assessment, assess, days_past_repair
from claims.schemes import CHOICES, FACTS, BadScheme, Fact, Scheme, read_scheme, schemes

DAY = date(2026, 11, 24)
ALL = schemes()
COUNTS = {"minutes": 10_000, "kilometres": 20_000, "days": 60, "count": 20, "money": 1_000_000}
few = settings(max_examples=15, deadline=None)


def of(code: str, on: date = DAY, **known: Fact) -> Assessment:
    return assess(ALL[code], on, known)


@pytest.mark.parametrize(
    ("code", "known", "minor"),
    [
        ("eu261", {"delay_minutes": 179, "distance_km": 900}, 0),
        ("eu261", {"delay_minutes": 180, "distance_km": 1500}, 25000),
        ("eu261", {"delay_minutes": 200, "distance_km": 1501}, 40000),
        ("eu261", {"delay_minutes": 200, "distance_km": 3600, "within_eu": True}, 40000),
        ("eu261", {"delay_minutes": 200, "distance_km": 6000, "within_eu": False}, 30000),
        ("eu261", {"delay_minutes": 240, "distance_km": 6000, "within_eu": False}, 60000),
        ("eu261", {"cancelled": True, "distance_km": 900}, 25000),
        ("eu261", {"cancelled": True, "notice_days": 14, "distance_km": 900}, 0),
        ("eu261", {"cancelled": True, "rerouted": True, "delay_minutes": 110, "distance_km": 900}, 0),
        ("us_dot", {"cancelled": True, "fare": 41250}, 41250),
        ("us_dot", {"delay_minutes": 200, "fare": 41250}, 41250),
        ("us_dot", {"delay_minutes": 200, "international": True, "fare": 41250}, 0),
        ("us_dot", {"cancelled": True, "took_alternative": True, "fare": 41250}, 0),
        ("us_dot", {"bag_fee": 3500, "bag_delay_minutes": 720}, 3500),
        ("us_dot", {"bag_fee": 3500, "bag_delay_minutes": 960, "international": True, "flight_minutes": 721}, 0),
        ("nl_telecom", {"outage_minutes": 720, "monthly_fee": 4650}, 0),
        ("nl_telecom", {"outage_minutes": 26 * 60, "monthly_fee": 4650}, 310),
        ("nl_telecom", {"outage_minutes": 24 * 60, "monthly_fee": 1000}, 100),
        ("nl_telecom", {"outage_minutes": 13 * 60, "prepaid": True}, 50),
        ("nl_electricity", {"outage_minutes": 239}, 0),
        ("nl_electricity", {"outage_minutes": 240}, 3500),
        ("nl_electricity", {"outage_minutes": 9 * 60}, 5500),
        ("nl_electricity", {"outage_minutes": 13 * 60}, 7500),
        ("nl_electricity", {"outage_minutes": 130, "connection": "over_3x25a", "fault_level": "medium"}, 19500),
        ("nl_electricity", {"outage_minutes": 600, "fault_level": "national"}, 0),
        ("uk_ofcom", {"days_past_repair": 3, "missed_visits": 1}, 3 * 1034 + 3231),
        ("uk_ofcom", {"days_past_repair": 3, "cause": "customer_missed_visit"}, 0),
    ],
)
def test_the_sums_that_the_sources_give(code: str, known: dict[str, Fact], minor: int) -> None:
    found = assess(ALL[code], DAY, known)
    assert found.minor == minor
    assert found.outcome == ("entitled" if minor else "nothing")


def test_the_version_in_force_on_the_day_counts() -> None:
    assert of("uk_ofcom", date(2019, 4, 1), days_past_repair=1).minor == 800
    assert of("uk_ofcom", date(2026, 3, 31), days_past_repair=1).minor == 976
    assert not of("uk_ofcom", date(2026, 3, 31), days_past_repair=1).verified
    assert of("us_dot", date(2024, 10, 27), cancelled=True, fare=100).outcome == "not_in_force"


def test_what_nobody_knows_is_asked_and_not_taken_for_no() -> None:
    assert of("eu261", delay_minutes=200).missing[0] == "distance_km"
    assert of("eu261", delay_minutes=200, distance_km=4000).missing == ("within_eu",)
    assert of("eu261", delay_minutes=10).outcome == "nothing"
    assert of("nl_telecom", outage_minutes=800).missing == ("monthly_fee",)


@st.composite
def cases(draw: st.DrawFn, scheme: Scheme) -> dict[str, Fact]:
    """Everything a scheme may ask, as anything it could be."""
    known: dict[str, Fact] = {}
    for fact in scheme.versions[-1].asks():
        kind = FACTS[fact]
        if kind == "yes_no":
            known[fact] = draw(st.booleans())
        elif kind == "choice":
            known[fact] = draw(st.sampled_from(CHOICES[fact]))
        else:
            known[fact] = draw(st.integers(0, COUNTS[kind]))
    return known


# More of these is never worth less. Of distance that holds where nothing is halved, of a cancelled flight's delay too.
WORSE = {
    "eu261": ["delay_minutes"],
    "uk261": ["delay_minutes"],
    "us_dot": ["delay_minutes", "fare", "bag_fee", "bag_delay_minutes"],
    "nl_telecom": ["outage_minutes", "monthly_fee"],
    "nl_electricity": ["outage_minutes"],
    "uk_ofcom": ["days_past_repair", "missed_visits", "start_days_late"],
}


@pytest.mark.parametrize("code", sorted(ALL))
@few
@given(data=st.data())
def test_more_harm_is_never_worth_less(code: str, data: st.DataObject) -> None:
    known = data.draw(cases(ALL[code]))
    for fact in WORSE[code]:
        worse = {**known, fact: int(known[fact]) + data.draw(st.integers(0, COUNTS[FACTS[fact]]))}
        assert assess(ALL[code], DAY, worse).minor >= assess(ALL[code], DAY, known).minor


@few
@given(near=st.integers(0, 20_000), more=st.integers(0, 20_000), late=st.integers(240, 5000), inside=st.booleans())
def test_a_longer_flight_is_never_worth_less_where_nothing_is_halved(
    near: int, more: int, late: int, inside: bool
) -> None:
    shorter = of("eu261", delay_minutes=late, distance_km=near, within_eu=inside)
    assert of("eu261", delay_minutes=late, distance_km=near + more, within_eu=inside).minor >= shorter.minor


@pytest.mark.parametrize("code", sorted(ALL))
@few
@given(data=st.data())
def test_an_exemption_leaves_nothing_and_says_so(code: str, data: st.DataObject) -> None:
    known = data.draw(cases(ALL[code]))
    for exemption in ALL[code].versions[-1].exempt:
        for condition in exemption.when:
            value = condition.value[0] if isinstance(condition.value, tuple) else condition.value
            less = isinstance(value, int) and condition.operator == "<"
            known[condition.fact] = value - 1 if less and isinstance(value, int) else value
        found = assess(ALL[code], DAY, known)
        assert (found.outcome, found.minor) == ("nothing", 0)
        assert found.exempt


@pytest.mark.parametrize("code", sorted(ALL))
@few
@given(data=st.data())
def test_the_sum_is_whole_cents_with_a_currency_and_follows_from_its_working(code: str, data: st.DataObject) -> None:
    found = assess(ALL[code], DAY, data.draw(cases(ALL[code])))
    assert type(found.minor) is int
    assert len(found.currency) == 3
    assert found.outcome in ("entitled", "nothing")
    if found.outcome == "entitled":
        last = found.working[-1]
        assert (last.code, last.minor) == ("total", found.minor)
        steps = sum(one.minor * one.count for one in found.working if one.code == "steps")
        plain = sum(one.minor for one in found.working if one.code == "amount")
        shares = 0 if steps else sum(one.minor for one in found.working if one.code == "share")
        floors = [one.minor for one in found.working if one.code == "floor"]
        assert found.minor == (floors[0] if floors else steps + plain + shares)


@pytest.mark.parametrize("code", sorted(ALL))
@few
@given(data=st.data())
def test_knowing_more_never_turns_an_answer_round(code: str, data: st.DataObject) -> None:
    known = data.draw(cases(ALL[code]))
    some = {fact: value for fact, value in known.items() if data.draw(st.booleans())}
    bare = replace(ALL[code], versions=tuple(replace(one, assumed={}) for one in ALL[code].versions))
    before, after = assess(bare, DAY, some), assess(bare, DAY, known)
    if before.outcome != "unknown":
        assert (before.outcome, before.minor) == (after.outcome, after.minor)
    else:
        assert before.missing
        assert not set(before.missing) & set(some)


def test_days_past_repair_begin_after_the_second_full_working_day() -> None:
    friday = datetime(2026, 11, 20, 15, tzinfo=UTC)
    assert days_past_repair(friday, friday + timedelta(days=4)) == 0  # Tuesday: the second full working day
    assert days_past_repair(friday, friday + timedelta(days=6)) == 2
    assert days_past_repair(friday, friday) == 0


def test_a_file_that_cannot_be_meant_is_refused() -> None:
    good = {
        "code": "x",
        "law": "X",
        "country": "NL",
        "kind": "refund",
        "unit": "passenger",
        "pays": "bill",
        "automatic": True,
    }
    version = {
        "from": DAY,
        "source": "",
        "checked": DAY,
        "verified": True,
        "currency": "EUR",
        "pick": "first",
        "assumed": {},
        "exempt": [],
        "grant": [{"when": [["delay_minutes", ">=", 1]], "amount": 5}],
    }
    assert read_scheme("x.toml", {**good, "version": [version]}).in_force(DAY)
    for wrong in (
        {"grant": [{"when": [["delay_minutes", ">=", "long"]], "amount": 5}]},
        {"grant": [{"when": [["dealy_minutes", ">=", 1]], "amount": 5}]},
        {"grant": [{"when": [], "amount": 2.5}]},
        {"grant": [{"when": [], "of": "delay_minutes"}]},
        {"pick": "best"},
        {"assumed": {"cause": "weather"}},
    ):
        with pytest.raises(BadScheme, match=r"x\.toml"):
            read_scheme("x.toml", {**good, "version": [{**version, **wrong}]})
