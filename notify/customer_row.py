"""One row of a customer file: its nine texts become checked, normalised values, or a sentence on what is wrong.

Pure. It knows nothing of files, encodings and the database.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import get_global

from notify.addresses import BadAddress, fold_name, normalise_mail, normalise_phone

COLUMNS = (
    "customer_number",
    "name",
    "language",
    "time_zone",
    "email",
    "phone",
    "component",
    "reference",
    "needed_at",
)

_LONGEST = {"customer_number": 60, "name": 200, "component": 200, "reference": 100}
_YEARS = range(1970, 2200)


class BadRow(ValueError):
    """The row cannot be loaded. The message says which column and what to do."""


class CustomerRow(NamedTuple):
    """A row as it is stored: one customer and one exposure. `mail`, `phone` and `needed_at` may be absent."""

    number: str
    name: str
    name_key: str
    language: str
    time_zone: str
    mail: str | None
    phone: str | None
    component: str
    reference: str
    needed_at: datetime | None


def check_row(texts: Sequence[str]) -> CustomerRow:
    """The values of `texts`, in the order of `COLUMNS`. Raises `BadRow`.

    A phone number without its country is read as one of the country of the row's time zone. `needed_at` is ISO 8601,
    with an offset or else in that time zone. A language keeps its first part only (`nl-BE` is `nl`): texts are written
    per language.
    """
    number, name, language, time_zone, mail, phone, component, reference, needed_at = map(str.strip, texts)
    if not (number and name and component):
        empty = "customer_number" if not number else "name" if not name else "component"
        raise BadRow(f"{empty} is empty")
    if len(number) > 60 or len(name) > 200 or len(component) > 200 or len(reference) > 100:
        raise BadRow(_too_long(customer_number=number, name=name, component=component, reference=reference))
    language = _language(language)
    regions = _regions(time_zone)
    return CustomerRow(
        number,
        " ".join(name.split()),
        fold_name(name),
        language,
        time_zone,
        _mail(mail) if mail else None,
        _phone(phone, regions) if phone else None,
        component,
        reference,
        _moment(needed_at, time_zone) if needed_at else None,
    )


def _mail(text: str) -> str:
    try:
        return normalise_mail(text)
    except BadAddress as error:
        raise BadRow(f"email: {error}") from None


def _phone(text: str, regions: Sequence[str]) -> str:
    try:
        return normalise_phone(text, regions)
    except BadAddress as error:
        raise BadRow(f"phone: {error}") from None


def _too_long(**texts: str) -> str:
    column = next(name for name, text in texts.items() if len(text) > _LONGEST[name])
    return f"{column} is longer than {_LONGEST[column]} characters"


@lru_cache(maxsize=1_024)
def _language(text: str) -> str:
    first = text.replace("_", "-").split("-")[0].lower()
    if first not in _languages():
        raise BadRow("language must be a code of ISO 639, such as nl or en")
    return first


@lru_cache(maxsize=1)
def _languages() -> frozenset[str]:
    return frozenset(str(code) for code in Locale("en").languages if "_" not in str(code))


@lru_cache(maxsize=1_024)
def _regions(time_zone: str) -> tuple[str, ...]:
    """The country of `time_zone`, as ISO 3166; none for zones like Etc/UTC."""
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        raise BadRow("time_zone must be an IANA name, such as Europe/Amsterdam") from None
    territory = str(get_global("zone_territories").get(time_zone, "ZZ"))
    return (territory,) if territory != "ZZ" else ()


@lru_cache(maxsize=65_536)
def _moment(text: str, time_zone: str) -> datetime:
    if len(text) < len("2013-02-08T14"):
        raise BadRow("needed_at needs a date and a time, such as 2013-02-08T14:30-05:00")
    try:
        at = datetime.fromisoformat(text)
        at = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(time_zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRow("needed_at must be ISO 8601, such as 2013-02-08T14:30-05:00") from None
    if at.year not in _YEARS:
        raise BadRow("needed_at lies outside the years 1970 to 2199")
    return at
