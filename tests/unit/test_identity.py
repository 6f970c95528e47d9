"""The rules of who wrote, a sentence each."""

from collections.abc import Mapping, Sequence

import pytest

from claims.identity import MOST_AT_A_POINT, MOST_SURNAMES, Evidence, Key, Kind, Known, Use, decide, has_force

ANNA, BEN, CLARA = Known(1, "anna jansen"), Known(2, "ben jansen"), Known(3, "clara de vries")


def evidence(name: str = "", **fits: Mapping[str, Sequence[Known]]) -> Evidence:
    kinds: dict[Kind, Mapping[str, Sequence[Known]]] = {
        kind: fits[kind] for kind in ("customer_number", "reference", "mail", "phone") if kind in fits
    }
    return Evidence(name, name.rpartition(" ")[2], kinds)


def decided(found: Evidence) -> tuple[int | None, str | None]:
    decision = decide(found)
    return decision.customer_id, decision.because


def test_a_customer_number_is_enough() -> None:
    assert decided(evidence(customer_number={"N1": [ANNA]})) == (1, "customer_number")


def test_a_reference_needs_the_name_of_somebody_on_it() -> None:
    assert decided(evidence("anna jansen", reference={"R1": [ANNA]})) == (1, "reference")
    assert decided(evidence("kim kok", reference={"R1": [ANNA]})) == (None, None)


def test_a_reference_without_a_name_decides_nothing() -> None:
    assert decided(evidence(reference={"R1": [ANNA]})) == (None, None)


def test_a_first_name_alone_is_not_the_name_on_a_reference() -> None:
    assert decided(evidence("anna bakker", reference={"R1": [ANNA]})) == (None, None)
    assert decided(evidence("anna", reference={"R1": [ANNA]})) == (None, None)


def test_a_reference_beside_another_clue_lets_the_other_decide() -> None:
    found = decided(evidence(reference={"R1": [ANNA, BEN]}, mail={"a@x": [ANNA]}))
    assert found == (1, "mail")


def test_the_name_chooses_among_those_who_share_a_booking() -> None:
    assert decided(evidence("b jansen", reference={"R1": [ANNA, BEN]})) == (2, "reference")


def test_a_name_that_fits_several_chooses_nobody() -> None:
    assert decided(evidence("jansen", reference={"R1": [ANNA, BEN]})) == (None, None)


def test_a_weaker_clue_decides_where_a_stronger_one_fits_several() -> None:
    found = evidence("jansen", reference={"R1": [ANNA, BEN]}, mail={"b@x": [BEN]})
    assert decided(found) == (2, "mail")


def test_clues_that_point_at_different_customers_decide_nothing() -> None:
    assert decided(evidence(customer_number={"N1": [ANNA]}, mail={"b@x": [BEN]})) == (None, None)
    three = evidence(customer_number={"N1": [ANNA]}, mail={"b@x": [BEN]}, phone={"+31": [CLARA]})
    assert decided(three) == (None, None)


def test_two_clues_that_agree_outweigh_one_that_does_not() -> None:
    family_phone = evidence(customer_number={"N1": [ANNA]}, mail={"a@x": [ANNA]}, phone={"+31": [BEN]})
    assert decided(family_phone) == (1, "customer_number")
    slipped_number = evidence(customer_number={"N1": [ANNA]}, reference={"R2": [BEN]}, mail={"b@x": [BEN]})
    assert decided(slipped_number) == (2, "mail")


def test_a_reference_of_somebody_else_speaks_against_a_single_clue() -> None:
    assert decided(evidence(customer_number={"N1": [ANNA]}, reference={"R2": [BEN]})) == (None, None)


def test_of_two_customers_whose_names_agree_the_one_confirmed_by_more_clues_wins() -> None:
    namesake = Known(4, "anna jansen")
    found = {"mail": {"a@x": [ANNA]}, "phone": {"+31": [ANNA]}}
    assert decided(evidence("anna jansen", customer_number={"N4": [namesake]}, **found)) == (1, "mail")
    equal = evidence("anna jansen", customer_number={"N4": [namesake]}, mail={"a@x": [ANNA]})
    assert decided(equal) == (None, None)


def test_a_whole_name_that_agrees_wins_over_a_surname_that_does() -> None:
    assert decided(evidence("ben jansen", customer_number={"N1": [ANNA]}, mail={"b@x": [BEN]})) == (2, "mail")


def test_the_same_contradiction_sent_twice_is_one_persons() -> None:
    (key,) = decide(evidence(customer_number={"N1": [ANNA]}, mail={"b@x": [BEN]})).keys
    assert key == Key("mail", "N1 b@x")


