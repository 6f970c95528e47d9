"""DKIM signatures, as an independent verifier (dkimpy) sees them; and the keys a setting may name."""

import re
from collections.abc import Callable
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.tokens import Tokens
from notify.dkim import DkimKey, dkim_keys
from notify.mail import MailFactory
from notify.messages import Message

TOKENS = Tokens([b"a signing key that only tests use"])
DATE = "Sun, 08 Feb 2026 14:10:00 +0000"
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS = (DkimKey("rsa2026", "example.com", RSA), DkimKey("ed2026", "example.com", ED25519))
RECORDS = {f"{key.selector}._domainkey.{key.domain}.".encode(): key.record.encode() for key in KEYS}
BODY = (
    "Hello {name},\n\n{heading}Delayed   by  a\tlot, 100% sure %(x)b\n\nSee https://s.example.com/i?a=1.\n"
    "{footer}\nCode {check_code}. Stop: {leave_url}"
)


def _mail(body: str = BODY, name: str = "Zoë", subject: str = "Flight DL 1117", topic: str = "incident:a") -> bytes:
    factory = MailFactory(
        "updates@example.com", TOKENS, sender_name="Northwind Air", public_url="https://s.example.com", dkim=KEYS
    )
    template = factory.template(Message(1, topic, "en", subject, body))
    return template.build(
        to="zoe@example.org", reference=factory.reference(7), slots={"name": name, "customer_number": "C7"}, date=DATE
    )


def _verified(mail: bytes) -> list[bool]:
    """Whether each signature of a mail holds, the RSA one first."""

    def record(name: bytes, timeout: int = 5) -> bytes | None:
        return RECORDS.get(name)

    checker = dkim.DKIM(mail)
    found = []
    for index in range(len(KEYS)):
        try:
            found.append(checker.verify(idx=index, dnsfunc=record))
        except dkim.DKIMException:
            found.append(False)
    return found


def test_both_signatures_hold() -> None:
    mail = _mail()
    assert mail.count(b"DKIM-Signature: v=1; a=") == 2
    assert _verified(mail) == [True, True]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.text(max_size=200)
    | st.sampled_from(["", "{name}", "{leave_url}", " {name}  {name} ", "\t\n\n {name}\n \n"]),
    name=st.text(max_size=90) | st.sampled_from(["A  B", " A ", "\tA\t\tB", "", ".", "%", "=", "a" * 73]),
    subject=st.text(max_size=200),
)
def test_they_hold_whatever_is_written_and_whoever_it_is_for(body: str, name: str, subject: str) -> None:
    assert _verified(_mail(body.replace("{x", "x"), name, subject)) == [True, True]


def test_they_hold_for_mail_that_is_no_news() -> None:
    assert _verified(_mail(topic="case:C-1")) == [True, True]


def test_what_is_signed_covers_what_a_reader_and_a_provider_go_by() -> None:
    for listed in re.findall(rb"h=([a-z0-9:\r\n -]+);", _mail()):
        names = re.sub(rb"\s", b"", listed).split(b":")
        for name in (b"from", b"to", b"subject", b"date", b"message-id", b"reply-to", b"mime-version", b"content-type"):
            assert names.count(name) == 2, name  # over-signed: one more than there is
        for name in (b"list-unsubscribe", b"list-unsubscribe-post", b"list-id", b"auto-submitted"):
            assert names.count(name) == 2, name
        assert names.count(b"cc") == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda mail: mail.replace(b"Flight DL 1117", b"Flight DL 1118"),
        lambda mail: mail.replace(b"Zo=C3=AB", b"Joe", 1),
        lambda mail: mail.replace(b"Date: Sun", b"Date: Mon"),
        lambda mail: mail.replace(b"/u/7-", b"/u/8-", 1),
        lambda mail: mail.replace(b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Clicks"),
        lambda mail: mail.replace(b"\r\nTo: ", b"\r\nFrom: boss@example.com\r\nTo: ", 1),
        lambda mail: mail.replace(b"\r\nTo: ", b"\r\nSubject: Pay here\r\nTo: ", 1),
        lambda mail: mail.replace(b"\r\nTo: ", b"\r\nCc: all@example.org\r\nTo: ", 1),
        lambda mail: mail.replace(b"\r\nTo: ", b"\r\nReply-To: thief@example.org\r\nTo: ", 1),
        lambda mail: mail + b"one more line\r\n",
    ],
    ids=["subject", "body", "date", "link", "one-click", "2nd From", "2nd Subject", "Cc", "2nd Reply-To", "appended"],
)
def test_nothing_of_it_can_be_changed_or_added(change: Callable[[bytes], bytes]) -> None:
    mail = _mail()
    assert change(mail) != mail
    assert _verified(change(mail)) == [False, False]


def test_what_a_relay_may_do_on_the_way_leaves_them_whole() -> None:
    """Relaxed: a trace header on top, a header folded anew."""
    mail = b"Received: from a by b; " + DATE.encode() + b"\r\n" + _mail()
    assert _verified(mail.replace(b"Message-ID: <", b"Message-ID:\r\n <")) == [True, True]


def _pem(folder: Path, key: object, encryption: KeySerializationEncryption | None = None) -> Path:
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))  # type: ignore[attr-defined]  # any of three kinds
    return path


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "rsa-sha256"), (ED25519, "ed25519-sha256")])
def test_a_key_is_read_from_its_file(tmp_path: Path, key: object, algorithm: str) -> None:
    found = dkim_keys(f" S1:Example.com:{_pem(tmp_path, key)} , ")
    assert [(one.selector, one.domain, one.algorithm) for one in found] == [("s1", "example.com", algorithm)]
    assert "key" not in repr(found[0]).replace("DkimKey", "")


@pytest.mark.parametrize(
    ("key", "encryption", "complaint"),
    [
        (rsa.generate_private_key(65537, 1024), None, "an RSA key of 1024 bits; 2048 are needed"),
        (ec.generate_private_key(ec.SECP256R1()), None, "neither an RSA nor an Ed25519 key"),
        (ED25519, BestAvailableEncryption(b"secret"), "no private key in PEM without a passphrase"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_with_what_to_do(
    tmp_path: Path, key: object, encryption: KeySerializationEncryption | None, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        dkim_keys(f"s1:example.com:{_pem(tmp_path, key, encryption)}")


@pytest.mark.parametrize(
    "text", ["s1", "s1:example.com", "s1:nonsense:/x", "s 1:example.com:/x", "s1:a.b;c:/x", ":a.b:/x"]
)
def test_what_does_not_look_like_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must look like selector:example"):
        dkim_keys(text)


def test_a_file_that_is_not_there_or_holds_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        dkim_keys(f"s1:example.com:{tmp_path}/none.pem")
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(ValueError, match="holds no private key"):
        dkim_keys(f"s1:example.com:{tmp_path}/text.pem")
