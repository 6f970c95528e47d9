"""What an incoming text is: a STOP, a START, or something somebody has to read. Pure; also joins the parts of one.

The words are those that laws and carriers ask for (see `docs/decisions/0016-texts.md`). Only a text that is nothing but
the word counts: "please stop calling me, I want a refund" is for people.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from notify.channels.inbound import Inbound
from notify.sms_text import decode

Meant = Literal["stop", "start", "contact"]

_STOP = frozenset(
    {
        *("ARRET", "CANCEL", "END", "OPTOUT", "QUIT", "REMOVE", "STOP", "TD", "UNSUBSCRIBE"),
        *("AFMELDEN", "STOPP"),
    }
)
_START = frozenset({"START", "UNSTOP"})

_HAS_HEADER = 0x40  # esm_class, the user data header indicator
_MOST_PARTS = 20  # nobody types more; a claim of 255 parts would only hold our memory
_SAR_REFERENCE, _SAR_PARTS, _SAR_PART = 0x020C, 0x020E, 0x020F
_MESSAGE_PAYLOAD = 0x0424
_MISSING = "[…]"


@dataclass(frozen=True, slots=True)
class SegmentIn:
    """One segment of an incoming text. `reference`: what its parts have in common; None for a text of one part."""

    centre: str
    sender: str
    recipient: str
    data_coding: int
    content: bytes
    reference: int | None = None
    part: int = 1
    parts: int = 1


def meaning(text: str) -> Meant:
    """What a text of an outsider is taken for. Case, accents and punctuation do not matter, other words do."""
    folded = unicodedata.normalize("NFKD", text)
    word = "".join(one for one in folded if not unicodedata.combining(one) and (one.isalnum() or one.isspace()))
    word = word.strip().upper()
    if word in _STOP or word == "OPT OUT":
        return "stop"
    return "start" if word in _START else "contact"


def segment_from(one: Inbound) -> SegmentIn:
    """The segment in a `deliver_sm`. A header that makes no sense is part of the text: nothing is thrown away."""
    content = one.content or one.options.get(_MESSAGE_PAYLOAD, b"")
    body, place = content, _from_options(one.options)
    if one.esm_class & _HAS_HEADER and content:
        length = content[0]
        body, place = content[1 + length :], _from_header(content[1 : 1 + length])
    reference, parts, part = place or (None, 1, 1)
    if not 1 <= part <= parts <= _MOST_PARTS:
        reference, parts, part = None, 1, 1
    return SegmentIn(
        one.centre.name, one.source[:60], one.destination[:60], one.data_coding, body, reference, part, parts
    )


def text_of(content: bytes, data_coding: int) -> str:
    """The text of one segment, whatever was sent: no NUL, nothing that cannot be stored."""
    match data_coding & 0x0F if data_coding < 0xF0 else data_coding & 0x04:
        case 8:
            text = decode(content, "ucs2")
        case 0 | 1:
            text = decode(content, "gsm7")
        case 3:
            text = content.decode("latin-1")
        case _:
            # Binary and the alphabets of few: what is ASCII in it can be read, the rest is in the stored bytes.
            text = content.decode("ascii", "replace")
    return text.replace("\x00", "")


def joined(pieces: Mapping[int, str], parts: int) -> str:
    """The whole text from its parts by number; what never came is marked."""
    return "".join(pieces.get(number, _MISSING) for number in range(1, parts + 1))


def _from_options(options: Mapping[int, bytes]) -> tuple[int, int, int] | None:
    if not {_SAR_REFERENCE, _SAR_PARTS, _SAR_PART} <= options.keys():
        return None
    found = (options[_SAR_REFERENCE], options[_SAR_PARTS], options[_SAR_PART])
    reference, parts, part = (int.from_bytes(value[:2], "big") for value in found)
    return reference, parts, part


def _from_header(header: bytes) -> tuple[int, int, int] | None:
    """(reference, parts, part) of the first concatenation element, of 8 or 16 bits (TS 23.040 section 9.2.3.24)."""
    at = 0
    while at + 2 <= len(header):
        element, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        if element == 0x00 and len(value) == 3:
            return value[0], value[1], value[2]
        if element == 0x08 and len(value) == 4:
            return int.from_bytes(value[:2], "big"), value[2], value[3]
        at += 2 + length
    return None
