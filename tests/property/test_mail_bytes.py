"""Whatever people are called and whatever is written to them, a mail has our headers, that text, and nothing else."""

import email
import email.policy
import re
import unicodedata
from datetime import UTC, datetime
from email.message import EmailMessage
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.tokens import Tokens
from notify.channels.envelopes import Envelope, Extensions
from notify.mail import MailFactory, mail_date
from notify.messages import Message, escape_slots, is_sendable, one_line

TOKENS = Tokens([b"a signing key that only tests use"])
HEADERS = {
    *("From", "Subject", "List-Id", "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version", "Content-Language"),
    *("Content-Type", "To", "Date", "Message-ID", "Reply-To", "X-Stormdesk-Delivery"),
    *("List-Unsubscribe", "List-Unsubscribe-Post"),
}
_nasty = st.sampled_from(
    [
        *("\r\n.\r\n", "\n.\n", "\r.\r", ".", "..", "\r\nBcc: x@example.org\r\n\r\n", "\x00", "\x0b", "\x85", "\u2028"),
        *(
            "=?utf-8?q?=0A?=",
            "=0D=0A",
            "=\r\n",
            "= ",
            " \t",
            "From ",
            "--",
            "{name}",
            "{{",
            "\ud800",
            "\u202e",
            "🛫",
            *(
                "<b>",
                "</p>",
                "<!--",
                "<img src=x onerror=y>",
                "&lt;",
                "&",
                '"',
                "https://a.example/",
                ": https://b.example/?c&d",
                "--=_stormdesk",
            ),
            *("{heading}", "{footer}", "%(to)b", "%", "  "),
            "é",
        ),
    ]
)
_text = st.lists(_nasty | st.text(max_size=90), max_size=8).map("".join)
_lines = st.lists(_nasty | st.text(max_size=90) | st.just("\n"), max_size=12).map("".join)


def _visible(text: str) -> str:
    """What must be left of `text`: all but controls, broken surrogates, and what ends lines or turns the writing."""
    marks = {"\u2028", "\u2029", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
    kept = ("\n", "\t")
    return "".join(
        one for one in text if one in kept or (unicodedata.category(one) not in ("Cc", "Cs") and one not in marks)
    )


def _parsed(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


class _Seen(HTMLParser):
    """What a reader of HTML sees: text in blocks, and which tags made it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and not self.text.endswith(self.links[-1]):
            self.text += f": {self.links[-1]}"  # named by words; the text says both

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(deadline=None)  # a busy machine is no fault of the text
@given(subject=_text, body=_lines, name=_text, sender_name=_text, topic=_text, language=_text)
def test_nothing_breaks_out_of_its_place(  # noqa: PLR0917 (hypothesis passes by name)
    subject: str, body: str, name: str, sender_name: str, topic: str, language: str
) -> None:
    factory = MailFactory("updates@example.com", TOKENS, sender_name=sender_name, public_url="https://s.example.com")
    template = factory.template(Message(1, "incident:" + topic, language, subject, escape_slots(body) + "|{name}|"))
    raw = template.build(
        to="zoe@example.org",
        reference=factory.reference(1),
        slots={"name": name},
        date=mail_date(datetime(2026, 2, 8, tzinfo=UTC)),
    )
    mail = _parsed(raw)
    assert set(mail.keys()) == HEADERS
    assert len(mail.keys()) == len(HEADERS)
    assert not mail.defects
    assert mail["To"] == "zoe@example.org"
    assert mail["From"].addresses[0].addr_spec == "updates@example.com"
    assert _spaced(mail["Subject"]) == _spaced(one_line(subject))
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    for part in mail.iter_parts():
        assert not part.defects
        assert set(part.keys()) == {"Content-Type", "Content-Transfer-Encoding"}
    plain, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    text = _visible(re.sub("\r\n|\r", "\n", body))
    assert plain == f"{text}|{one_line(name)}|\n"
    _check_html(html, f"{text}|{one_line(name)}|", one_line(subject))


def _check_html(html: str, text: str, subject: str) -> None:
    """The document has our tags, loads nothing, and says the same words as the text."""
    seen = _Seen()
    seen.feed(html)
    seen.close()
    assert seen.tags <= {"html", "head", "meta", "title", "style", "body", "div", "p", "br", "a", "b", "bdi"}
    assert seen.attributes <= {"lang", "dir", "charset", "name", "content", "class", "href"}
    assert all(re.match("https?://", link) for link in seen.links)
    shown = seen.text.partition("</style>")[0] if "</style>" in seen.text else seen.text
    words = shown.rpartition("}\n}\n")[2]  # behind the style sheet
    assert re.sub(r"\s+", "", words) == re.sub(r"\s+", "", text)
    assert re.sub(r"\s+", "", subject) in re.sub(r"\s+", "", shown)


@settings(deadline=None)
@given(body=_lines, name=_text)
def test_no_line_of_a_mail_can_end_it_or_be_too_long_for_smtp(body: str, name: str) -> None:
    factory = MailFactory("updates@example.com", TOKENS, public_url="https://s.example.com")
    template = factory.template(
        Message(1, "incident:a", "en", "News", escape_slots(body) + "{name}" + escape_slots(body) + "{leave_url}")
    )
    raw = template.build(to="a@b.org", reference="1-x", slots={"name": name}, date="Sun, 08 Feb 2026 14:10:00 +0000")
    content = Envelope("x@example.com", "a@b.org", raw).content
    lines = content.split(b"\r\n")
    assert lines.pop() == b""
    # RFC 8058 section 4 forbids to fold the first, and the second is one address.
    assert all(len(line) <= 76 or line.startswith((b"List-Unsubscribe", b"Reply-To")) for line in lines)
    assert not any(line.startswith(b".") for line in lines)
    assert re.fullmatch(rb"[\t\r\n\x20-\x7e]*", content)
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\n" not in content.replace(b"\r\n", b"")


@given(_text, st.booleans())
def test_only_plain_addresses_reach_a_command(address: str, everything: bool) -> None:
    if is_sendable(address):
        offers = Extensions(pipelining=everything, dsn=everything, size=everything)
        opening = Envelope("x@example.com", address, b"", "1f-abc").opening(offers)
        assert opening.count(b"\r\n") == 3
        assert opening.count(b">") == 2
        assert opening.isascii()


def _spaced(text: str) -> str:
    # A parser may fold runs of blanks where a header was folded; the words must be the same.
    return " ".join(str(text).split())
