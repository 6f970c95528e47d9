"""The demo's mailbox: real SMTP over a real socket, in a process of its own, counted to the last message."""

import json
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mail"


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """The port of a running mailbox that keeps its samples in `folder`."""
    command = [sys.executable, "-m", "app.demo.mailbox", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mailbox:
        assert mailbox.stdout is not None
        yield int(mailbox.stdout.readline())
        mailbox.terminate()


def counts(folder: Path, messages: int) -> dict[str, Any]:
    """The counts, as soon as they speak of `messages` messages."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        path = folder / "counts.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"messages": -1}
        if found["messages"] >= messages:
            return found
        time.sleep(0.05)
    raise AssertionError("The mailbox has not counted them.")


def mail(number: int, text: str = "Hello.\r\n", subject: str = "Update 1", language: str = "en") -> str:
    return (
        f"Subject: {subject}\r\nMessage-ID: <{number}@stormdesk.example>\r\nContent-Language: {language}\r\n\r\n{text}"
    )


def test_the_standard_client_can_deliver(port: int, folder: Path) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        assert client.ehlo()[0] == 250
        assert client.has_extn("pipelining")
        client.sendmail("a@shop.example", ["b@post.example"], mail(1, ".one dot\r\n..two\r\n.\r\nend\r\n", "Dots"))
        assert client.noop()[0] == 250
        assert client.rset()[0] == 250
        assert client.docmd("HELP")[0] == 500
        assert client.docmd("DATA")[0] == 503
        client.sendmail("a@shop.example", ["b@post.example"], mail(2, subject="Hello", language="nl"))
    found = counts(folder, 2)
    assert [one["subject"] for one in found["subjects"]] == ["Dots", "Hello"]
    assert [one["samples"] for one in found["subjects"]] == [["01-en-1.eml"], ["02-nl-1.eml"]]
    assert (folder / "01-en-1.eml").read_bytes().endswith(b"\r\n\r\n.one dot\r\n..two\r\n.\r\nend\r\n")


def test_whole_envelopes_may_come_in_one_packet_or_byte_by_byte(port: int, folder: Path) -> None:
    envelope = "MAIL FROM:<a@shop.example>\r\nRCPT TO:<b@post.example>\r\nDATA\r\n{}.\r\n"
    session = "EHLO here\r\n" + "".join(envelope.format(mail(number)) for number in range(50)) + "QUIT\r\n"
    for size in (len(session), 1000, 7):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(session), size):
                client.sendall(session[start : start + size].encode())
            answers = b"".join(iter(lambda: client.recv(65536), b"")).decode().splitlines()
        codes = [line[:3] for line in answers if line[3] == " "]
        assert codes == ["220", "250", *["250", "250", "354", "250"] * 50, "221"]
    found = counts(folder, 150)
    assert (found["messages"], found["distinct"]) == (150, 50)
    assert len(list(folder.glob("*.eml"))) == 3


def test_a_mailbox_that_is_gone_is_refused_and_the_rest_goes_on(port: int, folder: Path) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("a@shop.example", ["somebody@gone.example"], mail(1))
        assert refused.value.recipients["somebody@gone.example"][0] == 550
        client.sendmail("a@shop.example", ["b@post.example"], mail(2, "x" * 900 + "\r\n"))
    found = counts(folder, 1)
    assert (found["messages"], found["refused"]) == (1, 1)


def test_a_message_or_line_beyond_all_reason_is_refused(port: int, folder: Path) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("a@shop.example", ["b@post.example"], mail(1, "x" * 2_000_000))
        assert refused.value.smtp_code == 552
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"x" * 10_000)
        assert b"500 5.5.6" in b"".join(iter(lambda: client.recv(65536), b""))
    assert counts(folder, 0)["messages"] == 0
