"""The URL of a centre, how its ids are read, what its statuses mean, and the pace of a bind."""

import pytest

from notify.channels import Deferred
from notify.channels.centres import Centre, IdStyle, centre_from
from notify.channels.smpp_pace import Pace
from notify.channels.smpp_status import refusal


def test_a_url_with_everything() -> None:
    centre = centre_from("smpp://us%40x:p%3Aw@sms.example.net:2776?window=50&rate=30&system_type=VMA&tls=on&ca=/ca.pem")
    assert centre == Centre("sms.example.net", 2776, "us@x", "p:w", 50, "VMA", tls=True, ca="/ca.pem", rate=30)
    assert centre.name == "us@x@sms.example.net:2776"
    assert "p:w" not in repr(centre)


def test_a_url_with_what_is_needed() -> None:
    assert centre_from("smpp://us:pw@[::1]") == Centre("::1", 2775, "us", "pw")


@pytest.mark.parametrize(
    "url",
    [
        "http://us:secret@host",
        "smpp://host",
        "smpp://us:secret@",
        "smpp://us:secret@host?window=0",
        "smpp://us:secret@host?window=x",
        "smpp://us:secret@host?rate=-1",
        "smpp://us:secret@host?tls=maybe",
        "smpp://us:secret@host?ids=octal",
        "smpp://us:secret@host?ca=/ca.pem",
        "smpp://us:secret@host?windows=5",
        "smpp://us:secretsecret@host",
        "smpp://sixteen-letters-:secret@host",
        "smpp://us:secret@host:99999",
    ],
)
def test_a_fault_in_a_url_is_named_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        centre_from(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("ids", "response", "receipt"),
    [
        ("text", "abc-DEF", "ABC-def"),
        ("text", "12345", "0000012345"),
        ("text", "0", "000"),
        ("hex-decimal", "7FFFFFFF", "2147483647"),
        ("hex-decimal", "00a0", "0000000160"),
        ("decimal-hex", "160", "A0"),
        ("hex-decimal", "not-a-number", "NOT-A-NUMBER"),
    ],
)
def test_an_id_is_one_name_in_response_and_receipt(ids: IdStyle, response: str, receipt: str) -> None:
    centre = Centre("h", 1, "us", "pw", ids=ids)
    assert centre.reference(response) == centre.reference(receipt, in_receipt=True)


def test_ids_of_two_centres_are_never_the_same() -> None:
    assert Centre("h", 1, "us", "pw").reference("1") != Centre("h", 2, "us", "pw").reference("1")


def test_an_operators_own_status_is_not_taken_for_final() -> None:
    assert refusal(0x401) == Deferred("refused_for_now", 0x401, "command status 0x401")
    assert refusal(0xFFFFFFFF) == Deferred("refused_for_now", None, "command status 0xffffffff")


def test_a_throttled_pace_halves_once_a_pause_and_comes_back() -> None:
    pace = Pace(16)
    pace.throttled(100.0)
    pace.throttled(100.1)  # the answers to what was under way already
    assert pace.window == 8
    assert pace.wait(100.0) == 0.25
    pace.throttled(100.3)
    assert (pace.window, pace.wait(100.3)) == (4, 0.5)
    for _ in range(40):
        pace.throttled(pace.wait(0) + 0.001)
    assert pace.window == 1
    assert pace.wait(0) < 10 * 40 + 101
    for _ in range(200):
        pace.accepted()
    assert not pace.slowed()
    assert pace.window == 16


def test_an_agreed_rate_is_kept() -> None:
    pace = Pace(1000, rate=50)
    now, sent = 10.0, 0
    while now < 12.0:
        if pace.wait(now) == 0:
            pace.sent(now)
            sent += 1
        now += 0.001
    assert 95 <= sent <= 107
