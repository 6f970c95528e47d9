"""One spelling for each mail address, phone number, name and reference, so that equal things compare equal.

Pure: text in, text out. It knows nothing of customers, of the database, or of whether an address works.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, ValidationResult

_MAIL_LONGEST = 254  # RFC 5321 section 4.5.3.1.3: a path of 256, less its angle brackets
_PHONE_LONGEST = 60


class BadAddress(ValueError):
    """The text cannot be an address. The message says what is wrong, in words for whoever can mend it."""


# --- mail -----------------------------------------------------------------------------------------------------------

# A dot-atom of RFC 5322 section 3.2.3 and a domain; anything else is left to the library.
_PLAIN_MAIL = re.compile(r"([a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*)@([^\s@]+)")


def normalise_mail(text: str) -> str:
    """The mail address in `text`, in lower case and with its domain in ASCII (IDNA), as a mail server takes it.

    Spaces around it, invisible characters and a `mailto:` are forgiven. Dots and plus-tags stay: they are part of the
    address for most providers. Raises `BadAddress`.
    """
    address = _visible(text).strip().lower().removeprefix("mailto:").strip()
    if not address:
        raise BadAddress("The mail address is empty.")
    if len(address) > _MAIL_LONGEST:
        raise BadAddress("The mail address is longer than mail servers accept.")
    plain = _PLAIN_MAIL.fullmatch(address)
    if plain is None:
        return _odd_mail(address)
    local, domain = plain.groups()
    if len(local) > 64:
        raise BadAddress("The part before the @-sign is longer than mail servers accept.")
    address = f"{local}@{_domain(domain)}"
    if len(address) > _MAIL_LONGEST:
        raise BadAddress("The mail address is longer than mail servers accept.")
    return address


def _odd_mail(address: str) -> str:
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise BadAddress(f"This is not a mail address. {error}") from None
    return (found.ascii_email or found.normalized).lower()


@lru_cache(maxsize=65_536)
def _domain(domain: str) -> str:
    try:
        found = validate_email(f"a@{domain}", check_deliverability=False)
    except EmailNotValidError as error:
        raise BadAddress(f"This is not a mail address. {error}") from None
    return (found.ascii_domain or domain).lower()


# --- phone ----------------------------------------------------------------------------------------------------------

_PLAIN_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def normalise_phone(text: str, regions: Sequence[str] = ()) -> str:
    """The phone number in `text` as E.164 (`+31612345678`).

    A number without its country is read as one of `regions` (ISO 3166 codes, the likeliest first), then as one whose
    plus was left out. A number counts when its length is possible in its country: stricter checks go out of date with
    every numbering plan. An extension is dropped. Raises `BadAddress`.
    """
    number = _visible(text).strip()
    if _PLAIN_E164.fullmatch(number) and _is_settled(number):
        return number
    if not number:
        raise BadAddress("The phone number is empty.")
    if len(number) > _PHONE_LONGEST:
        raise BadAddress("The phone number is far too long.")
    return _parsed_phone(number, tuple(regions))


def phone_readings(text: str, regions: Sequence[str]) -> tuple[str, ...]:
    """Every E.164 number that `text` may stand for, in the order of `regions`; one with its country has one reading.

    For asking the directory which of them somebody has. Lenient and fast: lengths count, not whether a range is in use.
    """
    number = _visible(text).strip()
    if not number or len(number) > _PHONE_LONGEST:
        return ()
    if not _NATIONAL.fullmatch(number) or number.startswith("00"):
        try:
            return (normalise_phone(number, regions),)
        except BadAddress:
            return ()
    digits = _NOT_DIGITS.sub("", number)
    return tuple(dict.fromkeys(reading for region in regions for reading in _national_readings(digits, region)))


_NATIONAL = re.compile(r"[0-9 ().\-/]+", re.ASCII)
_NOT_DIGITS = re.compile(r"[^0-9]+")


def _national_readings(digits: str, region: str) -> Iterator[str]:
    """`digits` as dialled inside `region`, and as its international number without the plus."""
    code = str(phonenumbers.country_code_for_region(region))
    plan = _plan(code)
    if plan is None:
        return
    lengths, prefix = plan
    trunk = prefix.match(digits) if prefix is not None else None
    for national in (digits[trunk.end() :] if trunk else "", digits, digits[len(code) :] * digits.startswith(code)):
        if len(national) in lengths and (prefix is None or prefix.match(national) is None):
            yield f"+{code}{national}"


def _is_settled(number: str) -> bool:
    """Whether the library would give `number` (plus and digits) back unchanged: its parser is slow, this is not."""
    for digits in (1, 2, 3):
        plan = _plan(number[1 : 1 + digits])
        if plan is not None:
            lengths, prefix = plan
            national = number[1 + digits :]
            return len(national) in lengths and (prefix is None or prefix.match(national) is None)
    return False


@lru_cache(maxsize=2_048)
def _plan(calling_code: str) -> tuple[frozenset[int], re.Pattern[str] | None] | None:
    """Possible lengths and national prefix of the plan behind a calling code; None when there is no such code."""
    region = phonenumbers.region_code_for_country_code(int(calling_code))
    if region == phonenumbers.UNKNOWN_REGION:
        return None
    plan = PhoneMetadata.metadata_for_region_or_calling_code(int(calling_code), region)
    if plan is None or plan.general_desc is None:
        return None
    prefix = plan.national_prefix_for_parsing
    return frozenset(plan.general_desc.possible_length), re.compile(prefix) if prefix else None


@lru_cache(maxsize=16_384)
def _parsed_phone(number: str, regions: tuple[str, ...]) -> str:
    international = number if number.startswith(("+", "＋", "tel:")) else None
    attempts: list[tuple[str, str | None]]
    if international is not None:
        attempts = [(number, None)]
    else:
        bare = number.removeprefix("00")
        attempts = [*((number, region) for region in regions), (f"+{bare}", None)]
    readings = [reading for reading in (_read(*attempt) for attempt in attempts) if reading is not None]
    best = next((one for one in readings if phonenumbers.is_valid_number(one)), None)
    if best is None and (regions or international is not None or number.startswith("00")):
        best = next(iter(readings), None)
    if best is None:
        raise BadAddress("This is not a phone number that can be called; write it with its country, like +31612345678.")
    return phonenumbers.format_number(best, PhoneNumberFormat.E164)


def _read(number: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        found = phonenumbers.parse(number, region)
    except NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(found) != ValidationResult.IS_POSSIBLE:
        return None
    # Rows of zeros and the like lose another prefix each time they are read: no real number does.
    written = phonenumbers.format_number(found, PhoneNumberFormat.E164)
    again = phonenumbers.parse(written, None)
    return found if phonenumbers.format_number(again, PhoneNumberFormat.E164) == written else None


# --- names and references -------------------------------------------------------------------------------------------

# Letters that Unicode does not take apart into a base and a mark, as people without that key type them.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ŋ": "ng"}
    | dict.fromkeys("'’‘‛`´ʼʹʻ′＇׳ʾʿ", "")
)
_NOT_LETTERS = re.compile(r"[\W_]+")
_COMMON_MARKS = re.compile("[\u0300-\u036f]+")


def fold_name(text: str) -> str:
    """`text` for comparing names: no case, no accents, no apostrophes, single spaces for everything between words.

    `O’Brien-Łukasz` becomes `obrien lukasz`. Folding twice changes nothing. Never show the result to a person.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(_LETTERS).casefold())
        text = _COMMON_MARKS.sub("", text).translate(_LETTERS)
        if not text.isascii():
            return _fold_unicode(text)
    return _NOT_LETTERS.sub(" ", text.lower().translate(_LETTERS)).strip()


def _fold_unicode(text: str) -> str:
    # Decomposing can make letters that fold again, and the other way round (UAX 15, section 7), hence the repetition.
    while True:
        folded = unicodedata.normalize("NFKD", text.translate(_LETTERS).casefold()).translate(_LETTERS)
        folded = "".join(one for one in folded if not unicodedata.combining(one) and not _is_invisible(one))
        folded = _NOT_LETTERS.sub(" ", folded).strip()
        if folded == text:
            return folded
        text = folded


def fold_reference(text: str) -> str:
    """A booking, contract or customer number for comparing: capitals, letters and digits only. `ab-12 c` is `AB12C`."""
    if not text.isascii():
        text = "".join(one for one in unicodedata.normalize("NFKC", text) if not _is_invisible(one))
    return _NOT_LETTERS.sub("", text.upper())


def _visible(text: str) -> str:
    return text if text.isascii() else "".join(one for one in text if not _is_invisible(one))


def _is_invisible(one: str) -> bool:
    """Zero-width joiners, soft hyphens, direction marks (category Cf) and variation selectors."""
    return unicodedata.category(one) == "Cf" or "\ufe00" <= one <= "\ufe0f"
