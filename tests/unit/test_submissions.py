"""What people send is read without loss, and what is wrong with it is named field by field."""

import pytest

from claims.submissions import (
    LARGEST_BODY,
    LONGEST,
    Submission,
    form_faults,
    form_questions,
    from_form,
    idempotency_key,
    is_form_name,
    language_tag,
    read_form,
    read_json,
    stored_submission,
)
from foundation.errors import Invalid


def faulty_fields(raw: bytes) -> set[str]:
    with pytest.raises(Invalid) as refused:
        read_json(raw)
    return {fault.field for fault in refused.value.faults}


def test_a_contact_needs_no_particular_field() -> None:
    assert read_json(b'{"phone": "112"}').phone == "112"
    assert read_json('{"message": "Ich weiß nicht"}'.encode()).message == "Ich weiß nicht"


def test_nul_and_control_characters_survive() -> None:
    assert read_json(b'{"message": "a\\u0000b\\u001bc"}').message == "a\0b\x1bc"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"{}", "message"),
        (b'{"message": "  ", "name": null}', "message"),
        (b'{"phone": 612345678}', "phone"),
        (b'{"asks_for": "the moon"}', "asks_for"),
        (b"[]", "body"),
        (b"not json", "body"),
        (b'{"message": "\xff"}', "body"),
        (b'{"message": "\\ud800 half a letter"}', "body"),
        (b'{"name": "' + b"x" * 201 + b'"}', "name"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, field: str) -> None:
    assert field in faulty_fields(raw)


def test_every_fault_is_told_at_once() -> None:
    assert faulty_fields(b'{"name": "' + b"x" * 201 + b'", "phone": "' + b"1" * 61 + b'"}') == {"name", "phone"}


def test_the_longest_message_fits_even_all_escaped() -> None:
    raw = b'{"message": "' + b"\\ud83d\\ude00" * LONGEST["message"] + b'"}'
    assert len(raw) <= LARGEST_BODY
    assert len(read_json(raw).message or "") == LONGEST["message"]


def test_a_form_keeps_what_was_typed() -> None:
    typed = read_form(b"name=Zo%C3%AB+%3Cb%3E&message=a%00b&name=second&reference=")
    assert typed == {"name": "Zoë <b>", "message": "a\0b", "reference": ""}


def test_bytes_that_are_not_utf8_do_not_break_a_form() -> None:
    assert read_form(b"name=%ff%fe&message=\xe9")["name"] == "\ufffd\ufffd"


def test_a_wish_that_is_not_on_the_list_is_none() -> None:
    assert from_form({"asks_for": "<script>"}).asks_for is None


def test_the_form_says_what_to_mend() -> None:
    said = Submission(email="me at example", phone="call me")
    assert form_faults(said) == []
    assert [fault.field for fault in form_questions(said, ("NL",))] == ["email", "phone"]
    assert form_questions(Submission(email=" ME@Example.org ", phone="06 12345678", reference="7QX4ZD"), ("NL",)) == []


@pytest.mark.parametrize("typed", ["me@example.org", "7", "I was at the gate and then they said no"])
def test_a_reference_that_looks_wrong_is_asked_about(typed: str) -> None:
    assert [fault.field for fault in form_questions(Submission(reference=typed), ("NL",))] == ["reference"]


@pytest.mark.parametrize("raw", [b"", b"\0", b"{", b'{"name": 3}', b"\xff" * 10])
def test_stored_bytes_that_cannot_be_read_are_no_error(raw: bytes) -> None:
    assert stored_submission("api", raw) is None


@pytest.mark.parametrize("value", [b"k-1", b'"k-1"', b"  k-1 "])
def test_an_idempotency_key_is_read_quoted_or_bare(value: bytes) -> None:
    assert idempotency_key([(b"accept", b"*/*"), (b"idempotency-key", value)]) == "api:k-1"


def test_an_idempotency_key_need_not_be_given() -> None:
    assert idempotency_key([(b"accept", b"*/*")]) is None


@pytest.mark.parametrize("value", [b"", b'""', b"x" * 201, b"a\0b", b"caf\xe9"])
def test_an_idempotency_key_that_cannot_be_used_is_refused(value: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        idempotency_key([(b"idempotency-key", value)])
    assert refused.value.code == "invalid_idempotency_key"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("Zk3-_xY9", True), ("a" * 40, True), ("a" * 41, False), ("short", False), ("", False), ("név-névnév", False)],
)
def test_the_name_of_a_form(text: str, is_one: bool) -> None:
    assert is_form_name(text) is is_one


@pytest.mark.parametrize(
    ("typed", "tag"),
    [("nl-BE", "nl"), (" NL ", "nl"), ("de", "de"), (None, "en"), ("", "en"), ("1x", "en"), ("é!", "en")],
)
def test_the_language_of_a_contact(typed: str | None, tag: str) -> None:
    assert language_tag(typed) == tag
