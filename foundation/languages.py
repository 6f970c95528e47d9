"""The languages we speak with the public, how one is chosen, and which text stands in where one is missing. Pure.

It knows no texts and no requests: wishes come as language tags or as Accept-Language wrote them.
"""

import re
from collections.abc import Collection, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import TypeVar

from babel import Locale

# The first is the one every text exists in, and what stands in for the others.
SPOKEN = ("en", "nl", "de", "fr", "es")
# Each in its own words: whoever looks for theirs may not read another.
NAMES: Mapping[str, str] = MappingProxyType(
    {"en": "English", "nl": "Nederlands", "de": "Deutsch", "fr": "Français", "es": "Español"}
)

T = TypeVar("T")
_WEIGHED = re.compile(r"(?P<tag>[a-z]+)(-[a-z0-9-]*)?(\s*;\s*q=(?P<weight>[01](\.[0-9]{0,3})?))?")


def choose_language(*wishes: str | None, among: Collection[str] = SPOKEN) -> str:
    """The first wish we speak; each is a language tag or an Accept-Language header. English when none fits.

    Within a header the highest weight counts (RFC 9110, 12.5.4), among equals the first; `q=0` is a language unwanted.
    """
    for wish in wishes:
        weighed = [_WEIGHED.fullmatch(part.strip().lower()) for part in (wish or "").split(",")]
        spoken = [(float(one["weight"] or 1), one["tag"]) for one in weighed if one and one["tag"] in among]
        weight, tag = max(spoken, key=itemgetter(0), default=(0.0, ""))
        if weight:
            return tag
    return SPOKEN[0]


def called_in(tag: str, language: str) -> str:
    """What a reader of `language` calls the language `tag`, as it stands in a sentence: `Englisch`, `anglais`."""
    return Locale(tag).get_display_name(language) or NAMES[tag]


def in_language(texts: Mapping[str, T], language: str) -> tuple[str, T]:
    """The text for a reader of `language`, and the language it is in: theirs, else English, else whatever there is.

    `texts` may not be empty. Where the languages differ the reader is told, and the text marked as what it is.
    """
    for tag in (language, *SPOKEN):
        if tag in texts:
            return tag, texts[tag]
    return next(iter(texts.items()))
