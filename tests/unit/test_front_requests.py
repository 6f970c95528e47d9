"""What the front answers itself: plain GETs, and nothing it could understand differently from the application."""

import pytest

from app.front import read_request
from app.public_page import PageRequest

HEAD = (
    b"GET /incidents/abc?lang=nl HTTP/1.1\r\nHost: a.example\r\n"
    b'Accept-Encoding: gzip\r\nAccept-Language:  nl \r\nIf-None-Match: "x"'
)


def test_a_plain_get_is_read() -> None:
    assert read_request(HEAD) == PageRequest("/incidents/abc", "lang=nl", "gzip", "nl", '"x"')


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"GET", b"POST"),
        HEAD.replace(b"GET", b"HEAD"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"GET /", b"GET http://a.example/"),
        HEAD.replace(b"GET /", b"GET /%2e%2e/"),
        HEAD.replace(b"GET ", b"GET  "),
        HEAD + b"\r\nContent-Length: 3",
        HEAD + b"\r\nTransfer-Encoding: chunked",
        HEAD + b"\r\nConnection: close",
        HEAD + b"\r\nConnection: Upgrade, HTTP2-Settings",
        HEAD + b"\r\nExpect: 100-continue",
        HEAD + b"\r\nRange: bytes=0-1",
        HEAD + b"\r\nHost: b.example",
        HEAD + b"\r\n folded: line",
        HEAD + b"\r\nX Y: 1",
        HEAD + b"\r\nX-Bare: 1\nHost: c",
        HEAD + b"\r\nX-Nul: \x00",
        HEAD + b"\r\nno colon",
        HEAD + "\r\nX: é".encode(),
        HEAD.replace(b"Host: a.example\r\n", b""),
        b"",
        b"GET /",
        b"PRI * HTTP/2.0",
    ],
)
def test_anything_unusual_is_left_to_the_application(head: bytes) -> None:
    assert read_request(head) is None
