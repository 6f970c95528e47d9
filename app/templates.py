"""Templates and their languages: one Jinja environment a language, over the template folders of every package.

A package's templates are named `package/file.html` and stand in `package/templates/`; its translations stand in
`package/locale/<language>.po`, whose message ids are the English text. Everything is escaped unless it ends in .txt.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import floor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_unit
from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined, select_autoescape

from app.static_files import asset
from foundation.languages import NAMES, SPOKEN, called_in, in_language
from incidents import zone_city

PACKAGES = ("app", "incidents", "claims", "notify", "metrics")
_MOMENTS = {"de": "d. MMM y, HH:mm"}
_ROOT = Path(__file__).resolve().parent.parent

Render = Callable[..., str]


def render(template: str, language: str, **context: Any) -> str:
    """The text of `template` (`package/file.html`) in `language`; an unknown language falls back to English."""
    return environment(language).get_template(template).render(**context)


@lru_cache
def environment(language: str) -> Environment:
    """The Jinja environment of `language`, made once."""
    language = language if language in SPOKEN else SPOKEN[0]
    loaders = {name: FileSystemLoader(_ROOT / name / "templates") for name in PACKAGES}
    made = Environment(
        loader=PrefixLoader(loaders),
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    catalogue, one_of_them = _catalogue(language), Locale(language).plural_form
    made.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        lambda text: catalogue.get(text, text),
        lambda one, many, n: catalogue.get(form := one if one_of_them(n) == "one" else many, form),
        newstyle=True,
    )
    made.globals["language"] = language
    made.globals["languages"] = NAMES
    made.globals["asset"] = asset
    made.filters["moment"] = lambda at, zone: moment(at, zone, language)
    made.filters["called_in"] = called_in
    made.filters["said_in"] = in_language
    made.filters["day"] = lambda day, length: format_date(day, length, locale="en_GB" if language == "en" else language)
    made.filters["span"] = lambda length: span(length, language)
    made.filters["share"] = lambda share: _share(share, language)
    made.filters["city"] = lambda zone: zone_city(zone, language)
    made.filters["number"] = lambda value: format_decimal(value, locale=language)
    made.filters["money"] = lambda minor, currency: format_currency(Decimal(minor) / 100, currency, locale=language)
    return made


def moment(at: datetime, zone: str, language: str) -> str:
    """A time as people read it, always with its zone: `8 Feb 2013, 14:30 EST`."""
    local = at.astimezone(ZoneInfo(zone))
    # CLDR has no abbreviation for most zones (British English: "14:30 Eastern Standard Time"); the zone itself does.
    name = local.tzname() or "UTC"
    pattern = _MOMENTS.get(language, "d MMM y, HH:mm")
    text = format_datetime(local, pattern, locale="en_GB" if language == "en" else language)
    return f"{text} {name if name[0].isalpha() else f'UTC{name}'}"


def span(length: timedelta, language: str) -> str:
    """How long something took, in its two largest units: `3 hrs 20 mins`."""
    minutes = max(1, round(length.total_seconds() / 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    first = next(place for place, (count, _) in enumerate(parts) if count)
    said = [format_unit(count, unit, "short", locale=language) for count, unit in parts[first : first + 2] if count]
    return " ".join(said)


def _share(share: float, language: str) -> str:
    # Rounded down: what was not wholly available is not shown as 100 %.
    return format_percent(floor(share * 10_000) / 10_000, locale=language, decimal_quantization=False)


def _catalogue(language: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in PACKAGES:
        path = _ROOT / name / "locale" / f"{language}.po"
        if not path.exists():
            continue
        with path.open("rb") as file:
            for message in read_po(file, locale=language):
                ids = message.id if isinstance(message.id, tuple) else (message.id,)
                strings = message.string if isinstance(message.string, tuple) else (message.string,)
                # Plural forms: our five languages have two each, in the same order.
                texts.update({str(one): str(said) for one, said in zip(ids, strings, strict=False) if one and said})
    return texts
