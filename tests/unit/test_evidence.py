"""What somebody typed becomes clues, whatever its spelling."""

import pytest

from claims.evidence import clues_in, evidence_of
from claims.identity import Known, decide
from claims.submissions import Submission


@pytest.mark.parametrize(
    ("typed", "surname"),
    [
        ("Jan de Vries", "vries"),
        ("VRIES, Jan de", "vries"),
        ("de Vries", "vries"),
        ("Zoë Müller", "muller"),
        ("van der", ""),
        ("", ""),
        ("\0\x1b", ""),
        ("Mevr. de Wit", "wit"),
        ("Jansen, Mr. Piet", "jansen"),
        ("Piet Jansen, MSc", "jansen"),
        ("JANSEN PIET MR", "piet"),
        ("Mr.", ""),
    ],
)
def test_the_surname_is_found(typed: str, surname: str) -> None:
    assert clues_in(Submission(name=typed)).surname == surname


@pytest.mark.parametrize("typed", ["Jan de Vries", "Vries, Jan de", "de Vries, Jan", "Dhr. de Vries, Jan"])
def test_a_name_is_one_in_either_order(typed: str) -> None:
    assert clues_in(Submission(name=typed)).name == "jan de vries"


@pytest.mark.parametrize(("said", "surname"), [("\u200bLia FrÃ¶hlich\t", "frohlich"), ("Jose GarcÃ\xada", "garcia")])
def test_a_mangled_name_is_read_also_with_what_cannot_be_seen(said: str, surname: str) -> None:
    assert clues_in(Submission(name=said)).surname == surname


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_name_that_another_program_mangled_is_read_as_it_was(encoding: str) -> None:
    typed = "Göran Näslund".encode().decode(encoding)
    assert clues_in(Submission(name=typed)).name == "goran naslund"
    assert clues_in(Submission(name="Göran Näslund")).name == "goran naslund"


@pytest.mark.parametrize("typed", ["ab 12-cd", "AB12CD", " ab12cd\t", "(AB12CD)"])
def test_a_reference_is_one_however_typed(typed: str) -> None:
    assert clues_in(Submission(reference=typed)).references == ("AB12CD",)


def test_several_references_in_one_field_are_several_clues() -> None:
    assert {"ABC123", "DEF456"} <= set(clues_in(Submission(reference="ABC123 / DEF456")).references)


def test_two_mail_addresses_in_one_field_are_two_clues() -> None:
    assert clues_in(Submission(email="Jan@Example.org; piet@example.org")).mails == (
        "jan@example.org",
        "piet@example.org",
    )


def test_what_cannot_be_read_is_left_out() -> None:
    clues = clues_in(Submission(email="none", phone="no", reference="-", customer_number="?"))
    assert (clues.mails, clues.phones, clues.references, clues.numbers) == ((), (), (), ())


def test_a_number_without_its_country_is_read_in_every_country() -> None:
    clues = clues_in(Submission(phone="06 1234 5678", language="en"))
    assert {"+31612345678", "+33612345678"} <= set(clues.phones)


def test_readings_of_one_number_are_one_clue_that_fits_whoever_has_any() -> None:
    clues = clues_in(Submission(phone="0612345678"))
    fits = {("phone", "+31612345678"): [Known(1, "a")], ("phone", "+33612345678"): [Known(2, "b")]}
    (everyone,) = evidence_of(clues, fits).fits["phone"].values()
    assert set(everyone) == {Known(1, "a"), Known(2, "b")}


def test_a_number_nobody_has_is_read_once_and_plausibly() -> None:
    dutch = clues_in(Submission(phone="0612345678", language="nl"))
    assert evidence_of(dutch, {}).fits["phone"] == {"+31612345678": ()}


@pytest.mark.parametrize(
    "typed", ["unknown", "Onbekend", "geen", "n.v.t.", "weet ik niet", "unbekannt / keine", "xxxxx"]
)
def test_a_word_for_no_reference_is_no_clue(typed: str) -> None:
    assert clues_in(Submission(reference=typed, customer_number=typed)).references == ()
    assert clues_in(Submission(reference=typed, customer_number=typed)).numbers == ()


@pytest.mark.parametrize("typed", ["123", "11111", "TEST01", "booking AB12CD", "ABCDEF"])
def test_what_may_be_a_number_in_the_directory_is_a_clue(typed: str) -> None:
    assert clues_in(Submission(customer_number=typed)).numbers


@pytest.mark.parametrize("typed", ["none@none.com", "no@no.no", "test@test.nl", "noreply@x.example", "a@a.nl"])
def test_a_mail_of_nobody_is_no_clue(typed: str) -> None:
    assert clues_in(Submission(email=typed)).mails == ()


@pytest.mark.parametrize("typed", ["none.such@x.example", "tester@test.nl", "hp@hp.com"])
def test_a_mail_that_only_looks_like_nobodys_is_a_clue(typed: str) -> None:
    assert clues_in(Submission(email=typed)).mails == (typed,)


@pytest.mark.parametrize("typed", ["0000000000", "1234567890", "+31 123456789", "111 111 1111"])
def test_a_phone_of_nobody_is_no_clue(typed: str) -> None:
    assert (clues_in(Submission(phone=typed)).phones, clues_in(Submission(phone=typed)).phone) == ((), "")


@pytest.mark.parametrize("typed", ["onbekend", "unknown", "-", "11111", "none"])
def test_strangers_who_type_the_same_word_for_no_booking_share_no_key(typed: str) -> None:
    strangers = (
        Submission(name="Jansen", reference=typed, customer_number=typed, email="a1@home.example"),
        Submission(name="Jansen", reference=typed, customer_number=typed, email="b2@home.example"),
    )
    one, other = (set(decide(evidence_of(clues_in(said), {})).keys) for said in strangers)
    assert one
    assert other
    assert not one & other
    assert decide(evidence_of(clues_in(Submission(reference=typed)), {})).keys == ()
