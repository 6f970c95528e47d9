"""Normalising is idempotent, agrees with the library, and never fails in another way than by saying why."""

from contextlib import suppress

import phonenumbers
from hypothesis import given
from hypothesis import strategies as st

from notify.addresses import BadAddress, fold_name, fold_reference, normalise_mail, normalise_phone


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold_name(fold_name(text)) == fold_name(text)
    assert fold_reference(fold_reference(text)) == fold_reference(text)


@given(st.text() | st.emails())
def test_a_normal_mail_address_stays_as_it_is(text: str) -> None:
    with suppress(BadAddress):
        mail = normalise_mail(text)
        assert mail.isascii()
        assert normalise_mail(mail) == mail


@given(st.text() | st.from_regex(r"[+0]{0,2}[0-9 ()-]{5,17}", fullmatch=True), st.sampled_from([(), ("NL",), ("US",)]))
def test_a_normal_phone_number_stays_as_it_is(text: str, regions: tuple[str, ...]) -> None:
    with suppress(BadAddress):
        phone = normalise_phone(text, regions)
        assert normalise_phone(phone) == phone


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_the_fast_path_gives_what_the_library_gives(number: str) -> None:
    with suppress(BadAddress):
        assert normalise_phone(number) == phonenumbers.format_number(
            phonenumbers.parse(number, None), phonenumbers.PhoneNumberFormat.E164
        )
