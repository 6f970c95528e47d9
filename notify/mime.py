"""Takes apart mail that strangers sent, whatever they sent: bounded in time and memory, and never an error. Pure.

The standard library's parser does the work. What is bounded here: bytes looked at, nesting (it compares each line with
every boundary around it), headers and parts. What cannot be read comes back empty; the bytes are kept by others.
"""

import binascii
import re
from collections.abc import Iterator
from email import policy
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses
from html import unescape

# Bytes. What a bounce says stands before the message it returns.
LARGEST_READ = 256 * 1024
_MOST_NESTED = 50
_MOST_DELIMITERS = 500
_MOST_HEADERS = 1000
_MOST_PARTS = 100
_LONGEST_HEADER = 4000
_MOST_FOLDS = 200
_LONGEST_MAILBOX = 1000
_NESTING = re.compile(rb"boundary|message/", re.IGNORECASE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BLANKS = re.compile(r"\s+")


class _Bounded(policy.Compat32):
    """The forgiving policy, with headers cut: the parser reads Content-Type again and again, each of its parameters."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines[:_MOST_FOLDS])
        return name, value[:_LONGEST_HEADER]


_PARSER = BytesParser(policy=_Bounded())


def parse(raw: bytes, *, most: int = LARGEST_READ) -> Message:
    """The mail in `raw`, as far as it can be read; one whose nesting is not of this world has headers only.

    `most`: bytes looked at. Files stand behind the words, so whoever wants them must read further.
    """
    raw = raw[:most]
    head = raw[: end.start()] if (end := _HEADER_END.search(raw)) else raw
    if head.count(b"\n") > _MOST_HEADERS:
        raw = b"\n".join(head.split(b"\n", _MOST_HEADERS)[:_MOST_HEADERS]) + raw[len(head) :]
        head = raw[: end.start()] if (end := _HEADER_END.search(raw)) else raw
    if len(_NESTING.findall(raw)) > _MOST_NESTED or (b"oundary" in raw and raw.count(b"\n--") > _MOST_DELIMITERS):
        return _PARSER.parsebytes(head, headersonly=True)
    try:
        return _PARSER.parsebytes(raw)
    except (MessageError, RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        # What the parser itself trips over, on mail made for that.
        return _PARSER.parsebytes(b"", headersonly=True)


def header(mail: Message, name: str) -> str:
    """The first header of that name, decoded, on one line; empty when there is none."""
    return header_text(_first(mail, name))


def _first(mail: Message, name: str) -> str:
    """The first header of that name, with the bytes as they came where they are no ASCII."""
    wanted = name.lower()
    return next((str(value) for known, value in mail.raw_items() if known.lower() == wanted), "")


def header_text(value: object) -> str:
    """A header's value as people read it: encoded words decoded, on one line, without controls.

    Programs that know no encoded words write UTF-8, or what Windows had, right into it.
    """
    raw = str(value)[:_LONGEST_HEADER]
    if not raw.isascii():
        try:
            raw = decoded(raw.encode("utf-8", "surrogateescape"), None)
        except UnicodeEncodeError:  # halves of characters, made up by an encoded text inside
            raw = raw.encode("utf-8", "replace").decode()
    try:
        pieces = decode_header(raw)
    except (HeaderParseError, ValueError, binascii.Error):
        pieces = [(raw, None)]
    return one_line("".join(one if isinstance(one, str) else decoded(one, charset) for one, charset in pieces))


def mailbox(mail: Message, name: str) -> tuple[str, str]:
    """(shown name, address) of the first mailbox in a header such as From; empty where there is none.

    Taken apart before it is decoded: a name may hold, encoded, what looks like another address.
    """
    try:
        shown, address = next(iter(getaddresses([_first(mail, name)[:_LONGEST_MAILBOX]])), ("", ""))
    except (RecursionError, ValueError, IndexError, TypeError):  # comments in comments, and what else it trips over
        return "", ""
    return header_text(shown), one_line(address)


def one_line(text: str) -> str:
    return _BLANKS.sub(" ", _CONTROLS.sub("", text)).strip()


def content_type(part: Message) -> str:
    """Like `text/plain`, in lower case."""
    return part.get_content_type()


def parts(mail: Message) -> Iterator[Message]:
    """The mail and what is in it, outermost first; a message inside a message is looked into too."""
    waiting, seen = [mail], 0
    while waiting and seen < _MOST_PARTS:
        part = waiting.pop(0)
        seen += 1
        yield part
        waiting[:0] = children(part)


def children(part: Message) -> list[Message]:
    """The parts right inside `part`."""
    # Asked only of containers: the payload of anything else would be decoded, by whatever its charset says it is.
    payload = part.get_payload() if part.is_multipart() else []
    return [one for one in payload if isinstance(one, Message)]


def body(part: Message) -> str:
    """The text of one part, its transfer encoding and its charset undone; empty when it is a container."""
    if children(part):
        return ""
    try:
        raw = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AssertionError):  # binascii.Error is a ValueError
        raw = None
    if not isinstance(raw, bytes):
        return ""
    return _CONTROLS.sub("", decoded(raw, _charset(part)).replace("\r\n", "\n").replace("\r", "\n"))


def text_of(mail: Message) -> str:
    """What a person would read: the plain text parts that are no attachments, else the HTML without its tags."""
    plain, html = [], []
    for part in _shown(mail):
        kind = content_type(part)
        if kind == "text/plain":
            plain.append(body(part))
        elif kind == "text/html":
            html.append(without_tags(body(part)))
    return "\n".join(one for one in plain or html if one.strip()).strip()


def _shown(mail: Message) -> Iterator[Message]:
    """Leaves of the mail itself, not of messages that it holds, nor attachments."""
    waiting, seen = [mail], 0
    while waiting and seen < _MOST_PARTS:
        part = waiting.pop(0)
        seen += 1
        if part is not mail and str(part.get("Content-Disposition", "")).strip().lower().startswith("attachment"):
            continue
        if part.get_content_maintype() == "multipart":
            waiting[:0] = children(part)
        elif not children(part):
            yield part


def files_of(mail: Message) -> Iterator[tuple[str, bytes]]:
    """What a mail brings besides its words: (name as sent, bytes) of every leaf that is no text to read.

    A message inside it is one of these as a whole, by what it holds.
    """
    for part in parts(mail):
        if part is mail or children(part):
            continue
        kind = content_type(part)
        disposition = str(part.get("Content-Disposition", "")).strip().lower()
        name = _file_name(part)
        if kind.startswith("text/") and not disposition.startswith("attachment") and not name:
            continue
        if kind in ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"):
            continue
        try:
            raw = part.get_payload(decode=True)
        except (ValueError, LookupError, TypeError, AssertionError):
            raw = None
        yield name or kind.replace("/", "."), raw if isinstance(raw, bytes) else b""


def _file_name(part: Message) -> str:
    try:
        return header_text(part.get_filename() or "")[:200]
    except (ValueError, LookupError, TypeError, AttributeError, MessageError):
        return ""


# Each alternative ends at the next `<`, so this is one pass over the text, whatever is in it.
_PIECES = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,20})?[^<>]*>|[^<]+|<")
_UNSEEN = frozenset({"script", "style", "head", "title"})
_BREAKING = frozenset({"br", "p", "div", "tr", "li", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"})
_EMPTY_LINES = re.compile(r"\s*\n\s*\n\s*")


def without_tags(html: str) -> str:
    """The words of a page, for reading, never for showing as HTML."""
    pieces: list[str] = []
    unseen = ""
    for found in _PIECES.finditer(html):
        closing, tag = found[1] == "/", (found[2] or "").lower()
        if unseen:
            # A head that is never closed ends where the body begins.
            unseen = "" if (closing and tag == unseen) or tag == "body" else unseen
        elif not found[0].endswith(">") or not found[0].startswith("<"):
            pieces.append(found[0])
        elif tag in _UNSEEN and not closing:
            unseen = tag
        elif tag in _BREAKING and (closing or tag == "br"):
            pieces.append("\n")
    lines = [_BLANKS.sub(" ", line).strip() for line in unescape("".join(pieces)).split("\n")]
    return _CONTROLS.sub("", _EMPTY_LINES.sub("\n\n", "\n".join(lines))).strip()


def decoded(raw: bytes, charset: str | None) -> str:
    """`raw` as text: in its charset, else as UTF-8, else as Windows wrote it; never an error."""
    # What calls itself Latin-1 was written on Windows, as browsers know too.
    charset = "cp1252" if charset in ("iso-8859-1", "latin-1", "latin1") else charset
    for name in (charset or "utf-8", "utf-8", "cp1252"):
        try:
            return raw.decode(name)
        except (LookupError, ValueError, TypeError):  # UnicodeError is a ValueError, and so is a NUL in the name
            continue
    return raw.decode("latin-1")


def _charset(part: Message) -> str | None:
    try:
        charset = part.get_content_charset()
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    # Codecs that are no charsets (base64, zlib, idna) can blow up; text is asked for by bytes.decode only where it is.
    return charset if isinstance(charset, str) and len(charset) < 40 and charset not in _NO_CHARSETS else None


_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "utf-7"}
)
