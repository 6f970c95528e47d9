"""What two contacts have in common, and what that is worth, a sentence each."""

import msgspec
import pytest

from claims.evidence import clues_in, profile_in
from claims.identity import Key
from claims.profiles import Profile, one_script
from claims.resemblance import WEIGHTS, resemblance
from claims.submissions import Submission


def says(**said: str) -> Profile:
    submission = msgspec.convert(said, Submission)
    return profile_in(submission, clues_in(submission))


ANNA = says(name="Anna Jansen", email="anna@home.example", phone="06 12345678")


def outcome(one: Profile, other: Profile) -> str:
    assert resemblance(one, other)[:2] == resemblance(other, one)[:2], "which is first says nothing"
    return resemblance(one, other).outcome


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Jansen, Anna", "email": "anna@home.example"},
        {"name": "Ana Jansen", "email": "anna@home.example"},
        {"name": "Anna Jansen", "phone": "+31612345678"},
        {"name": "Ana", "phone": "0612345678", "email": "anna@home.example"},
        {"name": "Nnaa Sjnanen", "phone": "0612345678", "email": "anna@home.example"},
        {"name": "A Jansen", "email": "ana@home.example", "phone": "0612345678"},
        {"email": "anna@home.example"},
    ],
)
def test_one_person(other: dict[str, str]) -> None:
    assert outcome(ANNA, says(**other)) == "join"


@pytest.mark.parametrize(
    "other",
    [
        {"name": "Ben Bakker", "email": "anna@home.example"},
        {"name": "Ben Jansen", "email": "anna@home.example", "phone": "0612345678"},
        {"name": "Nadia Jansen", "email": "anna@home.example", "phone": "0612345678"},
        {"name": "Nadia Bakker", "email": "anna@home.example", "phone": "0612345678"},
        {"name": "Ben Bakker", "email": "anna@home.example", "phone": "0612345678"},
        {"name": "Jansen", "phone": "0612345678"},
        {"name": "Anna Jansen"},
        {"name": "Anna Jansen", "email": "someone@else.example"},
        {"message": "Help"},
    ],
)
def test_not_enough_for_one_person(other: dict[str, str]) -> None:
    assert outcome(ANNA, says(**other)) != "join"


def test_too_much_for_strangers_and_too_little_to_join_is_for_a_person() -> None:
    assert outcome(ANNA, says(name="Anna Jansen", email="other@else.example", phone="0612345678")) == "review"


def test_a_booking_code_at_one_slip_and_the_whole_name_are_for_a_person_or_better() -> None:
    one, other = says(name="Anna Jansen", reference="AB12CD"), says(name="Anna Jansen", reference="AB12CE")
    assert outcome(one, other) in {"review", "join"}
    assert outcome(one, says(name="Ben Bakker", reference="AB12CD")) == "apart"


def test_two_of_one_family_who_travel_together_are_two() -> None:
    one = says(name="Anna Jansen", reference="AB12CD", email="jansen@home.example")
    assert outcome(one, says(name="Ben Jansen", reference="AB12CD")) == "apart"


def test_a_birth_date_that_differs_speaks_against() -> None:
    one, other = says(name="Anna Jansen", birth_date="1980-02-03"), says(name="Anna Jansen", birth_date="1999-12-31")
    assert resemblance(one, other).weight < resemblance(one, says(name="Anna Jansen")).weight
    exchanged = resemblance(one, says(name="Anna Jansen", birth_date="1980-03-02"))
    assert ("birth_date", "near") in [each[:2] for each in exchanged.agreed]


def test_a_value_that_is_shared_says_nothing() -> None:
    shared = {Key("mail", "anna@home.example"), Key("by phone", "612345678")}
    found = resemblance(ANNA, says(name="Anna Jansen", email="anna@home.example"), shared)
    assert found.outcome == "apart"


def test_better_agreement_never_says_less() -> None:
    for field, weights in WEIGHTS.items():
        assert weights["same"] == max(weights.values()) > 0, field
        assert weights["other"] == min(weights.values()) < 0, field
        assert weights["same"] >= weights.get("near", 0) >= weights.get("like", 0), field


def test_what_a_household_shares_counts_once_between_two_of_one_surname() -> None:
    one = says(name="Anna Jansen", reference="AB12CD", email="j@home.example", phone="0612345678")
    found = resemblance(one, says(name="Ben Jansen", reference="AB12CD", email="j@home.example", phone="0612345678"))
    assert found.outcome == "apart"
    assert [each.field for each in found.agreed if each.level == "household"] == ["mail", "phone"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Lei Johan\u0455son", "Lei Johansson"),
        ("Kate \u0421larke", "Kate Clarke"),
        ("\u0395mma Ad\u0430ms", "Emma Adams"),
        ("\u041e\u043b\u0435\u0433 \u0420\u043e\u0441\u0441", "\u041e\u043b\u0435\u0433 \u0420\u043e\u0441\u0441"),
    ],
)
def test_letters_that_only_look_latin_are_read_as_they_look_in_a_latin_word(said: str, meant: str) -> None:
    one, other = (Submission(name=name, suburb=name) for name in (said, meant))
    assert profile_in(one, clues_in(one)) == profile_in(other, clues_in(other))


def test_a_word_in_a_script_of_its_own_stays_what_it_is() -> None:
    assert one_script("\u0420\u043e\u0441\u0441 Ross") == "\u0420\u043e\u0441\u0441 Ross"
