"""What a contact says about who wrote it, in the form in which two contacts are compared; and how they find each other.

Pure: one spelling for each value, kept beside the contact so that comparing need not read it again.
"""

import re
import unicodedata
from collections.abc import Iterator

import msgspec

from claims.identity import Key
from claims.names import PARTICLES
from notify import fold_name, fold_reference

_DIGITS = re.compile(r"\d+")
# Greek and Cyrillic letters that look like Latin ones, and which.
_LOOK_ALIKE = str.maketrans(
    "\u03b1\u03b5\u03b9\u03bf\u03c1\u03c5\u03c7\u0391\u0395\u0399\u039f\u03a1\u03a5\u03a7"
    "\u0430\u0435\u0456\u043e\u0440\u0441\u0443\u0445\u0455\u0410\u0415\u0406\u041e\u0420\u0421\u0423\u0425\u0405",
    "aeiopyxAEIOPYXaeiopcyxsAEIOPCYXS",
)
_LATIN = re.compile(r"[A-Za-z]")
_HOUSE_NUMBER = re.compile(r"^(\d+)\s+(.+)$|^(.+?)\s+(\d+)$")


class Profile(msgspec.Struct, frozen=True, array_like=True):
    """The values of a contact, folded; empty where it says nothing. `phones`, `mails` and codes as in its clues."""

    given: str = ""
    surname: str = ""
    birth_date: str = ""
    house: str = ""
    street: str = ""
    suburb: str = ""
    postcode: str = ""
    region: str = ""
    mails: tuple[str, ...] = ()
    phone: str = ""
    references: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


def name_parts(name: str, surname: str) -> tuple[str, str]:
    """(given names, surname) of a folded name whose last telling word is `surname`. One word alone is a surname."""
    words = name.split()
    if surname not in words:
        return ("", name) if surname else (name, "")
    at = len(words) - 1 - words[::-1].index(surname)
    while at > 0 and words[at - 1] in PARTICLES:
        at -= 1
    return " ".join(words[:at]), " ".join(words[at:])


def visible(text: str) -> str:
    """`text` without what cannot be seen: zero-width spaces come along in copying. Nor letters that only look Latin."""
    if text.isascii():
        return text
    return one_script("".join(one for one in text if unicodedata.category(one) != "Cf"))


def one_script(text: str) -> str:
    """`text` with the Greek and Cyrillic letters made Latin that look so, in words that have Latin letters too.

    A word in a script of its own stays what it is.
    """
    words = text.split(" ")
    return " ".join(word.translate(_LOOK_ALIKE) if _LATIN.search(word) else word for word in words)


def birth_date(text: str) -> str:
    """A date as eight digits, year first; nothing when it is none. `1972-16-02` had its day and month exchanged."""
    parts = _DIGITS.findall(visible(text))
    joined = "".join(parts)
    if len(joined) != 8:
        return ""
    if len(parts) == 3 and len(parts[2]) == 4:
        year, month, day = parts[2], parts[1], parts[0]
    else:
        year, month, day = joined[:4], joined[4:6], joined[6:]
    if "13" <= month <= "31" and day <= "12":
        month, day = day, month
    return f"{year}{month}{day}"


def phone_digits(text: str) -> str:
    """The digits of a phone number that tell it apart, without zeros in front. Fewer than seven are none."""
    digits = "".join(one for one in visible(text) if one.isascii() and one.isdigit()).lstrip("0")
    return digits[:20] if len(digits) >= 7 else ""


def house_and_street(number: str, street: str) -> tuple[str, str]:
    """The number of a house and its street, folded; the number may stand in the street's line, before or behind."""
    folded = fold_name(visible(street))[:80]
    if not number.strip():
        found = _HOUSE_NUMBER.match(folded)
        if found:
            return (found[1], found[2]) if found[1] else (found[4], found[3])
    return fold_reference(visible(number))[:10], folded


def meeting_points(profile: Profile) -> Iterator[Key]:
    """Where contacts that may be one person's meet, besides the keys in `claims.identity`.

    Two contacts are compared when they share one. Most take two things that must agree, so that few strangers meet;
    one where too many do is closed (`claims.identity.has_force`).
    """
    for mail in profile.mails:
        if len(local := mail.partition("@")[0]) > 7:
            yield Key("by local", local[:8])
            yield Key("by local", f"…{local[-7:]}")
    if profile.phone:
        yield Key("by phone", profile.phone[-9:])
        yield Key("by phone", profile.phone[:8])
    yield from (Key("by code", code) for code in (*profile.references, *profile.numbers))
    if profile.birth_date:
        yield Key("by birth", profile.birth_date)
    if profile.given and profile.surname:
        yield full_name(profile)
    yield from _places_with_a_name(profile)
    yield from _places(profile)


def _places_with_a_name(profile: Profile) -> Iterator[Key]:
    for part in (profile.given, profile.surname):
        if part and profile.postcode:
            yield Key("by postcode", f"{profile.postcode} {part[:4]}")
        if part and profile.house:
            yield Key("by house", f"{profile.house} {part}")
        if part and profile.suburb:
            yield Key("by town", f"{profile.suburb} {part}")


def _places(profile: Profile) -> Iterator[Key]:
    if profile.postcode and profile.house:
        yield Key("by door", f"{profile.postcode} {profile.house}")
    if profile.street and profile.house:
        yield Key("by street", f"{profile.house} {profile.street}")
    if profile.suburb and profile.street:
        yield Key("by road", f"{profile.suburb} {profile.street}")


def full_name(profile: Profile) -> Key:
    """The meeting point of those who have the whole of a name in common, in whatever order."""
    return Key("by name", " ".join(sorted((*profile.given.split(), *profile.surname.split()))))
