"""Mail in bytes, as a receiver reads it."""

import email
import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import cast

import pytest

from foundation.tokens import Tokens
from notify.mail import LONGEST_LOCAL_PART, MailFactory, mail_date
from notify.markup import escape_slots
from notify.messages import Message
from notify.references import (
    References,
    check_code,
    delivery_reference,
    read_check_code,
    read_leave_token,
    read_reference,
)

TOKENS = Tokens([b"a signing key that only tests use"])
FACTORY = MailFactory("updates@example.com", TOKENS, sender_name="Northwind Air", public_url="https://s.example.com")
DATE = mail_date(datetime(2026, 2, 8, 14, 10, tzinfo=UTC))


def _mail(
    body: str,
    *,
    subject: str = "Flight DL 1117",
    delivery: int = 7,
    topic: str = "incident:ab12",
    language: str = "nl",
    factory: MailFactory = FACTORY,
    **slots: str,
) -> EmailMessage:
    template = factory.template(Message(1, topic, language, subject, body))
    raw = template.build(to="zoe@example.org", reference=factory.reference(delivery), slots=slots, date=DATE)
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return cast(str, part.get_content()).replace("\r\n", "\n")


def _html(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return cast(str, part.get_content()).replace("\r\n", "\n")


def test_the_headers_say_who_what_when_and_that_no_machine_should_answer() -> None:
    mail = _mail("Hello {name}", name="Zoë")
    reference = delivery_reference(TOKENS, 7)
    token = References(TOKENS).leave_token(reference)
    assert dict(mail.items()) == {
        "From": "Northwind Air <updates@example.com>",
        "To": "zoe@example.org",
        "Subject": "Flight DL 1117",
        "Date": "Sun, 08 Feb 2026 14:10:00 +0000",
        "Message-ID": f"<{reference}@example.com>",
        "Reply-To": f"updates+{reference}@example.com",
        "X-Stormdesk-Delivery": reference,
        "List-Id": "<incident-ab12.example.com>",
        "List-Unsubscribe": f"<https://s.example.com/u/{token}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "MIME-Version": "1.0",
        "Content-Language": "nl",
        "Content-Type": 'multipart/alternative; boundary="=_stormdesk"',
    }


def test_every_name_of_a_mail_leads_back_to_its_delivery() -> None:
    mail = _mail("x", delivery=255)
    reference = FACTORY.reference(255)
    places = [mail["Message-ID"], mail["Reply-To"], mail["X-Stormdesk-Delivery"]]
    places += [FACTORY.return_path(reference), FACTORY.envelope_id(reference)]
    assert [read_reference(TOKENS, place) for place in places] == [255] * 5
    link = re.fullmatch("<https://s.example.com/u/(.+)>", mail["List-Unsubscribe"])
    assert link is not None
    assert read_leave_token(TOKENS, link[1]) == 255


def test_an_answer_in_somebodys_own_case_is_no_list_and_cannot_be_left() -> None:
    mail = _mail("x", topic="case:C-1")
    assert not [name for name in mail if name.startswith("List-")]
    assert mail["Reply-To"]


def test_one_click_is_offered_over_https_only() -> None:
    mail = _mail("x", factory=MailFactory("updates@example.com", TOKENS, public_url="http://127.0.0.1:8080"))
    assert mail["List-Unsubscribe"].startswith("<http://127.0.0.1:8080/u/")
    assert mail["List-Unsubscribe-Post"] is None


def test_each_recipient_finds_their_own_name_in_both_parts() -> None:
    mail = _mail("Dear {name} ({customer_number}),\nnews.", name="Zoë", customer_number="C7")
    assert _text(mail) == "Dear Zoë (C7),\nnews.\n"
    assert "<p>Dear <bdi>Zoë</bdi> (<bdi>C7</bdi>),<br>\nnews.</p>" in _html(mail)


def test_a_second_attempt_carries_the_same_message_id_and_another_delivery_another() -> None:
    assert _mail("x", delivery=7)["Message-ID"] == _mail("y", delivery=7)["Message-ID"]
    assert _mail("x", delivery=8)["Message-ID"] != _mail("x", delivery=7)["Message-ID"]


def test_bounces_come_back_to_an_address_that_names_the_delivery() -> None:
    reference = FACTORY.reference(255)
    assert reference.startswith("ff-")
    assert FACTORY.return_path(reference) == f"updates+bounce-{reference}@example.com"


def test_a_name_cannot_add_a_line_a_header_or_an_end_of_mail() -> None:
    mail = _mail("Dear {name},\nnews.", name="Zoë\r\n.\r\nBcc: all@example.org\x00")
    assert _text(mail) == "Dear Zoë . Bcc: all@example.org,\nnews.\n"
    assert mail["Bcc"] is None


def test_a_name_is_never_markup() -> None:
    mail = _mail("Dear {name}", name='<b onclick=x>Zoë</b> & "co" https://evil.example/')
    assert (
        "<p>Dear <bdi>&lt;b onclick=x&gt;Zoë&lt;/b&gt; &amp; &quot;co&quot; https://evil.example/</bdi></p>"
        in _html(mail)
    )
    assert _text(mail) == 'Dear <b onclick=x>Zoë</b> & "co" https://evil.example/\n'


def test_a_name_is_never_read_as_a_slot() -> None:
    assert _text(_mail("Dear {name}", name="{customer_number}")) == "Dear {customer_number}\n"
    assert _text(_mail("{name}", name="%(to)b %s {heading}")) == "%(to)b %s {heading}\n"


def test_doubled_braces_are_braces() -> None:
    assert _text(_mail(escape_slots("use {name} here") + " {name}", name="Zoë")) == "use {name} here Zoë\n"
    assert _text(_mail(escape_slots("{heading}x\n{footer}"))) == "{heading}x\n{footer}\n"


def test_a_percent_sign_is_a_percent_sign() -> None:
    mail = _mail("100% (50%%) %(name)b", subject="100% sure %(to)b")
    assert _text(mail) == "100% (50%%) %(name)b\n"
    assert mail["Subject"] == "100% sure %(to)b"


def test_long_subjects_in_any_script_survive_folding() -> None:
    subject = "Vlucht DL 1117 naar Curaçao – vertraagd " * 6 + "乗客の皆様"
    assert _mail("x", subject=subject)["Subject"] == subject


def test_headings_paragraphs_links_and_small_print_come_from_the_one_text() -> None:
    body = (
        "Hello {name},\n\n{heading}Delayed\n\nYour flight\nis late.\n\n\n{heading}What now?\n"
        "Look (https://s.example.com/i?a=1&b=2).\n\n{footer}\nStop: {leave_url}\n\n\n"
    )
    mail = _mail(body, name="Zoë")
    link = mail["List-Unsubscribe"].strip("<>")
    assert _text(mail) == (
        "Hello Zoë,\n\nDelayed\n\nYour flight\nis late.\n\n\nWhat now?\n"
        f"Look (https://s.example.com/i?a=1&b=2).\n\n---\nStop: {link}\n"
    )
    inner = _html(mail).partition('dir="ltr">\n<p>')[2]
    assert inner == (
        "Hello <bdi>Zoë</bdi>,</p>\n<h1>Delayed</h1>\n<p>Your flight<br>\nis late.</p>\n<h2>What now?</h2>\n"
        '<p>Look (<a href="https://s.example.com/i?a=1&amp;b=2">https://s.example.com/i?a=1&amp;b=2</a>).</p>\n'
        f'<div class="foot">\n<p><a href="{link}">Stop</a></p>\n</div>\n</div>\n</body>\n</html>\n'
    )


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("The news: https://a.example/x", '<a href="https://a.example/x">The news</a>'),
        ("Late? Tell us, here: https://a.example/?a&b", 'Late? <a href="https://a.example/?a&amp;b">Tell us, here</a>'),
        ("Hi {name}. Stop: {leave_url}", 'Hi <bdi>Zoë</bdi>. <a href="LINK">Stop</a>'),
        ("{name}: {leave_url}", '<bdi>Zoë</bdi>: <a href="LINK">LINK</a>'),
        ("{name} : https://a.example", '<bdi>Zoë</bdi> : <a href="https://a.example">https://a.example</a>'),
        ("{leave_url}", '<a href="LINK">LINK</a>'),
        ("Stop {leave_url} now", 'Stop <a href="LINK">LINK</a> now'),
        ("See: https://a.example/x.", 'See: <a href="https://a.example/x">https://a.example/x</a>.'),
        ("https://a.example/", '<a href="https://a.example/">https://a.example/</a>'),
        (
            "http://a.example or: http://b.example",
            '<a href="http://a.example">http://a.example</a> or: <a href="http://b.example">http://b.example</a>',
        ),
    ],
)
def test_a_link_is_named_by_the_words_before_its_colon(line: str, html: str) -> None:
    mail = _mail(line, name="Zoë")
    assert f"<p>{html}</p>".replace("LINK", mail["List-Unsubscribe"].strip("<>")) in _html(mail)


