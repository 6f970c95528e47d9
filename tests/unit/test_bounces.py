"""What mail that comes back is, by the shapes of many systems; and which delivery it is about."""

import pytest

from foundation.tokens import Tokens
from notify.bounces import Reading, delivery_of, read_mail
from notify.mime import parse as parse_mail
from notify.mime import text_of
from notify.references import delivery_reference
from notify.severity import severity
from tests.support.mails import NAMES, mail

DELIVERY = 4711

# name: (what it is, its status)
EXPECTED = {
    "postfix-unknown-user": ("hard_bounce", "5.1.1"),
    "postfix-delayed": ("delayed", "4.4.1"),
    "postfix-relayed": ("delayed", "2.0.0"),
    "postfix-delivered": ("delivered", "2.0.0"),
    "postfix-expired": ("soft_bounce", "4.4.1"),
    "postfix-host-not-found": ("hard_bounce", "5.4.4"),
    "sendmail-unknown-user": ("hard_bounce", "5.1.1"),
    "sendmail-warning": ("delayed", "4.2.2"),
    "exchange-online-not-found": ("hard_bounce", "5.1.10"),
    "exchange-policy": ("soft_bounce", "5.7.1"),
    "exchange-edge-access-denied": ("hard_bounce", "5.4.1"),
    "gmail-not-exist": ("hard_bounce", "5.1.1"),
    "gmail-over-quota": ("soft_bounce", "5.2.2"),
    "yahoo-no-account": ("hard_bounce", None),
    "qmail-no-mailbox": ("hard_bounce", None),
    "exim-unrouteable": ("hard_bounce", None),
    "exim-dsn-quota": ("soft_bounce", "5.0.0"),
    "exim-warning": ("delayed", None),
    "isp-german-dsn": ("hard_bounce", "5.0.0"),
    "isp-dutch-disabled": ("hard_bounce", "5.2.1"),
    "isp-spam-block": ("soft_bounce", "5.0.0"),
    "smtputf8-global": ("hard_bounce", "5.1.1"),
    "expanded-list": ("delivered", "2.0.0"),
    "alias-one-of-two-gone": ("soft_bounce", "5.2.2"),
    "stripped-status-base64": ("hard_bounce", "5.1.1"),
    "away-en": ("auto_reply", None),
    "away-nl": ("auto_reply", None),
    "away-de": ("auto_reply", None),
    "away-fr": ("auto_reply", None),
    "away-es": ("auto_reply", None),
    "away-unix-vacation": ("auto_reply", None),
    "arf-provider-one": ("complaint", None),
    "arf-provider-two": ("complaint", None),
    "arf-not-spam": ("unreadable", None),
    "read-receipt": ("unreadable", None),
    "list-digest": ("unreadable", None),
    "reply-gmail": ("reply", None),
    "reply-outlook-html-only": ("reply", None),
}


def read(name: str, tokens: Tokens, *, recipient: str = "") -> Reading:
    person = name.startswith(("away", "reply", "list", "read"))
    return read_mail(mail(name, tokens, DELIVERY), sender="anna@example.org" if person else "", recipient=recipient)


def test_the_corpus_is_all_spoken_of() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_it_is(tokens: Tokens, name: str) -> None:
    reading = read(name, tokens, recipient="updates@example.com")
    assert (reading.kind, reading.status) == EXPECTED[name]
    assert reading.text
    assert len(reading.text) <= 500
    assert "\n" not in reading.text


@pytest.mark.parametrize("name", NAMES)
def test_the_address_it_came_to_names_the_delivery_before_anything_inside(tokens: Tokens, name: str) -> None:
    address = f"updates+bounce-{delivery_reference(tokens, 99)}@example.com"
    assert delivery_of(tokens, read(name, tokens, recipient=address)) == 99


