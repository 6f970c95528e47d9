"""The text of an SMS as the network carries it: alphabet, segments, and what had to be replaced. Pure.

Rules: 3GPP TS 23.038 (the default alphabet and its extension table) and TS 23.040 section 9.2.3.24.1 (concatenation).
Nothing becomes a question mark: what the 7-bit alphabet cannot say is replaced by something that reads the same, which
is listed for whoever approves the text; where reading would suffer, the text goes as UCS-2 and costs more.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Encoding = Literal["gsm7", "ucs2"]
Why = Literal["typography", "mark", "letter", "symbol", "invisible", "control"]

# In the order of their codes; the escape at 0x1b stands for no character.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE = 0x1B
_EXTENSION = {
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_TO_SEPTETS: Mapping[str, bytes] = {
    **{one: bytes([code]) for code, one in enumerate(_BASIC) if code != _ESCAPE},
    **{one: bytes([_ESCAPE, code]) for one, code in _EXTENSION.items()},
}
_FROM_EXTENSION = {code: one for one, code in _EXTENSION.items()}

# Units (septets, or 16-bit units) of a message alone, and of each part beside its header of six octets.
ALONE: Mapping[Encoding, int] = {"gsm7": 160, "ucs2": 70}
IN_PARTS: Mapping[Encoding, int] = {"gsm7": 153, "ucs2": 67}
# A header counts parts in one octet.
MOST_SEGMENTS = 255

# data_coding of SMPP 3.4 section 5.2.19.
DATA_CODING: Mapping[Encoding, int] = {"gsm7": 0x00, "ucs2": 0x08}

# In these languages a mark on a letter (ë, ç, ô) may go: readers are used to it in texts, and no word turns into
# another that matters here. In others, such as Polish, Czech or Turkish, letters with marks are letters of their own.
_MARKS_MAY_GO = frozenset({"en", "nl", "de", "fr", "it", "es", "da", "sv", "nb", "nn", "no", "fi", "fy", "lb"})

_TYPOGRAPHY = {
    **dict.fromkeys("‘’‚‛′ʼ´`", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‹", "<"),
    **dict.fromkeys("›", ">"),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "…": "...",
    **dict.fromkeys("\t\u00a0\u202f\u205f\u3000", " "),
    **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
    **dict.fromkeys("\u2028\u2029\x85", "\n"),
}
_SYMBOLS = {
    **dict.fromkeys("•·‣◦●▪", "-"),
    "×": "x",
    "÷": "/",
    "©": "(c)",
    "®": "(R)",
    "™": "TM",
    "°": " deg",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "²": "2",
    "³": "3",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "≠": "<>",
    "№": "No",
    "ª": "a",
    "º": "o",
    "¦": "|",
}
# Letters that Unicode does not take apart into a base and a mark.
_LETTERS = {
    "œ": "oe",
    "Œ": "OE",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
    "ŋ": "ng",
    "Ŋ": "Ng",
    "ħ": "h",
    "Ħ": "H",
    "ĳ": "ij",
    "Ĳ": "IJ",
    "ﬁ": "fi",
    "ﬂ": "fl",
    "ẞ": "SS",
}
_LINE_END = re.compile("\r\n|\r")


@dataclass(frozen=True, slots=True)
class Replacement:
    """Something the alphabet lacks, what stands in its place, the kind of loss, and how often."""

    found: str
    replaced_by: str
    why: Why
    times: int


@dataclass(frozen=True, slots=True)
class Written:
    """A text as it will be sent: exactly `text`, in `encoding`, in `segments` that are paid for one by one.

    `units`: septets or 16-bit units, escapes included. `replacements`: what is not as it was written, to be shown
    before anybody approves it.
    """

    text: str
    encoding: Encoding
    units: int
    segments: int
    replacements: tuple[Replacement, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One segment on the wire. `header`: its user data header, empty when the message has one part."""

    header: bytes
    body: bytes
    data_coding: int

    @property
    def content(self) -> bytes:
        """What goes into `short_message`."""
        return self.header + self.body


def write(text: str, language: str = "en") -> Written:
    """How `text` goes out: in the 7-bit alphabet where it can without loss of reading, else as UCS-2.

    Writing what was written changes nothing more.
    """
    text, dropped = _tidy(text)
    replaced = _in_gsm7(text, may_lose_marks=language.split("-", 1)[0].lower() in _MARKS_MAY_GO)
    if replaced is None:
        return _written(text, "ucs2", dropped)
    return _written(replaced[0], "gsm7", dropped + replaced[1])