def test_an_address_that_runs_into_a_name_is_no_link() -> None:
    html = _html(_mail("See https://a.example/{name} or https://b.example/", name="x"))
    assert re.findall('href="([^"]*)"', html) == ["https://b.example/"]


def test_the_code_to_check_the_message_stands_in_text_and_links() -> None:
    code = check_code(TOKENS, 1)
    mail = _mail("Code {check_code}. Look: https://s.example.com/check?code={check_code}")
    assert read_check_code(TOKENS, code) == 1
    assert _text(mail) == f"Code {code}. Look: https://s.example.com/check?code={code}\n"
    assert f'<p>Code <b>{code}</b>. <a href="https://s.example.com/check?code={code}">Look</a>' in _html(mail)


@pytest.mark.parametrize(("language", "facing"), [("en", "ltr"), ("nl-BE", "ltr"), ("ar", "rtl"), ("he-IL", "rtl")])
def test_the_html_says_its_language_and_direction_where_any_program_keeps_it(language: str, facing: str) -> None:
    html = _html(_mail("x", language=language))
    assert f'<html lang="{language}" dir="{facing}">' in html
    assert f'<div class="mail" lang="{language}" dir="{facing}">' in html


def test_the_html_loads_nothing_and_runs_nothing() -> None:
    html = _html(_mail("x {name} {leave_url}"))
    assert not re.search(r"<(img|script|link|iframe|object|form)|url\(|@import|\ssrc=|\son[a-z]+=", html)


def test_a_sender_that_cannot_stand_in_a_header_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="cannot be the sender"):
        MailFactory("a@b\r\nX: y", TOKENS)
    with pytest.raises(ValueError, match="cannot stand in a mail"):
        MailFactory("a@b", TOKENS, public_url="https://s.example.com/>\r\nX: y")


def test_what_names_a_delivery_always_fits_before_the_at() -> None:
    factory = MailFactory("x" * LONGEST_LOCAL_PART + "@b.example", TOKENS)
    path = factory.return_path(factory.reference(2**47))
    assert path.index("@") == 64
    with pytest.raises(ValueError, match="characters before the @"):
        MailFactory("x" * (LONGEST_LOCAL_PART + 1) + "@b.example", TOKENS)