def test_a_number_that_the_name_contradicts_gives_way_to_a_clue_that_agrees_with_it() -> None:
    found = evidence("clara de vries", customer_number={"N1": [ANNA]}, mail={"c@x": [CLARA]})
    assert decided(found) == (3, "mail")


def test_a_mail_of_one_customer_holds_whatever_the_name_when_nothing_else_speaks() -> None:
    assert decided(evidence("kim kok", mail={"a@x": [ANNA]})) == (1, "mail")


def test_digits_of_one_customer_do_not_hold_against_the_name() -> None:
    assert decided(evidence("kim kok", customer_number={"N1": [ANNA]})) == (None, None)
    assert decided(evidence("anna bakker", customer_number={"N1": [ANNA]})) == (None, None)
    assert decided(evidence("kim kok", phone={"+31": [ANNA]})) == (None, None)


def test_digits_that_something_else_confirms_hold_whatever_the_name() -> None:
    for other in ({"mail": {"a@x": [ANNA]}}, {"reference": {"R1": [ANNA, BEN]}}):
        assert decided(evidence("kim kok", customer_number={"N1": [ANNA]}, **other)) == (1, "customer_number")


def test_a_first_name_alone_does_not_speak_against_a_number() -> None:
    assert decided(evidence("anna", customer_number={"N1": [ANNA]})) == (1, "customer_number")


def test_a_mail_that_several_share_decides_nothing_without_a_name() -> None:
    assert decided(evidence(mail={"f@x": [ANNA, CLARA]})) == (None, None)


def test_a_mail_nobody_has_is_a_key_and_also_one_with_the_name() -> None:
    keys = decide(evidence("kim kok", mail={"p@home": []})).keys
    assert set(keys) == {Key("mail", "p@home"), Key("mail+name", "p@home kim kok")}


def test_a_mail_that_several_customers_share_is_a_key_with_the_name_only() -> None:
    assert decide(evidence("kim kok", mail={"f@x": [ANNA, BEN]})).keys == (Key("mail+name", "f@x kim kok"),)


def test_what_points_at_one_customer_is_no_key() -> None:
    assert decide(evidence("anna jansen", mail={"a@x": [ANNA]}, reference={"R1": [ANNA]})).keys == ()


def test_a_number_nobody_has_is_a_key_only_with_a_surname() -> None:
    assert decide(evidence(customer_number={"N9": []})).keys == ()
    assert Key("customer_number", "N9 kok") in decide(evidence("kim kok", customer_number={"N9": []})).keys


@pytest.mark.parametrize("code", ["UNKNOWN", "ONBEKEND", "SAME", "XXXXX", "ABC", "00000", "12345"])
def test_what_many_type_instead_of_a_number_is_no_key(code: str) -> None:
    assert decide(evidence("kim kok", reference={code: []}, customer_number={code: []})).keys == ()


def test_a_reference_nobody_has_is_a_key_only_with_a_surname() -> None:
    assert decide(evidence(reference={"R9ZZZZ": []})).keys == ()
    assert Key("reference", "QWERTZ kok") in decide(evidence("kim kok", reference={"QWERTZ": []})).keys


MAIL = Key("mail", "p@home")


def used(*surnames: str, customers: Sequence[int | None] = ()) -> Use:
    use = Use()
    for place, surname in enumerate(surnames):
        use.add(place, customers[place] if place < len(customers) else None, surname)
    return use


def test_a_key_has_force_while_one_person_may_be_behind_it() -> None:
    assert has_force(MAIL, used("jansen", "jansen", "janssen", customers=[7, None, 7]))


def test_a_key_that_two_customers_use_has_none() -> None:
    assert not has_force(MAIL, used("jansen", "jansen", customers=[7, 8]))


def test_a_key_used_under_many_surnames_has_none() -> None:
    assert not has_force(MAIL, used(*(f"name{n}" for n in range(MOST_SURNAMES + 1))))


def test_a_meeting_point_closes_when_too_many_meet() -> None:
    point = Key("by name", "jan jansen")
    assert has_force(point, used(*["jansen"] * MOST_AT_A_POINT, customers=[7, 8]))
    assert not has_force(point, used(*["jansen"] * (MOST_AT_A_POINT + 1)))


def test_clues_that_contradict_each_other_are_told() -> None:
    decision = decide(evidence(customer_number={"N1": [ANNA]}, mail={"b@x": [BEN]}))
    assert (decision.contradicts, decision.value) == (True, "customer_number N1, mail b@x")
    assert not decide(evidence("kim kok", mail={"p@home": []})).contradicts
