"""Receipts of every make: options before text, unknown words kept, and nothing an outsider sends makes reading fail."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.channels.centres import Centre
from notify.channels.inbound import Inbound
from notify.sms_keywords import joined, meaning, segment_from, text_of
from notify.sms_receipts import Receipt, is_receipt, read_receipt

CENTRE = Centre("h", 1, "us", "pw", ids="text")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def inbound(
    content: bytes, *, esm_class: int = 4, data_coding: int = 0, options: dict[int, bytes] | None = None
) -> Inbound:
    return Inbound(CENTRE, "+31600000001", "Stormdesk", esm_class, data_coding, content, options or {})


def read(content: bytes, options: dict[int, bytes] | None = None) -> Receipt:
    return read_receipt(inbound(content, options=options), NOW)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (
            b"id:0042 sub:001 dlvrd:001 done date:2601 stat:DELIVRD err:000 text:x",
            "delivered",
            "DELIVRD",
        ),
        (b"id:42 stat:EXPIRED err:027", "soft_bounce", "EXPIRED 27"),
        (b"ID:42 STAT:undeliv ERR:001", "hard_bounce", "UNDELIV 1"),
        (b"id:42 stat:UNDELIV err:027", "soft_bounce", "UNDELIV 27"),
        (b"id:42 stat:UNDELIV err:abc", "soft_bounce", "UNDELIV"),
        (b"id:42 stat:REJECTD err:000", "soft_bounce", "REJECTD"),
        (b"id:42 stat:DELETED", "soft_bounce", "DELETED"),
        (b"id:42 stat:ENROUTE err:000", "delayed", "ENROUTE"),
        (b"id:42 stat:ACCEPTD err:000", "delayed", "ACCEPTD"),
        (b"id:42 stat:UNKNOWN err:000", "delayed", "UNKNOWN"),
        (b"id:42 stat:DELIVERED", "delivered", "DELIVRD"),
        (b"id:42 stat:WHATEVER", "unreadable", "WHATEVER"),
        (b"id:42", "unreadable", None),
    ],
)
def test_the_text_of_a_receipt(content: bytes, kind: str, status: str | None) -> None:
    found = read(content)
    assert (found.kind, found.status) == (kind, status)
    assert found.message_ref == CENTRE.reference("42")
    assert found.raw == content


def test_options_say_it_before_the_text_does() -> None:
    found = read(b"id:1 stat:DELIVRD err:000", {0x1E: b"77\0", 0x427: b"\x05", 0x423: b"\x03\x00\x01"})
    assert (found.message_ref, found.kind, found.status) == (CENTRE.reference("77"), "hard_bounce", "UNDELIV 1")
    assert found.raw.startswith(b"id:1 stat:DELIVRD err:000\0")


def test_the_text_after_the_fields_cannot_pass_for_them() -> None:
    """The end of a receipt quotes the message, which anybody may have written."""
    found = read(b"id:42 sub:001 stat:UNDELIV err:027 text:id:7 stat:DELIVRD err:000")
    assert (found.message_ref, found.kind) == (CENTRE.reference("42"), "soft_bounce")


def test_saying_it_again_is_the_same_and_saying_something_else_is_not() -> None:
    assert read(b"id:42 stat:ENROUTE").key == read(b"id:42 stat:ENROUTE").key != read(b"id:42 stat:DELIVRD").key


def test_without_a_name_it_is_kept_for_people() -> None:
    assert (read(b"stat:DELIVRD").message_ref, read(b"stat:DELIVRD").kind) == (None, "unreadable")


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from([0x1E, 0x427, 0x423, 0x424, 9]), st.binary(max_size=9)))
def test_no_receipt_can_make_reading_fail(content: bytes, options: dict[int, bytes]) -> None:
    found = read(content, options)
    assert "\0" not in found.text
    found.text.encode()
    (found.message_ref or "").encode()
    assert "\0" not in (found.message_ref or "") + (found.status or "")


def test_a_text_is_no_receipt() -> None:
    assert not is_receipt(inbound(b"id:42 stat:DELIVRD", esm_class=0))
    assert not is_receipt(inbound(b"x", esm_class=0x40))
    assert is_receipt(inbound(b"", esm_class=0x04))
    assert is_receipt(inbound(b"", esm_class=0x20))
    assert is_receipt(inbound(b"", esm_class=0, options={0x1E: b"1"}))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "STOP",
            "stop",
            " Stop! ",
            "“stop”",
            "S.T.O.P",
            "arrêt",
            "ARRET.",
            "Opt-out",
            "opt out",
            "OPTOUT",
            "end",
            "TD",
        ),
        *("Stopp", "cancel", "quit", "remove", "unsubscribe", "Afmelden"),
    ],
)
def test_words_that_stop(text: str) -> None:
    assert meaning(text) == "stop"


@pytest.mark.parametrize("text", ["start", "UNSTOP", "Start."])
def test_words_that_start(text: str) -> None:
    assert meaning(text) == "start"


@pytest.mark.parametrize("text", ["", "please stop", "stop it", "The end", "When does it start?", "stopwatch", "👍"])
def test_everything_else_is_for_people(text: str) -> None:
    assert meaning(text) == "contact"


def test_the_alphabets_of_incoming_texts() -> None:
    assert text_of(b"\x00 \x1be", 0) == "@ €"
    assert text_of("Ça va 😀".encode("utf-16-be"), 8) == "Ça va 😀"
    assert text_of("déjà".encode("latin-1"), 3) == "déjà"
    assert text_of(b"a\x00b", 3) == "ab"


def test_parts_by_header_and_by_options() -> None:
    short = segment_from(inbound(b"\x05\x00\x03\x2a\x03\x02rest", esm_class=0x40))
    assert (short.reference, short.parts, short.part, short.content) == (0x2A, 3, 2, b"rest")
    wide = segment_from(inbound(b"\x06\x08\x04\x01\x02\x02\x01x", esm_class=0x40))
    assert (wide.reference, wide.parts, wide.part, wide.content) == (0x102, 2, 1, b"x")
    sar = segment_from(inbound(b"x", esm_class=0, options={0x20C: b"\x00\x09", 0x20E: b"\x02", 0x20F: b"\x02"}))
    assert (sar.reference, sar.parts, sar.part) == (9, 2, 2)
    beside = segment_from(inbound(b"\x0b\x05\x04\x0b\x84\x0b\x84\x00\x03\x07\x02\x01x", esm_class=0x40))
    assert (beside.reference, beside.parts, beside.part, beside.content) == (7, 2, 1, b"x")


def test_a_claim_of_more_parts_than_anybody_types_is_not_waited_for() -> None:
    found = segment_from(inbound(b"\x05\x00\x03\x2a\xff\x02rest", esm_class=0x40))
    assert (found.reference, found.parts, found.part) == (None, 1, 1)


def test_what_never_came_is_marked() -> None:
    assert joined({1: "a", 3: "c"}, 3) == "a[…]c"


@given(st.binary(max_size=180), st.integers(0, 255), st.integers(0, 255))
def test_no_text_can_make_reading_fail(content: bytes, esm_class: int, data_coding: int) -> None:
    found = segment_from(inbound(content, esm_class=esm_class, data_coding=data_coding))
    assert 1 <= found.part <= found.parts <= 20
    assert "\0" not in text_of(found.content, found.data_coding)
