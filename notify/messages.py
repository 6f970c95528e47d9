"""Builds mail: once per message and language into bytes, then spliced per recipient. Pure: no wires, no clock, no SQL.

Everything is 7 bit (quoted-printable), so no server needs 8BITMIME. What outsiders wrote (a customer's name) goes into
the body only, encoded; the headers hold our own text and addresses that were checked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.quoprimime import body_encode
from email.utils import format_datetime
from typing import Literal

from foundation.errors import Fault
from foundation.tokens import Tokens
from notify.references import delivery_reference

ChannelName = Literal["mail", "sms"]

SLOTS = frozenset({"name", "customer_number"})

_SLOT = re.compile(r"\{\{|\}\}|\{([a-z_]+)\}")
# Controls (C0, DEL, C1), lone surrogates, the separators that some programs take for a line end, and the marks that
# turn the direction of writing and so could make one thing read as another.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_END = re.compile("\r\n|\r|\n")
_BLANK = re.compile(r"[\r\n\t]+")
_PLAIN_FRAGMENT = re.compile(rb"(?!\.)[ -<>-~]{0,72}")
_OPENING_DOT = re.compile(rb"(?m)^\.")
_PLAIN_HEADER = re.compile(r"(?!.*=\?)[!-~](?:[ -~]{0,66}[!-~])?")
# Printable ASCII without blanks, quotes, angle brackets, commas: nothing that means something in SMTP or in a header.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
# RFC 2045 section 6.7 allows 76; one is kept for the soft break beside a slot, and two for a dot that opens a line.
_LINE_LENGTH = 73
_SOFT_BREAK = b"=\r\n"


@dataclass(frozen=True, slots=True)
class MessageText:
    """The text of one dispatch for one channel and language. `body`: plain text with slots such as {name}.

    A brace that is meant as a brace is doubled; `escape_slots` does that.
    """

    channel: ChannelName
    language: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Message:
    """A stored `MessageText`, as a channel sees it."""

    id: int
    topic: str
    language: str
    subject: str
    body: str


def escape_slots(text: str) -> str:
    """`text` as it must stand in a body to be read as it is, braces included."""
    return text.replace("{", "{{").replace("}", "}}")


def faults_in(texts: Sequence[MessageText]) -> list[Fault]:
    """What is wrong with the texts of a dispatch, each named by channel and language. Empty when all is well."""
    faults = [] if texts else [Fault("messages", "There is no text to send.")]
    for index, text in enumerate(texts):
        place = f"{text.channel}/{text.language}"
        if any((text.channel, text.language) == (other.channel, other.language) for other in texts[:index]):
            faults.append(Fault(place, "There are two texts for this channel and language."))
        if not text.body.strip() or (text.channel == "mail" and not one_line(text.subject)):
            faults.append(Fault(place, "The subject or the text is empty."))
        unknown = sorted({slot for slot in _slots(text.body) if slot not in SLOTS})
        faults += [Fault(place, f"{{{slot}}} is not one of {', '.join(sorted(SLOTS))}.") for slot in unknown]
    return faults


def one_line(text: str) -> str:
    """`text` without line ends or controls, fit for a header or the middle of a line."""
    return _CONTROLS.sub("", _BLANK.sub(" ", text)).strip()


def is_sendable(address: str) -> bool:
    """Whether `address` can stand in an SMTP command and a header as it is (ASCII; SMTPUTF8 is not asked for)."""
    return len(address) <= 254 and _ADDRESS.fullmatch(address) is not None


class MailFactory:
    """Makes templates and the addresses that go with them. `mail_from`: our address; `sender_name`: shown beside it."""

    def __init__(self, mail_from: str, tokens: Tokens, *, sender_name: str = "") -> None:
        if not is_sendable(mail_from):
            raise ValueError(f"{mail_from!r} cannot be the sender of mail.")
        self._local, _, self._domain = mail_from.rpartition("@")
        name = one_line(sender_name)
        self._from = f"{_encoded_words('From', name)} <{mail_from}>" if name else mail_from
        self._tokens = tokens

    def reference(self, delivery_id: int) -> str:
        return delivery_reference(self._tokens, delivery_id)

    def return_path(self, reference: str) -> str:
        """Where bounces of this delivery go. One mailbox serves all, by subaddressing (RFC 5233)."""
        return f"{self._local}+bounce-{reference}@{self._domain}"

    def template(self, message: Message) -> "MailTemplate":
        """`message` in bytes, but for what differs per recipient."""
        label = re.sub("[^a-z0-9]+", "-", message.topic.lower()).strip("-") or "updates"
        headers = (
            f"From: {self._from}",
            f"Subject: {_encoded_words('Subject', one_line(message.subject))}",
            f"List-Id: <{label[:63]}.{self._domain}>",
            # RFC 3834: no out-of-office notes, please; the second header is for Exchange, which ignores the first.
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: All",
            "MIME-Version: 1.0",
            f"Content-Language: {re.sub('[^A-Za-z0-9-]', '', message.language) or 'en'}",
            'Content-Type: text/plain; charset="utf-8"',
            "Content-Transfer-Encoding: quoted-printable",
        )
        return MailTemplate("\r\n".join(headers).encode("ascii"), message.body, self._local, self._domain)


class MailTemplate:
    """One message in one language, ready for splicing."""

    def __init__(self, headers: bytes, body: str, local: str, domain: str) -> None:
        self._opening = headers + b"\r\nTo: "
        self._local, self._domain = local, domain
        self._pieces: list[bytes] = []
        self._slots: list[str] = []
        text = b""
        for part in _parts(_clean(body).rstrip("\n") + "\n"):
            if isinstance(part, _Slot):
                self._pieces.append(text + _SOFT_BREAK)
                self._slots.append(part.slot)
                text = _SOFT_BREAK
            else:
                text += _quoted_printable(part)
        self._pieces.append(text)

    def build(self, *, to: str, reference: str, slots: Mapping[str, str], date: str) -> bytes:
        """The whole mail: CRLF line ends, no line that starts with a dot. `to` is sendable; `date` from `mail_date`."""
        headers = (
            f"{to}\r\nDate: {date}\r\nMessage-ID: <{reference}@{self._domain}>\r\n"
            f"Reply-To: {self._local}+{reference}@{self._domain}\r\n\r\n"
        )
        parts = [self._opening, headers.encode("ascii"), self._pieces[0]]
        for slot, piece in zip(self._slots, self._pieces[1:], strict=True):
            parts.append(_fragment(slots.get(slot, "")))
            parts.append(piece)
        return b"".join(parts)


def mail_date(now: datetime) -> str:
    """`now` as RFC 5322 writes it."""
    return format_datetime(now)


@dataclass(frozen=True, slots=True)
class _Slot:
    slot: str


def _slots(body: str) -> Iterator[str]:
    return (match[1] for match in _SLOT.finditer(body) if match[1])


def _parts(body: str) -> Iterator[str | _Slot]:
    """Text and slots in turn. A slot off the allow-list stays text: it is refused before anything is stored."""
    text, position = "", 0
    for match in _SLOT.finditer(body):
        text += body[position : match.start()]
        position = match.end()
        if match[1] in SLOTS:
            yield text
            yield _Slot(match[1])
            text = ""
        else:
            text += match[0] if match[1] else match[0][0]
    yield text + body[position:]


def _clean(body: str) -> str:
    return _CONTROLS.sub("", _LINE_END.sub("\n", body))


def _quoted_printable(text: str) -> bytes:
    """`text` encoded, to stand at the start of a line. Opening dots are encoded too, so SMTP has none to double."""
    if not text:
        return b""
    # body_encode wants one character for each byte.
    encoded = body_encode(text.encode().decode("latin-1"), _LINE_LENGTH, eol="\r\n").encode("ascii")
    return _OPENING_DOT.sub(b"=2E", encoded)


def _fragment(value: str) -> bytes:
    """A slot's value, encoded to stand on lines of its own between soft breaks."""
    text = one_line(value)
    if text.isascii():
        raw = text.encode()
        if _PLAIN_FRAGMENT.fullmatch(raw):  # nine names in ten: nothing to encode, nothing to fold
            return raw
    return _quoted_printable(text)


def _encoded_words(header: str, text: str) -> str:
    """A header's value: as it is when short plain ASCII, else folded RFC 2047 encoded words."""
    if _PLAIN_HEADER.fullmatch(text) and (header != "From" or re.fullmatch("[A-Za-z0-9 ]+", text)):
        return text
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")
