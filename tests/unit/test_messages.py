"""Mail in bytes, as a receiver reads it."""

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from foundation.tokens import Tokens
from notify.messages import (
    MailFactory,
    Message,
    MessageText,
    escape_slots,
    faults_in,
    is_sendable,
    mail_date,
)
from notify.references import delivery_reference

TOKENS = Tokens([b"a signing key that only tests use"])
FACTORY = MailFactory("updates@example.com", TOKENS, sender_name="Northwind Air")
DATE = mail_date(datetime(2026, 2, 8, 14, 10, tzinfo=UTC))


def _mail(body: str, subject: str = "Flight DL 1117", delivery: int = 7, **slots: str) -> EmailMessage:
    template = FACTORY.template(Message(1, "incident:ab12", "nl", subject, body))
    raw = template.build(to="zoe@example.org", reference=FACTORY.reference(delivery), slots=slots, date=DATE)
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_the_headers_say_who_what_when_and_that_no_machine_should_answer() -> None:
    mail = _mail("Hello {name}", name="Zoë")
    reference = delivery_reference(TOKENS, 7)
    assert dict(mail.items()) == {
        "From": "Northwind Air <updates@example.com>",
        "To": "zoe@example.org",
        "Subject": "Flight DL 1117",
        "Date": "Sun, 08 Feb 2026 14:10:00 +0000",
        "Message-ID": f"<{reference}@example.com>",
        "Reply-To": f"updates+{reference}@example.com",
        "List-Id": "<incident-ab12.example.com>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "MIME-Version": "1.0",
        "Content-Language": "nl",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
    }


def test_each_recipient_finds_their_own_name_in_the_text() -> None:
    assert _mail("Dear {name} ({customer_number}),\nnews.", name="Zoë", customer_number="C7").get_content() == (
        "Dear Zoë (C7),\r\nnews.\r\n"
    )


def test_a_second_attempt_carries_the_same_message_id_and_another_delivery_another() -> None:
    assert _mail("x", delivery=7)["Message-ID"] == _mail("y", delivery=7)["Message-ID"]
    assert _mail("x", delivery=8)["Message-ID"] != _mail("x", delivery=7)["Message-ID"]


def test_bounces_come_back_to_an_address_that_names_the_delivery() -> None:
    reference = FACTORY.reference(255)
    assert reference.startswith("ff-")
    assert FACTORY.return_path(reference) == f"updates+bounce-{reference}@example.com"


def test_a_name_cannot_add_a_line_a_header_or_an_end_of_mail() -> None:
    mail = _mail("Dear {name},\nnews.", name="Zoë\r\n.\r\nBcc: all@example.org\x00")
    assert mail.get_content() == "Dear Zoë . Bcc: all@example.org,\r\nnews.\r\n"
    assert mail["Bcc"] is None


def test_a_name_is_never_read_as_a_slot() -> None:
    assert _mail("Dear {name}", name="{customer_number}").get_content() == "Dear {customer_number}\r\n"


def test_doubled_braces_are_braces() -> None:
    assert _mail(escape_slots("use {name} here") + " {name}", name="Zoë").get_content() == "use {name} here Zoë\r\n"


def test_long_subjects_in_any_script_survive_folding() -> None:
    subject = "Vlucht DL 1117 naar Curaçao – vertraagd " * 6 + "乗客の皆様"
    assert _mail("x", subject=subject)["Subject"] == subject


def test_unknown_slots_empty_texts_and_doubles_are_all_named_at_once() -> None:
    texts = [
        MessageText("mail", "en", "News", "Dear {nam}, your {reference}"),
        MessageText("mail", "nl", " \r\n", "x"),
        MessageText("mail", "nl", "Nieuws", "x"),
    ]
    assert [(fault.field, fault.message.split(".")[0]) for fault in faults_in(texts)] == [
        ("mail/en", "{nam} is not one of customer_number, name"),
        ("mail/en", "{reference} is not one of customer_number, name"),
        ("mail/nl", "The subject or the text is empty"),
        ("mail/nl", "There are two texts for this channel and language"),
    ]
    assert faults_in([]) != []


@pytest.mark.parametrize(
    "address",
    ["a@b", "zoe.o'neil+x@mail.example.org", "x" * 64 + "@example.org"],
)
def test_ordinary_addresses_are_sendable(address: str) -> None:
    assert is_sendable(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "a@", "@b", "a b@c", "a@b\n", "a@b\r\nRCPT TO:<c@d>"),
        *("<a@b>", "a@b>", "a@b,c@d", '"a"@b', "zoë@example.org", "x" * 65 + "@example.org", "a@" + "b" * 254),
    ],
)
def test_addresses_that_mean_something_else_in_smtp_are_not(address: str) -> None:
    assert not is_sendable(address)


def test_a_sender_that_cannot_stand_in_a_header_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="cannot be the sender"):
        MailFactory("a@b\r\nX: y", TOKENS)