def parts(written: Written, reference: int) -> list[Part]:
    """The segments of a text. `reference`: 0 to 255, the same for all of them and at every attempt.

    Raises ValueError when there are more than can be counted.
    """
    pieces = list(_pieces(written.text, written.encoding))
    if len(pieces) > MOST_SEGMENTS:
        raise ValueError("A text has at most 255 segments.")
    coding = DATA_CODING[written.encoding]
    if len(pieces) == 1:
        return [Part(b"", pieces[0], coding)]
    return [
        Part(bytes([5, 0, 3, reference & 0xFF, len(pieces), number]), piece, coding)
        for number, piece in enumerate(pieces, start=1)
    ]


def decode(body: bytes, encoding: Encoding) -> str:
    """The text in `body`. What no phone could have written becomes U+FFFD; nothing raises."""
    if encoding == "ucs2":
        return body[: len(body) // 2 * 2].decode("utf-16-be", "replace")
    return "".join(_decoded(body))


def _decoded(body: bytes) -> Iterator[str]:
    septets = iter(body)
    for septet in septets:
        if septet != _ESCAPE:
            yield _BASIC[septet] if septet < 128 else "\ufffd"
            continue
        code = next(septets, None)
        # TS 23.038 section 6.2.1.1: what follows an escape and is not in the extension table is read by the basic one;
        # an escape of the escape, and one at the end, are a space.
        if code is None or code == _ESCAPE:
            yield " "
        else:
            yield _FROM_EXTENSION.get(code) or (_BASIC[code] if code < 128 else "\ufffd")


def _tidy(text: str) -> tuple[str, tuple[Replacement, ...]]:
    """One spelling, no controls and nothing that cannot be encoded, in whatever alphabet it goes."""
    text = unicodedata.normalize("NFC", _LINE_END.sub("\n", text))
    dropped = Counter(one for one in text if _is_control(one))
    kept = "".join(one for one in text if one not in dropped)
    return kept, tuple(Replacement(one, "", "control", times) for one, times in dropped.items())


def _is_control(one: str) -> bool:
    # Marks that turn the direction of writing could make a text read as another; lone surrogates are no text at all.
    if one in "\n\t\x85":
        return False
    return unicodedata.category(one) in ("Cc", "Cs") or "\u202a" <= one <= "\u202e" or "\u2066" <= one <= "\u2069"


def _in_gsm7(text: str, *, may_lose_marks: bool) -> tuple[str, tuple[Replacement, ...]] | None:
    """`text` in the 7-bit alphabet and what was replaced; None when it cannot be said in it."""
    found: dict[str, tuple[str, Why]] = {}
    counts: Counter[str] = Counter()
    for one in text:
        if one in _TO_SEPTETS:
            continue
        stand_in = found.get(one) or _stand_in(one, may_lose_marks=may_lose_marks)
        if stand_in is None:
            return None
        found[one] = stand_in
        counts[one] += 1
    replacements = tuple(Replacement(one, *found[one], counts[one]) for one in found)
    return "".join(found[one][0] if one in found else one for one in text), replacements


def _stand_in(one: str, *, may_lose_marks: bool) -> tuple[str, Why] | None:
    if (typographic := _TYPOGRAPHY.get(one)) is not None:
        return typographic, "typography"
    if (symbol := _SYMBOLS.get(one)) is not None:
        return symbol, "symbol"
    if unicodedata.category(one) == "Cf" or "\ufe00" <= one <= "\ufe0f":
        return "", "invisible"
    if not may_lose_marks:
        return None
    if (letter := _LETTERS.get(one)) is not None:
        return letter, "letter"
    base = unicodedata.normalize("NFD", one)[0]
    return (base, "mark") if base != one and base.isascii() and base.isalpha() else None


def _written(text: str, encoding: Encoding, replacements: tuple[Replacement, ...]) -> Written:
    units = sum(_size(one, encoding) for one in text)
    return Written(text, encoding, units, sum(1 for _ in _pieces(text, encoding)), replacements)


def _size(one: str, encoding: Encoding) -> int:
    return len(_TO_SEPTETS[one]) if encoding == "gsm7" else 1 + (one > "\uffff")


def _encoded(one: str, encoding: Encoding) -> bytes:
    return _TO_SEPTETS[one] if encoding == "gsm7" else one.encode("utf-16-be")


def _pieces(text: str, encoding: Encoding) -> Iterator[bytes]:
    """The bodies of the segments: one, or as many as are needed; no escape or surrogate pair is ever split."""
    whole = b"".join(_encoded(one, encoding) for one in text)
    octets = 1 if encoding == "gsm7" else 2
    if len(whole) <= ALONE[encoding] * octets:
        yield whole
        return
    most = IN_PARTS[encoding] * octets
    piece = b""
    for one in text:
        code = _encoded(one, encoding)
        if len(piece) + len(code) > most:
            yield piece
            piece = b""
        piece += code
    yield piece
