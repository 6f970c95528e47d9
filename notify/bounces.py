"""Reads a mail that came back: a report on a delivery, a complaint, a machine's answer, or a person's. Pure.

By structure first: the delivery-status part of RFC 3464 (and RFC 6533), the feedback-report of RFC 5965. Then by
flufl.bounce, which knows the bounces of systems that follow neither. What each code means for an address stands in
`_severity`. Whatever the bytes are, this ends soon and never raises.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Literal

from flufl.bounce import all_failures

from foundation.tokens import Tokens
from notify import mime
from notify.autoreplies import is_automatic, is_from_a_list, is_from_a_mailer, says_away
from notify.references import read_reference
from notify.reports import Kind
from notify.severity import severity, worst

# It logs the mails that confuse it, and they are written by strangers.
logging.getLogger("flufl.bounce").disabled = True

What = Literal["reply"] | Kind


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mail is. `traces`: texts that may name the delivery it is about, the surest first.

    `status`: as RFC 3463 writes it; `text`: what it said, for people, on one line.
    """

    kind: What
    status: str | None
    text: str
    traces: Sequence[str]


def read_mail(raw: bytes, *, sender: str, recipient: str) -> Reading:
    """What the mail `raw` is. `sender`: its return path, empty for none; `recipient`: our address it came to."""
    mail = mime.parse(raw)
    found = _status_report(mail) or _complaint(mail) or _other(mail, sender=sender, recipient=recipient)
    return Reading(found.kind, found.status, found.text[:_LONGEST_TEXT], (recipient, *found.traces))


def delivery_of(tokens: Tokens, reading: Reading) -> int | None:
    """The delivery a mail is about, by the first of its traces that one of our keys vouches for."""
    found = (read_reference(tokens, trace) for trace in reading.traces)
    return next((one for one in found if one is not None), None)


_LONGEST_TEXT = 500
# Fields and lines of a bounce that name the message it is about, as we wrote them into it.
_OUR_FIELDS = ("message-id", "x-stormdesk-delivery", "return-path", "reply-to")
_OUR_LINES = re.compile(
    r"(?im)^[>\s|]{0,20}(?:message-id|x-stormdesk-[a-z-]{1,30}|return-path|reply-to)\s*:[^\n]{1,500}"
)
_MOST_TRACES = 20


# --- RFC 3464 -------------------------------------------------------------------------------------------------------

Block = Mapping[str, str]

_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_XTEXT = re.compile(r"\+([0-9A-Fa-f]{2})")


def _status_report(mail: Message) -> Reading | None:
    # The first counts: a status part further in belongs to a bounce that was sent back in its turn.
    part = next((one for one in mime.parts(mail) if mime.content_type(one) in _STATUS_TYPES), None)
    if part is None:
        return None
    blocks = _blocks(part)
    about = [block for block in blocks if "action" in block or "final-recipient" in block or "status" in block]
    envelope = [_xtext(block["original-envelope-id"]) for block in blocks if "original-envelope-id" in block]
    verdicts = [verdict for block in about if (verdict := _verdict(block)) is not None]
    if not verdicts:
        return None
    kind, status, text = worst(verdicts)
    return Reading(kind, status, text or mime.one_line(mime.text_of(mail)), (*envelope, *_returned(mail)))


def _verdict(block: Block) -> tuple[Kind, str | None, str] | None:
    action = block.get("action", "").strip().lower().split(" ")[0].strip(";")
    status, diagnostic = _code(block.get("status", "")), block.get("diagnostic-code", "")
    text = mime.one_line(diagnostic.partition(";")[2] or diagnostic)
    if action in ("delivered", "expanded"):
        return "delivered", status, text
    if action in ("delayed", "relayed"):
        # Not there yet, or handed on to where no report comes from: nothing has been decided.
        return "delayed", status, text
    if action == "failed" or (not action and status and status[0] in "45"):
        if not action and status and status[0] == "4":
            return "delayed", status, text
        return severity(status, text), status, text
    return None


_CODE = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?!\d)")


def _code(text: str) -> str | None:
    found = _CODE.match(text.strip())
    return found[1] if found else None


def _blocks(part: Message) -> list[Block]:
    """The blocks of fields in a status part, with names in lower case: the message's, then one for each recipient."""
    blocks: list[Block] = []
    for inner in mime.children(part):
        blocks.append({name.lower(): mime.header_text(value) for name, value in inner.items()[:50]})
        # Only `message/delivery-status` is known to the parser to be made of blocks; elsewhere the rest is text.
        blocks += _blocks_in(mime.body(inner))
    found = [block for block in blocks or _blocks_in(mime.body(part)) if block]
    return (found or [block for block in _blocks_in(_encoded_all_the_same(part)) if block])[:50]


def _encoded_all_the_same(part: Message) -> str:
    """The text of a status part that some gateway has put into base64, which RFC 2046 section 5.2 forbids."""
    encoding = mime.header(part, "Content-Transfer-Encoding")[:40]
    lines = "\n".join(mime.body(inner) for inner in mime.children(part))
    copy = f"Content-Transfer-Encoding: {encoding}\n\n{lines}" if encoding else ""
    return mime.body(mime.parse(copy.encode("ascii", "replace")))


_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:[ \t]*(.*)")


def _blocks_in(text: str) -> list[Block]:
    blocks: list[Block] = []
    for paragraph in text[:65_536].split("\n\n"):
        lines = re.sub(r"\n[ \t]+", " ", paragraph).split("\n")
        fields = [found for line in lines[:50] if (found := _FIELD.match(line[:2000]))]
        blocks.append({found[1].lower(): mime.header_text(found[2]) for found in fields})
    return blocks


