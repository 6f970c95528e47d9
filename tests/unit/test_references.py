"""What we call a message, found again in whatever comes back; and nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.tokens import Tokens
from notify.references import (
    REFERENCE_LENGTH,
    References,
    check_code,
    delivery_reference,
    read_check_code,
    read_leave_token,
    read_reference,
)

OLD, NEW = b"o" * 32, b"n" * 32
TOKENS = Tokens([NEW, OLD])
_ids = st.integers(1, 2**63 - 1)


@given(_ids)
def test_a_reference_is_found_in_every_place_we_put_it(delivery_id: int) -> None:
    reference = delivery_reference(TOKENS, delivery_id)
    assert len(reference) <= REFERENCE_LENGTH
    for text in (
        reference,
        f"<{reference}@example.com>",
        f"updates+{reference}@example.com",
        f"updates+bounce-{reference}@example.com",
        f"rfc822;UPDATES+BOUNCE-{reference.upper()}@EXAMPLE.COM",
        f"SRS0=Hh4x=YT=example.com=updates+bounce-{reference}@forwarder.example",
        f"prvs=0123456789=updates+bounce-{reference}@example.com",
        f"In-Reply-To: <other-abc@example.org>\r\n <{reference}@example.com>",
        f"updates+1-{'0' * 24}@example.com, updates+{reference}@example.com",
    ):
        assert read_reference(TOKENS, text) == delivery_id


@given(_ids)
def test_references_made_before_a_change_of_keys_are_still_known(delivery_id: int) -> None:
    assert read_reference(TOKENS, delivery_reference(Tokens([OLD]), delivery_id)) == delivery_id
    assert read_reference(Tokens([NEW]), delivery_reference(Tokens([OLD]), delivery_id)) is None


@given(st.text(max_size=200) | st.from_regex(r"[0-9a-f]{1,17}-[0-9a-f]{24}"))
def test_nothing_else_is_a_reference_a_token_or_a_code(text: str) -> None:
    assert read_reference(TOKENS, text) is None
    assert read_leave_token(TOKENS, text) is None
    assert read_check_code(TOKENS, text) is None


@given(_ids, st.data())
def test_a_reference_with_one_character_changed_is_none(delivery_id: int, data: st.DataObject) -> None:
    reference = delivery_reference(TOKENS, delivery_id)
    at = data.draw(st.integers(0, len(reference) - 1).filter(lambda place: reference[place] != "-"))
    other = data.draw(st.sampled_from("0123456789abcdef").filter(lambda one: one != reference[at]))
    assert read_reference(TOKENS, reference[:at] + other + reference[at + 1 :]) is None


def test_an_endless_text_is_not_searched_to_its_end() -> None:
    reference = delivery_reference(TOKENS, 7)
    assert read_reference(TOKENS, f"1-{'a' * 24} " * 30 + reference) is None
    assert read_reference(TOKENS, " " * 1_000_000 + reference) is None


@given(_ids)
def test_the_link_that_stops_news_cannot_be_made_from_the_reference(delivery_id: int) -> None:
    references = References(TOKENS)
    reference = references.reference(delivery_id)
    token = references.leave_token(reference)
    assert read_leave_token(TOKENS, token) == delivery_id
    assert read_leave_token(TOKENS, reference) is None
    assert read_reference(TOKENS, token) is None
    assert read_leave_token(TOKENS, References(Tokens([OLD])).leave_token(reference)) == delivery_id
    assert read_leave_token(TOKENS, token.upper() + "x") is None


@given(_ids)
def test_a_check_code_names_its_message_however_it_is_typed(message_id: int) -> None:
    code = check_code(TOKENS, message_id)
    for typed in (code, code.lower(), code.replace("-", " "), code.replace("0", "o").replace("1", "l"), f" {code}\n"):
        assert read_check_code(TOKENS, typed.strip()) == message_id
    assert read_check_code(TOKENS, check_code(Tokens([OLD]), message_id)) == message_id


def test_a_check_code_is_short() -> None:
    assert len(check_code(TOKENS, 1)) == len("C7KQ-F3MX")
    assert len(check_code(TOKENS, 1_000_000)) <= len("C7KQ-F3MX-A2T")


@pytest.mark.parametrize("typed", ["", "-", "0", "0000-0000", "U" * 9, "1" * 300, "\ud800", "C7KQ-F3MX\x00"])
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    assert read_check_code(TOKENS, typed) is None


@given(st.integers(1, 10**7), st.data())
def test_a_slip_of_the_finger_is_noticed(message_id: int, data: st.DataObject) -> None:
    code = check_code(TOKENS, message_id)
    at = data.draw(st.integers(0, len(code) - 1).filter(lambda place: code[place] != "-"))
    other = data.draw(st.sampled_from("23456789ABCDEFGHJKMNPQRSTVWXYZ").filter(lambda one: one != code[at]))
    assert read_check_code(TOKENS, code[:at] + other + code[at + 1 :]) is None
