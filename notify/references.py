"""The names we give a message to the outside, and how we know them again in what comes back. Pure.

Three of them, all keyed, so that nobody can make one up:
- the *reference* of a delivery, legible id and keyed name: `1f-3b0c…`. It is the left half of the Message-ID, the ENVID
  (RFC 3461), the trace header, and the tag of the return path and of Reply-To. The same at every attempt.
- the *leave token* in the link that stops news. Not the reference: that one gets around, as the Message-ID in every
  answer that a customer sends a copy of, and whoever sees it must not be able to stop a stranger's news.
- the *check code* of a message, short enough to type, by which a reader asks us whether it is ours. One for all who
  got the same message, so the text stays the same for all, and it leads to nothing personal.
"""

import re
import unicodedata
from collections.abc import Iterator

from foundation.tokens import Names, Tokens

REFERENCE_LENGTH = 16 + 1 + 24  # at most

# Not inside a longer run of letters and digits: `bounce-` and `SRS0=…=` may stand before it, `@` or `>` behind.
_REFERENCE = re.compile(r"(?<![0-9a-z])([1-9a-f][0-9a-f]{0,15})-([0-9a-f]{24})(?![0-9a-z])")
_LEAVE_TOKEN = re.compile(r"([1-9a-f][0-9a-f]{0,15})-([0-9a-f]{24})")
_LARGEST_ID = 2**63 - 1
# Enough for an address, a header or a few; who sends more wants us to compute.
_LONGEST_TEXT = 4000
_MOST_TRIED = 20

# Crockford's base 32 (crockford.com/base32.html): no I, L, O or U, and what people write for them is understood.
_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011", " \t-–—._/")
_CODE_TAG = 7  # symbols: 35 bits, so that a slip of the finger and an invention are both noticed
_LONGEST_CODE = 13 + _CODE_TAG


class References:
    """Makes references and leave tokens; prepared once, since one of each is made for every mail."""

    def __init__(self, tokens: Tokens) -> None:
        self._deliveries = tokens.names("delivery")
        self._leaving = tokens.names("leave")

    def reference(self, delivery_id: int) -> str:
        """At most `REFERENCE_LENGTH` characters 0-9a-f and one dash: fit for an address, an ENVID and a Message-ID."""
        id_ = f"{delivery_id:x}"
        return f"{id_}-{self._deliveries.name(id_)}"

    def leave_token(self, reference: str) -> str:
        """The token for the link that stops news, of the delivery that `reference` (one of ours) names."""
        id_ = reference.partition("-")[0]
        return f"{id_}-{self._leaving.name(id_)}"


def delivery_reference(tokens: Tokens, delivery_id: int) -> str:
    """`References.reference`, where only one is wanted."""
    return References(tokens).reference(delivery_id)


def read_reference(tokens: Tokens, text: str) -> int | None:
    """The delivery that `text` names, or None when there is no reference of ours in it.

    `text` is a return path, a Reply-To address, an ENVID, a Message-ID or any header that holds one, in whatever
    wrapping and case it came back. The first reference that one of our keys vouches for counts.
    """
    return _first_known(tokens.names("delivery"), _REFERENCE.finditer(text[:_LONGEST_TEXT].lower()))


def read_leave_token(tokens: Tokens, token: str) -> int | None:
    """The delivery whose news the holder of `token` may stop; None when we did not make it."""
    match = _LEAVE_TOKEN.fullmatch(token)
    return _first_known(tokens.names("leave"), iter([match] if match else []))


def check_code(tokens: Tokens, message_id: int) -> str:
    """The code of a message, as it is shown: `C7KQ-F3MX`."""
    id_ = _in_symbols(message_id)
    code = id_ + _code_tag(tokens.names("check").name(id_))
    return "-".join(code[place : place + 4] for place in range(0, len(code), 4))


def read_check_code(tokens: Tokens, typed: str) -> int | None:
    """The message whose code somebody typed, or None. Forgives case, blanks, dashes, O for 0 and I or L for 1."""
    code = unicodedata.normalize("NFKC", typed[:60]).upper().translate(_READ_AS)
    id_, tag = code[:-_CODE_TAG], code[-_CODE_TAG:]
    if not id_ or len(code) > _LONGEST_CODE or id_[0] == "0" or set(code) - set(_SYMBOLS):
        return None
    message_id = int(id_.translate(_AS_DIGITS), 32)
    known = message_id <= _LARGEST_ID and any(tag == _code_tag(name) for name in tokens.names("check").under_all(id_))
    return message_id if known else None


def _first_known(names: Names, matches: Iterator[re.Match[str]]) -> int | None:
    for tried, match in enumerate(matches):
        if tried == _MOST_TRIED:
            break
        delivery_id = int(match[1], 16)
        if delivery_id <= _LARGEST_ID and names.knows(match[2], match[1]):
            return delivery_id
    return None


# What int() calls the digits of base 32.
_AS_DIGITS = str.maketrans(_SYMBOLS, "0123456789abcdefghijklmnopqrstuv")


def _in_symbols(number: int) -> str:
    symbols = ""
    while number:
        number, digit = divmod(number, 32)
        symbols = _SYMBOLS[digit] + symbols
    return symbols


def _code_tag(name: str) -> str:
    number = int(name, 16)
    return "".join(_SYMBOLS[number >> 5 * place & 31] for place in range(_CODE_TAG))