def _xtext(text: str) -> str:
    """An ENVID as we gave it: RFC 3461 section 4 writes some characters as +XX."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


# --- the message that was returned ----------------------------------------------------------------------------------

_HEADER_TYPES = frozenset({"text/rfc822-headers", "text/rfc822-header", "message/global-headers"})
_MESSAGE_TYPES = frozenset({"message/rfc822", "message/global", "message/partial"})


def _returned(mail: Message) -> tuple[str, ...]:
    """What names our message in the copy of it, or of its headers, that came back; by field, the surest first."""
    found: list[str] = []
    for part in mime.parts(mail):
        kind = mime.content_type(part)
        if kind in _MESSAGE_TYPES or kind == "message/global-headers":
            for inner in mime.children(part):
                found += _fields(inner)
        if kind in _HEADER_TYPES:
            found += _fields(mime.parse(mime.body(part).encode("utf-8", "replace")))
    return tuple(dict.fromkeys([*found, *_named_in(mail)]))[:_MOST_TRACES]


def _fields(inner: Message) -> list[str]:
    return [text for name in _OUR_FIELDS if (text := mime.header(inner, name))]


def _named_in(mail: Message) -> Iterator[str]:
    """Lines in the text that look like headers of ours: many systems copy the headers into their words."""
    for part in mime.parts(mail):
        if part.get_content_maintype() == "text":
            yield from (found[0] for found in _OUR_LINES.finditer(mime.body(part)[:65_536]))


# --- RFC 5965 -------------------------------------------------------------------------------------------------------


def _complaint(mail: Message) -> Reading | None:
    part = next((one for one in mime.parts(mail) if mime.content_type(one) == "message/feedback-report"), None)
    if part is None:
        return None
    blocks = _blocks(part)
    fields: Block = {name: value for block in blocks for name, value in block.items()}
    about = fields.get("feedback-type", "").strip().lower() or "abuse"
    envelope = [_xtext(fields[name]) for name in ("original-envelope-id", "original-mail-from") if name in fields]
    traces = (*envelope, *_returned(mail))
    if about in ("not-spam", "auth-failure", "dmarc", "virus"):  # about us or about others, but nobody's complaint
        return Reading("unreadable", None, f"feedback: {about}", traces)
    return Reading("complaint", None, f"feedback: {about}", traces)


# --- everything else ------------------------------------------------------------------------------------------------


def _other(mail: Message, *, sender: str, recipient: str) -> Reading:
    text = mime.one_line(f"{mime.header(mail, 'Subject')}: {mime.text_of(mail)[:4000]}")
    machine = sender in ("", "<>") or "bounce-" in recipient.lower() or is_from_a_mailer(mail)
    machine = machine or "postmaster" in mime.header(mail, "From").lower()
    if says_away(mail):
        return Reading("auto_reply", None, text, _returned(mail))
    if machine and (found := _heuristic(mail)):
        return found
    if is_automatic(mail):
        return Reading("auto_reply", None, text, _returned(mail))
    if sender in ("", "<>") or is_from_a_mailer(mail) or is_from_a_list(mail):
        return Reading("unreadable", None, text, _returned(mail))
    return Reading("reply", None, text, _threads(mail))


def _threads(mail: Message) -> tuple[str, ...]:
    return tuple(text for name in ("In-Reply-To", "References") if (text := mime.header(mail, name)))


def _heuristic(mail: Message) -> Reading | None:
    """What flufl.bounce makes of it. It reads a short plain copy, so that its patterns meet nothing they choke on."""
    words = mime.text_of(mail)[:_HEURISTIC_SIZE]
    temporary, permanent = _scanned(_plain_copy(mail, words))
    if not temporary and not permanent:
        return None
    told = _telling_line(words) or mime.one_line(words)
    trying = not permanent or _STILL_TRYING.search(f"{mime.header(mail, 'Subject')}\n{words[:4000]}")
    kind: Kind = "delayed" if trying else severity(None, told)
    return Reading(kind, None, told, _returned(mail))


# Some systems list the failing address in the same header, whether they have given up or not.
_STILL_TRYING = re.compile(
    r"(?i)\A\s*(?:warning: (?:message|could not)|delayed mail|delivery delayed|delivery status notification \(delay)"
    r"|not\s+yet\s+been\s+delivered|delivery attempts will continue|will be retried|still being retried"
)
_HEURISTIC_SIZE = 32_768
_LONGEST_LINE = 400
_COPIED = ("From", "Subject", "To", "X-Mailer", "X-Failed-Recipients", "Content-Type", "Auto-Submitted")


def _plain_copy(mail: Message, words: str) -> Message:
    kind = mime.content_type(mail)
    head = [
        f"{name}: {mime.header(mail, name)[:_LONGEST_LINE]}"
        for name in _COPIED
        if name in mail and not (name == "Content-Type" and kind.startswith(("multipart/", "message/")))
    ]
    lines = [line[:_LONGEST_LINE] for line in words.split("\n")]
    return mime.parse("\n".join([*head, "", *lines]).encode("ascii", "replace"))


def _scanned(copy: Message) -> tuple[bool, bool]:
    try:
        temporary, permanent = all_failures(copy)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, IndexError):
        # Its detectors assume the shapes they look for; a mail made to lack them is no bounce they know.
        return False, False
    return bool(temporary), bool(permanent)


_TELLING = re.compile(
    r"(?i)\b[245]\d\d\b|unknown|no such|does(?:n't| not) exist|not found|quota|full|unavailable|disabled"
)


def _telling_line(words: str) -> str:
    lines = (mime.one_line(line[:_LONGEST_LINE]) for line in words.split("\n"))
    return next((line for line in lines if _TELLING.search(line)), "")
