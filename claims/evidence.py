"""Turns what a contact says into clues that the directory can be asked about.

Pure: one spelling for each value, several readings where a text allows them. It decides nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from claims.identity import Evidence, Kind, Known
from claims.names import PARTICLES
from claims.submissions import Submission
from notify import BadAddress, Clue, fold_name, fold_reference, normalise_mail, normalise_phone

_MOST_READINGS = 5
_BETWEEN = re.compile(r"[,;/|\n]+|\s+(?:and|en|und|et|y|&|\+)\s+")
_BETWEEN_MAILS = re.compile(r"[,;\s<>]+")

# Where a number without its country is most likely from, by the language of the contact. Then every region we serve.
_BY_LANGUAGE = {
    "nl": ("NL", "BE"),
    "en": ("US", "GB", "CA", "IE"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR", "BE", "CH"),
    "es": ("ES", "US", "MX"),
    "pl": ("PL",),
    "sv": ("SE", "FI"),
    "it": ("IT", "CH"),
    "fi": ("FI",),
}
REGIONS = ("US", "NL", "GB", "DE", "FR", "ES", "BE", "PL", "SE", "IT", "FI")


@dataclass(frozen=True, slots=True)
class Clues:
    """What a contact says about who wrote it, normalised. `name` and `surname` are folded.

    `phones` are the likely readings; `far_phones` those with other countries, which count when no likely one fits.
    """

    name: str = ""
    surname: str = ""
    numbers: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    far_phones: tuple[str, ...] = ()


def clues_in(said: Submission, regions: Sequence[str] = REGIONS) -> Clues:
    """The clues in what somebody said. Whatever cannot be read as one is left out: it is still in the contact."""
    name, surname = _folded(said.name or "")
    phones, far_phones = _phones(said.phone or "", (said.language or "")[:2].lower(), tuple(regions))
    return Clues(
        name=name,
        surname=surname,
        numbers=tuple(_codes(said.customer_number or "")),
        references=tuple(_codes(said.reference or "")),
        mails=tuple(_mails(said.email or "")),
        phones=phones,
        far_phones=far_phones,
    )


def questions(place: int, clues: Clues) -> Iterator[Clue]:
    """The clues as `notify.find_customers` takes them; `place` comes back with each answer."""
    for value in clues.numbers:
        yield Clue(place, "customer_number", value)
    for value in clues.references:
        yield Clue(place, "reference", value)
    for value in clues.mails:
        yield Clue(place, "mail", value)
    for value in (*clues.phones, *clues.far_phones):
        yield Clue(place, "phone", value)


def evidence_of(clues: Clues, fits: Mapping[tuple[str, str], Sequence[Known]]) -> Evidence:
    """The clues of a contact, each with the customers it fits."""

    def fitting(kind: Kind, values: Sequence[str]) -> dict[str, Sequence[Known]]:
        return {value: fits.get((kind, value), ()) for value in values}

    def best(kind: Kind, values: Sequence[str]) -> dict[str, Sequence[Known]]:
        # Several readings of one text: those that fit somebody are what was meant.
        every = fitting(kind, values)
        return {value: known for value, known in every.items() if known} or every

    phones = best("phone", clues.phones)
    if not any(phones.values()):
        far = best("phone", clues.far_phones)
        phones = far if any(far.values()) or not phones else phones
    return Evidence(
        clues.name,
        clues.surname,
        {
            "customer_number": best("customer_number", clues.numbers),
            "reference": best("reference", clues.references),
            "mail": fitting("mail", clues.mails),
            "phone": _one_reading(phones),
        },
    )


def _one_reading(phones: dict[str, Sequence[Known]]) -> dict[str, Sequence[Known]]:
    """Readings that fit customers in several countries are one clue that fits all of these."""
    if len(phones) < 2 or not any(phones.values()):
        return phones
    everyone = dict.fromkeys(known for fitting in phones.values() for known in fitting)
    return {min(phones): tuple(everyone)}


def _folded(name: str) -> tuple[str, str]:
    """(name, surname) for comparing. `De Vries, Jan` has its surname in front, as the comma tells."""
    head, comma, _ = name.partition(",")
    words = [word for word in fold_name(head if comma else name).split() if word not in PARTICLES]
    return fold_name(name), words[-1] if words else ""


def _codes(text: str) -> Iterator[str]:
    """The booking or customer numbers in a field: the whole of it, and its parts when it lists several."""
    if not text or text.isspace():
        return
    parts = _BETWEEN.split(text)[:_MOST_READINGS]
    found = dict.fromkeys(fold_reference(part) for part in (text, *parts))
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


@lru_cache(maxsize=16_384)
def _phones(text: str, language: str, regions: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not text or text.isspace():
        return (), ()
    likely = _BY_LANGUAGE.get(language, regions[:1])
    near = dict.fromkeys(_readings(text, likely))
    if text.lstrip().startswith(("+", "00", "＋")):
        return tuple(near)[:1], ()
    far = dict.fromkeys(_readings(text, regions))
    return tuple(near), tuple(one for one in far if one not in near)


def _readings(text: str, regions: Sequence[str]) -> Iterator[str]:
    for region in regions:
        try:
            yield normalise_phone(text, (region,))
        except BadAddress:
            continue
