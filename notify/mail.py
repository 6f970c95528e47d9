"""Builds mail: once per message and language into bytes, then filled per recipient. Pure: no wires, no clock, no SQL.

A mail is plain text and HTML from one source (see `markup.py`), all of it 7 bit, so no server needs 8BITMIME. What
outsiders wrote (a customer's name) goes into the parts only, encoded; the headers hold our own text and addresses that
were checked. Everything that names the mail comes from the delivery's reference, so a second attempt is the same mail.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from foundation.tokens import Tokens
from notify.dkim import DkimKey, Field, Signer
from notify.html_part import html_parts
from notify.markup import Part, Slot, lines_of, one_line, plain_parts
from notify.messages import Message, is_news, is_plain_url, is_sendable
from notify.quoted import fragments, quoted_pieces
from notify.references import REFERENCE_LENGTH, References, check_code

# Names the delivery to whoever reports on it, when of the mail nothing is left but its headers.
TRACE_HEADER = "X-Stormdesk-Delivery"
# RFC 5321 section 4.5.3.1.1 allows 64 in all. Of the id of a delivery, 12 hexadecimal digits will do.
LONGEST_LOCAL_PART = 64 - len("+bounce-") - (REFERENCE_LENGTH - 4)

_PLAIN_HEADER = re.compile(r"(?!.*=\?)[!-~](?:[ -~]{0,66}[!-~])?")
# "=_" is never the outcome of quoted-printable, so no text can hold it (RFC 2045 section 6.7, last note).
_BOUNDARY = "=_stormdesk"


class MailFactory:
    """Makes templates and the addresses that go with them.

    `mail_from`: our address; `sender_name`: shown beside it; `public_url`: where people open our pages (without it mail
    has no way to unsubscribe); `dkim`: the keys that sign.
    """

    def __init__(
        self,
        mail_from: str,
        tokens: Tokens,
        *,
        sender_name: str = "",
        public_url: str = "",
        dkim: Sequence[DkimKey] = (),
    ) -> None:
        if not is_sendable(mail_from):
            raise ValueError(f"{mail_from!r} cannot be the sender of mail.")
        self._local, _, self._domain = mail_from.rpartition("@")
        if len(self._local) > LONGEST_LOCAL_PART:
            raise ValueError(f"{mail_from!r} has more than {LONGEST_LOCAL_PART} characters before the @.")
        name = one_line(sender_name)
        self._from = f"{_encoded_words('From', name)} <{mail_from}>" if name else mail_from
        if public_url and not is_plain_url(public_url):
            raise ValueError(f"{public_url!r} cannot stand in a mail.")
        self._tokens = tokens
        self._references = References(tokens)
        self._public_url = public_url
        self._dkim = tuple(dkim)

    def reference(self, delivery_id: int) -> str:
        """See `references.References.reference`."""
        return self._references.reference(delivery_id)

    def return_path(self, reference: str) -> str:
        """Where bounces of this delivery go. One mailbox serves all, by subaddressing (RFC 5233)."""
        return f"{self._local}+bounce-{reference}@{self._domain}"

    def envelope_id(self, reference: str) -> str:
        """The ENVID (RFC 3461 section 4.4) of this delivery. It has nothing that xtext would have to encode."""
        return reference

    def template(self, message: Message) -> "MailTemplate":
        """`message` in bytes, but for what differs per recipient."""
        language = re.sub("[^A-Za-z0-9-]", "", message.language) or "en"
        leave = f"{self._public_url}/u/"
        constants = {"check_code": check_code(self._tokens, message.id)}
        lines = lines_of(message.body, constants)
        title = one_line(message.subject)
        html = html_parts(lines, title=title, language=language, unbroken=constants["check_code"])
        body = _Body()
        body.add("text/plain", "", _with_tokens(plain_parts(message.body, constants), leave))
        body.add("text/html", "html ", _with_tokens(html, leave))
        body.end()
        return MailTemplate(self._fields(message, language, leave), body, self._references, self._dkim)

    def _fields(self, message: Message, language: str, leave: str) -> list[Field]:
        label = re.sub("[^a-z0-9]+", "-", message.topic.lower()).strip("-") or "updates"
        fixed = {
            "From": self._from,
            "Subject": _encoded_words("Subject", one_line(message.subject)),
            # RFC 3834: no out-of-office notes, please; the second header is for Exchange, which ignores the first.
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "MIME-Version": "1.0",
            "Content-Language": language,
            "Content-Type": f'multipart/alternative; boundary="{_BOUNDARY}"',
        }
        filled = {
            "To": "%(to)b",
            "Date": "%(date)b",
            "Message-ID": f"<%(reference)b@{self._domain}>",
            "Reply-To": f"{self._local}+%(reference)b@{self._domain}",
            TRACE_HEADER: "%(reference)b",
        }
        if is_news(message.topic):  # an answer in somebody's own case is no list, and cannot be left
            fixed["List-Id"] = f"<{label[:63].rstrip('-')}.{self._domain}>"
            if self._public_url:
                filled["List-Unsubscribe"] = f"<{leave.replace('%', '%%')}%(leave_url)b>"
            if self._public_url.startswith("https://"):  # RFC 8058 section 3.1: there is no one click without
                fixed["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return [
            *((name, value.replace("%", "%%").encode("ascii")) for name, value in fixed.items()),
            *((name, value.encode("ascii")) for name, value in filled.items()),
        ]


class MailTemplate:
    """One message in one language, ready for filling."""

    def __init__(self, fields: Sequence[Field], body: "_Body", references: References, keys: Sequence[DkimKey]) -> None:
        self._references = references
        self._slots = [(name, name.encode(), b"html " + name.encode()) for name in sorted(body.slots - {"leave_url"})]
        self._head = b"".join([b"%s: %s\r\n" % (name.encode(), value) for name, value in fields]) + b"\r\n"
        self._body = bytes(body.format)
        self._whole = self._head + self._body
        self._signer = Signer(keys, fields, self._body) if keys else None

    def build(self, *, to: str, reference: str, slots: Mapping[str, str], date: str) -> bytes:
        """The whole mail: CRLF line ends, no line that starts with a dot. `to` is sendable; `date` from `mail_date`."""
        leave = self._references.leave_token(reference).encode()
        values = {
            b"to": to.encode("ascii"),
            b"date": date.encode("ascii"),
            b"reference": reference.encode("ascii"),
            b"leave_url": leave,
            b"html leave_url": leave,
        }
        for name, in_text, in_html in self._slots:
            values[in_text], values[in_html] = fragments(slots.get(name, ""))
        if self._signer is None:
            return self._whole % values
        body = self._body % values
        return b"".join([self._signer.headers(values, body), self._head % values, body])


def mail_date(now: datetime) -> str:
    """`now` as RFC 5322 writes it."""
    return format_datetime(now)


class _Body:
    """The parts of a mail as one format, with a place for each slot."""

    def __init__(self) -> None:
        self.format = bytearray()
        self.slots: set[str] = set()

    def add(self, kind: str, prefix: str, parts: Iterable[Part]) -> None:
        """A part of type `kind`; its slots are filled with the values called `prefix` and their name."""
        self.format += (
            f'--{_BOUNDARY}\r\nContent-Type: {kind}; charset="utf-8"\r\n'
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        ).encode("ascii")
        for piece in quoted_pieces(parts):
            if isinstance(piece, Slot):
                self.slots.add(piece.name)
                self.format += f"%({prefix}{piece.name})b".encode("ascii")
            else:
                self.format += piece.replace(b"%", b"%%")
        self.format += b"\r\n"  # this line end belongs to the boundary behind it

    def end(self) -> None:
        self.format += f"--{_BOUNDARY}--\r\n".encode("ascii")


def _with_tokens(parts: Iterable[Part], leave: str) -> Iterator[Part]:
    """The start of the link that stops news is the same for all; only its token is filled in."""
    for part in parts:
        if isinstance(part, Slot) and part.name == "leave_url":
            yield leave
        yield part


def _encoded_words(header: str, text: str) -> str:
    """A header's value: as it is when short plain ASCII, else folded RFC 2047 encoded words."""
    if _PLAIN_HEADER.fullmatch(text) and (header != "From" or re.fullmatch("[A-Za-z0-9 ]+", text)):
        return text
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")
