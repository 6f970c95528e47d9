"""The commands that open a mail: what is said to whom, and how it is spelt."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.channels.envelopes import Envelope, Extensions, xtext

MAIL = Envelope("updates+bounce-1f-abc@example.com", "zoe+news=now@example.org", b"x" * 321, "1f-abc")


def test_a_server_that_offers_nothing_hears_the_plain_commands() -> None:
    assert MAIL.opening(Extensions()) == (
        b"MAIL FROM:<updates+bounce-1f-abc@example.com>\r\nRCPT TO:<zoe+news=now@example.org>\r\nDATA\r\n"
    )


def test_dsn_and_size_are_used_where_they_are_offered() -> None:
    offers = Extensions.offered(lambda name: name in ("dsn", "size", "pipelining"))
    assert MAIL.opening(offers) == (
        b"MAIL FROM:<updates+bounce-1f-abc@example.com> SIZE=321 RET=HDRS ENVID=1f-abc\r\n"
        b"RCPT TO:<zoe+news=now@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;zoe+2Bnews+3Dnow@example.org\r\n"
        b"DATA\r\n"
    )


def test_what_is_not_announced_is_not_used() -> None:
    assert Extensions.offered(lambda _: False) == Extensions(pipelining=False, dsn=False, size=False)


@pytest.mark.parametrize(("text", "encoded"), [("a+b=c", "a+2Bb+3Dc"), ("a b\r\n", "a+20b+0D+0A"), ("é", "+C3+A9")])
def test_xtext_hides_what_is_special(text: str, encoded: str) -> None:
    assert xtext(text) == encoded


@given(st.text())
def test_xtext_can_be_read_back_and_holds_nothing_special(text: str) -> None:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    encoded = xtext(text)
    assert re.fullmatch(r"[!-*,-<>-~+]*", encoded)
    assert re.sub(rb"\+([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), encoded.encode()) == raw
