"""Mail that comes back may be anything: reading it never fails, never takes long, lets nothing odd through."""

import base64
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.tokens import Tokens
from notify import mime
from notify.bounces import delivery_of, read_mail
from tests.support.mails import NAMES, mail

TOKENS = Tokens([b"a signing key that only tests use"])
_CORPUS = [mail(name, TOKENS, 4711) for name in NAMES]
_WORDS = [
    *(b"Content-Type: multipart/report; boundary=b\r\n", b"--b\r\n", b"--b--", b"\r\n\r\n", b"\x00", b"\xff\xfe"),
    *(
        b"Content-Type: message/delivery-status\r\n\r\n",
        b"Action: failed\r\n",
        b"Status: 5.1.1\r\n",
        b"=?utf-8?b?//8=?=",
    ),
    *(b"Content-Type: text/plain; charset=", b"idna", b"unicode_escape", b"hex", b"a\x00b", b"utf-16", b"undefined"),
    *(
        b"Content-Transfer-Encoding: base64\r\n",
        b"=?x?q?=80?=",
        b"Subject: ",
        b"From: ",
        b"Content-Type: message/rfc822\r\n",
    ),
    *(b"boundary*0=", b"charset*=utf-8''%ff", b"\r\n ", b"Auto-Submitted: ", b"MAILER-DAEMON@x", b"<a@b>: 550 unknown"),
]
_pieces = st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(_WORDS)), max_size=60).map(b"".join)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check(raw: bytes, sender: str = "") -> None:
    reading = read_mail(raw, sender=sender, recipient="updates@example.com")
    assert len(reading.text) <= 500
    assert not _CONTROLS.search(reading.text)
    assert reading.status is None or re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", reading.status)
    assert delivery_of(TOKENS, reading) in (None, 4711)
    found = mime.parse(raw)
    assert not re.search("[\x00\ud800-\udfff]", mime.text_of(found) + mime.header(found, "From"))


@settings(deadline=None, max_examples=120)
@given(_pieces, st.sampled_from(["", "anna@example.org"]))
def test_any_bytes_can_be_read(raw: bytes, sender: str) -> None:
    check(raw, sender)


def test_a_charset_that_python_cannot_even_look_up_is_no_obstacle() -> None:
    check(b"Content-Type:text/plain;charset=\x00\n\n\x80" + _CORPUS[0])
    status = b"Content-Type: message/delivery-status\n\n" + b"Content-Type: text/plain; charset=\x00\n\n\x80\n\n"
    check(b"Content-Type: multipart/report; boundary=b\nFrom: MAILER-DAEMON@x\n\n--b\n" + status + b"--b--")


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(_CORPUS), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), _pieces), max_size=4))
def test_any_damage_to_a_real_one_can_be_read(raw: bytes, cuts: list[tuple[float, int, bytes]]) -> None:
    for place, length, piece in cuts:
        at = int(place * len(raw))
        raw = raw[:at] + piece + raw[at + length :]
    check(raw)


_HUGE = 8 * 1024 * 1024
_NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(20_000))
_REPORT = b"From: MAILER-DAEMON@x\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"a" * _HUGE,
        b"\x00" * _HUGE,
        b"X: y\r\n" * 1_000_000,
        b"Subject: " + b"=?utf-8?q?=C3?= " * 100_000 + b"\r\n\r\n",
        b"Subject: " + b"a" * _HUGE,
        _NESTED,
        b"Content-Type: message/rfc822\r\n\r\n" * 100_000,
        _REPORT + b"Content-Type: message/delivery-status\r\n\r\n" + b"Action: failed\r\n\r\n" * 200_000,
        _REPORT + b"Content-Type: message/delivery-status\r\n\r\n" + b"A: " * 500_000,
        _REPORT + b"\r\n--b\r\n" * 300_000,
        b"From: MAILER-DAEMON@x\r\nX-Failed-Recipients: a@b\r\n\r\n" + b"<" * _HUGE,
        b"From: MAILER-DAEMON@x\r\n\r\n" + b"<a@b>: " * 500_000,
        b"From: MAILER-DAEMON@x\r\n\r\n" + b"user " * 2_000_000,
        b"From: MAILER-DAEMON@x\r\n\r\n" + (b"the mailbox " * 30 + b"\r\n") * 20_000,
        b"Content-Type: text/html\r\n\r\n" + b"<a " * 2_000_000,
        b"Content-Type: text/html\r\n\r\n" + b"\n \n" * 2_000_000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain;\r\n"
        + b" a=b;\r\n" * 500_000,
        b"Content-Type: text/html\r\n\r\n" + b"<" * 4_000_000,
        b"Content-Type: text/html\r\n\r\n" + b"<script" * 500_000,
        b"Content-Type: text/html\r\n\r\n" + b"<script>" * 500_000,
        b"Content-Type: text/html\r\n\r\n" + b"<style>\n\n \n" * 500_000,
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(b"\x00" * 4_000_000),
        b"Content-Type: text/plain" + b"; a=b" * 1_000_000 + b"\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary*0*=utf-8''" + b"%" * 1_000_000 + b"\r\n\r\nx",
        b"\r\n".join(b"Message-ID" + b" " * 20 + b":" for _ in range(100_000)),
        b"From: MAILER-DAEMON@x\r\n\r\n" + b" " * 4_000_000 + b"message-id",
        b"From: MAILER-DAEMON@x\r\n\r\n" + b"> > > > > > > \r\n" * 200_000,
    ],
    ids=range(27),
)
@pytest.mark.timeout(30)
def test_what_is_made_to_keep_us_busy_does_not(raw: bytes) -> None:
    started = time.process_time()
    check(raw)
    assert time.process_time() - started < 5