# These hold nothing of ours but the address they came to.
_BARE = {"stripped-status-base64", "list-digest", "exim-warning", "away-de", "away-en", "away-es", "away-fr", "away-nl"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - _BARE - {"away-unix-vacation", "reply-outlook-html-only"}))
def test_what_is_inside_names_the_delivery_where_the_address_does_not(tokens: Tokens, name: str) -> None:
    """Some bounces go to From or to a mailbox of the relay: the envelope id, or our headers in what came back."""
    assert delivery_of(tokens, read(name, tokens, recipient="updates@example.com")) == DELIVERY


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_that_is_not_ours_names_nothing(tokens: Tokens, name: str) -> None:
    forged = mail(name, Tokens([b"the signing key of somebody else, who forges"]), DELIVERY)
    assert delivery_of(tokens, read_mail(forged, sender="", recipient="updates@example.com")) is None


def test_the_envelope_id_counts_before_the_message_that_was_returned(tokens: Tokens) -> None:
    raw = mail("postfix-unknown-user", tokens, DELIVERY)
    ours, other = (delivery_reference(tokens, one).encode() for one in (DELIVERY, 99))
    raw = raw.replace(b"Original-Envelope-Id: " + ours, b"Original-Envelope-Id: " + other.replace(b"-", b"+2D"))
    assert delivery_of(tokens, read_mail(raw, sender="", recipient="")) == 99


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        ("5.1.1", "550 5.1.1 user unknown", "hard_bounce"),
        ("5.1.1", "user unknown; see our spam policy", "hard_bounce"),
        ("5.1.2", "bad destination system", "hard_bounce"),
        ("4.1.1", "user unknown, says a server that may be wrong", "soft_bounce"),
        ("5.2.2", "over quota", "soft_bounce"),
        ("5.1.1", "mailbox is full", "soft_bounce"),
        ("5.0.0", "Postfach ist voll", "soft_bounce"),
        ("5.7.1", "blocked by policy", "soft_bounce"),
        ("5.7.1", "no reason given", "soft_bounce"),
        ("5.3.4", "message too big", "soft_bounce"),
        ("5.0.0", "550 5.1.1 <a@b>: no", "hard_bounce"),
        (None, "550 No such user here", "hard_bounce"),
        (None, "554 rejected", "soft_bounce"),
        ("5.5.0", "550 5.5.0 Requested action not taken: mailbox unavailable", "hard_bounce"),
        ("5.7.1", "Service unavailable; client blocked using a DNSBL; user unknown", "soft_bounce"),
    ],
)
def test_an_address_is_given_up_only_for_what_is_wrong_with_itself(status: str | None, words: str, kind: str) -> None:
    assert severity(status, words) == kind


def test_the_code_counts_that_the_status_says_and_not_one_quoted_in_the_words(tokens: Tokens) -> None:
    raw = mail("postfix-delayed", tokens, DELIVERY).replace(b"THIS IS A WARNING ONLY.", b"550 5.1.1 user unknown")
    assert read_mail(raw, sender="", recipient="").kind == "delayed"


def test_a_person_who_quotes_a_bounce_is_still_a_person(tokens: Tokens) -> None:
    raw = mail("reply-gmail", tokens, DELIVERY).replace(b"May I have", b"550 5.1.1 User unknown\r\nMay I have")
    assert read_mail(raw, sender="zoe@mail.example", recipient="").kind == "reply"


def test_mail_without_a_return_path_is_never_taken_for_a_persons(tokens: Tokens) -> None:
    assert read_mail(mail("reply-gmail", tokens, DELIVERY), sender="", recipient="").kind == "unreadable"


def test_the_words_of_a_mail(tokens: Tokens) -> None:
    plain = text_of(parse_mail(mail("reply-gmail", tokens, DELIVERY)))
    assert "Mailbox full of worries, user unknown to me." in plain
    assert "> Your flight is cancelled." in plain, "what is quoted stays in"
    html = text_of(parse_mail(mail("reply-outlook-html-only", tokens, DELIVERY)))
    assert html == "Graag mijn geld terug, café op Schiphol: € 12.\n\nGroet, Anna"
