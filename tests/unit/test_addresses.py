"""What people type becomes one spelling, and what cannot be an address says why."""

import pytest

from notify.addresses import BadAddress, fold_name, fold_reference, normalise_mail, normalise_phone


@pytest.mark.parametrize(
    ("typed", "mail"),
    [
        ("Jan.Jansen@Example.ORG", "jan.jansen@example.org"),
        ("  jan@example.org \n", "jan@example.org"),
        ("jan\u200b@example.org", "jan@example.org"),
        ("mailto:jan@example.org", "jan@example.org"),
        ("jan+storm@example.org", "jan+storm@example.org"),
        ("info@bücher.example.org", "info@xn--bcher-kva.example.org"),
        ("INFO@BÜCHER.example.org", "info@xn--bcher-kva.example.org"),
        ("o'neil@example.org", "o'neil@example.org"),
    ],
)
def test_one_spelling_for_a_mail_address(typed: str, mail: str) -> None:
    assert normalise_mail(typed) == mail


@pytest.mark.parametrize(
    "typed",
    [
        *("", " ", "jan", "jan@", "@example.org", "jan@example", "a b@example.org", "jan@@example.org", "jan@-x.org"),
        *("jan@exa\nmple.org", "a..b@example.org", f"{'a' * 65}@example.org", f"a@{'b.' * 130}org", "jan@x.invalid"),
        *("jan\x00@example.org", "jan@exam\x00ple.org", "jan@example.org, piet@example.org", "<jan@example.org"),
    ],
)
def test_what_is_not_a_mail_address_says_why(typed: str) -> None:
    with pytest.raises(BadAddress, match=r"\w+ \w+.*\."):
        normalise_mail(typed)


@pytest.mark.parametrize(
    ("typed", "regions", "phone"),
    [
        ("+31612345678", (), "+31612345678"),
        ("+31 (0)6-12 34 56 78", (), "+31612345678"),
        ("0031 6 12345678", (), "+31612345678"),
        ("31612345678", (), "+31612345678"),
        ("06 12345678", ("NL",), "+31612345678"),
        ("(212) 555-2368", ("NL", "US"), "+12125552368"),
        ("0049 30 901820", ("NL",), "+4930901820"),
        ("+390612345678", (), "+390612345678"),
        ("+440 20 7946 0958", (), "+442079460958"),
        ("+310612345678", (), "+31612345678"),
        ("tel:+31-6-12345678", (), "+31612345678"),
        ("+٣١٦١٢٣٤٥٦٧٨", (), "+31612345678"),
        ("\u202a+31612345678\u202c", (), "+31612345678"),
    ],
)
def test_one_spelling_for_a_phone_number(typed: str, regions: tuple[str, ...], phone: str) -> None:
    assert normalise_phone(typed, regions) == phone


@pytest.mark.parametrize("typed", ["", "-", "phone", "+", "+999123456789", "12", "0612345678", "+1212555", "1" * 70])
def test_what_is_not_a_phone_number_says_why(typed: str) -> None:
    with pytest.raises(BadAddress, match=r"\w+ \w+.*\."):
        normalise_phone(typed)


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("Jansen", "jansen"),
        ("  JANSEN  de   Vries ", "jansen de vries"),
        ("O'Brien", "obrien"),
        ("O’Brien", "obrien"),
        ("Jean‑Pierre", "jean pierre"),
        ("Müller", "muller"),
        ("Mu\u0308ller", "muller"),
        ("Straße", "strasse"),
        ("Łukasz Ørsted Ægir", "lukasz orsted aegir"),
        ("Núñez", "nunez"),
        ("Zoë\u200b", "zoe"),
        ("İNCİ Işık", "inci isik"),
        ("van\u00a0Dijk", "van dijk"),
        ("Ｗｉｄｅ", "wide"),
        ("李小龙", "李小龙"),
        ("!?", ""),
    ],
)
def test_names_compare_without_case_marks_and_dashes(typed: str, folded: str) -> None:
    assert fold_name(typed) == folded


@pytest.mark.parametrize(
    ("typed", "folded"),
    [("ab-12 c", "AB12C"), (" k\u200bl9 ", "KL9"), ("ＡＢ１２", "AB12"), ("№7", "NO7"), ("--", "")],
)
def test_references_compare_by_their_letters_and_digits(typed: str, folded: str) -> None:
    assert fold_reference(typed) == folded
