"""Text with slots as quoted-printable (RFC 2045 section 6.7), prepared once and filled many times. Pure.

Everything is 7 bit, no line is longer than 76 characters and none starts with a dot, so SMTP has nothing to double.
A slot stands on lines of its own between soft breaks, so filling it never moves anything else.
"""

import re
from collections.abc import Iterable
from email.quoprimime import body_encode
from html import escape

from notify.markup import Part, Slot, one_line

SOFT_BREAK = b"=\r\n"

# One is kept for the soft break beside a slot, and two for a dot that opens a line.
_LINE_LENGTH = 73
_OPENING_DOT = re.compile(rb"(?m)^\.")
# Nine names in ten: nothing to encode, nothing to fold, nothing to escape in HTML, no blanks that would be folded.
_PLAIN = re.compile(r"(?![. ])(?:[!-%'-;?-~]| (?! )){0,72}(?<! )")


def quoted_pieces(parts: Iterable[Part]) -> list[bytes | Slot]:
    """The parts encoded, with what stands between two slots in one piece."""
    pieces: list[bytes | Slot] = []
    text, opening = "", b""
    for part in parts:
        if isinstance(part, Slot):
            pieces += [opening + quoted(text) + SOFT_BREAK, part]
            text, opening = "", SOFT_BREAK
        else:
            text += part
    return [*pieces, opening + quoted(text)]


def quoted(text: str) -> bytes:
    """`text` encoded, to stand at the start of a line. Opening dots are encoded too."""
    if not text:
        return b""
    # body_encode wants one character for each byte.
    encoded = body_encode(text.encode().decode("latin-1"), _LINE_LENGTH, eol="\r\n").encode("ascii")
    return _OPENING_DOT.sub(b"=2E", encoded)


def fragments(value: str) -> tuple[bytes, bytes]:
    """A slot's value, as it stands in plain text and in HTML: one line, encoded."""
    if _PLAIN.fullmatch(value):
        raw = value.encode()
        return raw, raw
    text = one_line(value)
    return quoted(text), quoted(escape(text))
