"""Turns what a contact says into clues that the directory can be asked about.

Pure: one spelling for each value, several readings where a text allows them. It decides nothing.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from claims.identity import Evidence, Kind, Known
from claims.names import PARTICLES, name_words
from claims.placeholders import is_nobodys_mail, is_nobodys_phone, says_nothing, tells_apart
from claims.profiles import Profile, birth_date, house_and_street, name_parts, one_script, phone_digits, visible
from claims.submissions import Submission
from notify import BadAddress, Clue, fold_name, fold_reference, normalise_mail, normalise_phone, phone_readings

_MOST_READINGS = 5
_BETWEEN = re.compile(r"[,;/|\n]+|\s+(?:and|en|und|et|y|&|\+)\s+")
_BETWEEN_MAILS = re.compile(r"[,;\s<>]+")

# Where a number without its country is most likely from, by the language of the contact. Then every region we serve.
_BY_LANGUAGE = {
    "nl": ("NL", "BE"),
    "en": ("US", "GB"),
    "de": ("DE", "AT"),
    "fr": ("FR", "BE"),
    "es": ("ES",),
    "pl": ("PL",),
    "sv": ("SE",),
    "it": ("IT",),
    "fi": ("FI", "SE"),
}
REGIONS = ("US", "NL", "GB", "DE", "FR", "ES", "BE", "PL", "SE", "IT", "FI")


@dataclass(frozen=True, slots=True)
class Clues:
    """What a contact says about who wrote it, normalised. `name` and `surname` are folded.

    `phones` are all the numbers that the phone may stand for when its country is missing; `phone` is what was typed and
    `regions` the countries it may be from, the likeliest first.
    """

    name: str = ""
    surname: str = ""
    numbers: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    phone: str = ""
    regions: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()


def clues_in(said: Submission) -> Clues:
    """The clues in what somebody said. Whatever cannot be read as one is left out: it is still in the contact."""
    name, surname = _folded(said.name or "")
    ordered = _ordered_regions((said.language or "")[:2].lower())
    phone = "" if is_nobodys_phone(said.phone or "") else said.phone or ""
    return Clues(
        name=name,
        surname=surname,
        numbers=tuple(_codes(said.customer_number or "")),
        references=tuple(_codes(said.reference or "")),
        mails=tuple(mail for mail in _mails(visible(said.email or "")) if not is_nobodys_mail(mail)),
        phone=phone,
        regions=ordered,
        phones=phone_readings(phone, ordered) if phone else (),
    )


def profile_in(said: Submission, clues: Clues) -> Profile:
    """The same for comparing contacts with each other. `clues`: those in `said`."""
    given, surname = name_parts(clues.name, clues.surname)
    house, street = house_and_street(said.street_number or "", said.street or "")
    return Profile(
        given=given,
        surname=surname,
        birth_date=birth_date(said.birth_date or ""),
        house=house,
        street=street,
        suburb=fold_name(visible(said.suburb or ""))[:60],
        postcode=fold_reference(visible(said.postcode or ""))[:12],
        region=fold_name(visible(said.region or ""))[:30],
        mails=clues.mails,
        phone=phone_digits(clues.phone),
        references=tuple(code for code in clues.references if tells_apart(code)),
        numbers=tuple(code for code in clues.numbers if tells_apart(code)),
    )


def questions(place: int, clues: Clues) -> Iterator[Clue]:
    """The clues as `notify.find_customers` takes them; `place` comes back with each answer."""
    for value in clues.numbers:
        yield Clue(place, "customer_number", value)
    for value in clues.references:
        yield Clue(place, "reference", value)
    for value in clues.mails:
        yield Clue(place, "mail", value)
    for value in clues.phones:
        yield Clue(place, "phone", value)


def evidence_of(clues: Clues, fits: Mapping[tuple[str, str], Sequence[Known]]) -> Evidence:
    """The clues of a contact, each with the customers it fits."""

    def fitting(kind: Kind, values: Sequence[str]) -> dict[str, Sequence[Known]]:
        return {value: fits.get((kind, value), ()) for value in values}

    def best(kind: Kind, values: Sequence[str]) -> dict[str, Sequence[Known]]:
        # Several readings of one text: those that fit somebody are what was meant.
        every = fitting(kind, values)
        return {value: known for value, known in every.items() if known} or every

    return Evidence(
        clues.name,
        clues.surname,
        {
            "customer_number": best("customer_number", clues.numbers),
            "reference": best("reference", clues.references),
            "mail": fitting("mail", clues.mails),
            "phone": _one_number(clues, best("phone", clues.phones)),
        },
    )


def _one_number(clues: Clues, readings: Mapping[str, Sequence[Known]]) -> dict[str, Sequence[Known]]:
    """One clue from all readings of one number: it fits everybody who has any of them; else it is our best guess."""
    everyone = tuple(dict.fromkeys(known for fitting in readings.values() for known in fitting))
    if len(readings) > 1 and not everyone:
        return {_best_guess(clues.phone, clues.regions[:2]): ()}
    return {next(iter(readings)): everyone} if readings else {}


@lru_cache(maxsize=16_384)
def _best_guess(phone: str, regions: tuple[str, ...]) -> str:
    try:
        return normalise_phone(phone, regions)
    except BadAddress:
        return fold_reference(phone)


@lru_cache(maxsize=256)
def _ordered_regions(language: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_BY_LANGUAGE.get(language, ()), *REGIONS)))


def _folded(name: str) -> tuple[str, str]:
    """(name, surname) for comparing, without forms of address. `De Vries, Jan` is Jan de Vries, as the comma tells.

    Cut short: folding can make a letter into eighteen, and a key must fit into an index (2704 bytes in PostgreSQL).
    """
    name = name if name.isascii() else one_script(_unmangled(name))
    head, _, tail = name.partition(",")
    surnames = name_words(fold_name(head))
    telling = [word for word in surnames if word not in PARTICLES]
    return " ".join((*name_words(fold_name(tail)), *surnames))[:120].rstrip(), telling[-1][:60] if telling else ""


def _unmangled(name: str) -> str:
    """`name` as it was, where a program on its way took UTF-8 for Latin-1: `LÃ¶f` was Löf. No real name looks so."""
    # What cannot be seen (a zero-width space that came along in copying) has no place in either encoding. The soft
    # hyphen has: it is the second half of a mangled í.
    name = "".join(one for one in name if one == "\xad" or unicodedata.category(one) != "Cf")
    for encoding in ("cp1252", "latin-1"):
        try:
            return name.encode(encoding).decode()
        except ValueError:
            continue
    return name


def _codes(text: str) -> Iterator[str]:
    """The booking or customer numbers in a field: the whole of it, and its parts when it lists several."""
    if not text or text.isspace():
        return
    parts = _BETWEEN.split(text)[:_MOST_READINGS]
    found = dict.fromkeys(fold_reference(part) for part in (text, *parts) if not says_nothing(part))
    # One or two characters are nobody's booking.
    yield from (code for code in found if 3 <= len(code) <= 60)


def _mails(text: str) -> Iterator[str]:
    if not text or text.isspace():
        return
    try:
        yield normalise_mail(text)
        return
    except BadAddress:
        pass
    for part in [part for part in _BETWEEN_MAILS.split(text) if "@" in part][:_MOST_READINGS]:
        try:
            yield normalise_mail(part)
        except BadAddress:
            continue
