"""Bodies of the staff API: read as types, every fault at once."""

import msgspec
import pytest

from foundation.calls import read_body
from foundation.errors import Invalid
from incidents.bodies import IncidentBody, UpdateBody


def test_every_fault_of_a_body_is_listed() -> None:
    body = {
        "phase": "over",
        "texts": {"en": {"title": 1, "body": "b", "adviec": "typo"}, "nl": "text"},
        "next_update_at": "2026-02-08T14:30:00",
        "colour": "red",
    }
    with pytest.raises(Invalid) as refused:
        read_body(msgspec.json.encode(body), UpdateBody)
    assert {fault.field for fault in refused.value.faults} == {
        "phase",
        "texts.en.title",
        "texts.en.adviec",
        "texts.en.advice",
        "texts.nl",
        "next_update_at",
        "colour",
    }


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'"\\ud800"', b"[" * 5000])
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        read_body(raw, IncidentBody)


def test_a_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        read_body(b"[]", IncidentBody)
    assert [fault.field for fault in refused.value.faults] == ["body"]
