"""How people really type their name, numbers and addresses. Pure: a value and dice in, a mess out.

Everything here keeps its meaning: whoever knows what was meant can read it back. It knows nothing of passengers.
"""

import re
from collections.abc import Callable
from random import Random

from app.demo.people import pick, without_diacritics

# Calling code → what stands in front of a number at home, for the countries the passengers come from.
_TRUNK = {"1": "", "31": "0", "44": "0", "49": "0", "33": "0", "34": "", "48": "", "46": "0", "39": "", "358": "0"}
_TITLES = ("Mr.", "Mrs", "Ms.", "dr.", "dhr.", "mw.")


def full_name(random: Random, first: str, last: str) -> str:
    """First and last name, recognisable on their own among relatives."""
    roll = random.random()
    name = f"{last}, {first}" if roll < 0.1 else f"{first} {last}"
    if 0.1 <= roll < 0.4:
        name = without_diacritics(name)
    return _spaced(random, _cased(random, name))


def some_name(random: Random, first: str, last: str) -> str:
    """A name that fits together with something else: an initial, a title, a slip, the surname alone, lost accents."""
    roll = random.random()
    if roll < 0.5:
        return full_name(random, first, last)
    if roll < 0.65:
        name = last
    elif roll < 0.75:
        name = f"{first[0]}. {last}"
    elif roll < 0.82:
        name = f"{pick(random, _TITLES)} {first} {last}"
    elif roll < 0.9:
        name = f"{first} {_slip(random, last)}"
    else:
        return _spaced(random, _mangled(f"{first} {last}"))
    return _spaced(random, _cased(random, name))


def code(random: Random, value: str) -> str:
    """A booking reference or customer number: small letters, dashes, spaces between, in front and behind."""
    if random.random() < 0.4:
        return value
    text = value.lower() if random.random() < 0.6 else value
    if random.random() < 0.5:
        middle = len(text) // 2
        text = f"{text[:middle]}{pick(random, (' ', '-', ' - ', '.'))}{text[middle:]}"
    return _spaced(random, text)


def mail(random: Random, value: str) -> str:
    """A mail address in capitals, half in capitals, with spaces around it or as a link."""
    roll = random.random()
    if roll < 0.5:
        return value
    if roll < 0.7:
        return value.upper()
    if roll < 0.85:
        return ".".join(part.capitalize() for part in value.split("."))
    return f"mailto:{value}" if roll < 0.9 else _spaced(random, value)


def international_phone(random: Random, value: str) -> str:
    """An E.164 number with its country, as people write it: spaces, dashes, brackets, 00 for the plus."""
    country, rest = _country(value)
    trunk = "(0)" if _TRUNK[country] and random.random() < 0.3 else ""
    plus = "00" if random.random() < 0.25 else "+"
    return f"{plus}{country} {trunk}{_grouped(random, rest)}"


def national_phone(random: Random, value: str) -> str:
    """An E.164 number as it is dialled at home; without the country it can only be read knowing where that is."""
    country, rest = _country(value)
    if country == "1":
        area, exchange, line = rest[:3], rest[3:6], rest[6:]
        shapes = (f"({area}) {exchange}-{line}", f"{area}.{exchange}.{line}", f"1-{area}-{exchange}-{line}", rest)
        return pick(random, shapes)
    return _TRUNK[country] + _grouped(random, rest)


def slipped_code(random: Random, value: str) -> str:
    """A code with one letter or digit wrong."""
    place = 2 + int(random.random() * (len(value) - 2))
    other = pick(random, [letter for letter in "23456789" if letter != value[place]])
    return value[:place] + other + value[place + 1 :]


def _country(value: str) -> tuple[str, str]:
    digits = value[1:]
    country = next(digits[:length] for length in (1, 2, 3) if digits[:length] in _TRUNK)
    return country, digits[len(country) :]


def _grouped(random: Random, digits: str) -> str:
    size = pick(random, ("2", "3", "9"))
    gap = pick(random, (" ", "-", " "))
    return gap.join(re.findall(f".{{1,{size}}}", digits))


def _cased(random: Random, text: str) -> str:
    change: Callable[[str], str] = random.choices((str, str.upper, str.lower, str.title), (6, 2, 2, 1))[0]
    return change(text)


def _spaced(random: Random, text: str) -> str:
    roll = random.random()
    if roll < 0.7:
        return text
    if roll < 0.85:
        return f"{text}  "
    return f"  {text.replace(' ', '   ')}" if roll < 0.97 else f"\u200b{text}\t"


def _slip(random: Random, word: str) -> str:
    """`word` with two letters exchanged."""
    if len(word) < 5:
        return word
    place = 1 + int(random.random() * (len(word) - 3))
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _mangled(text: str) -> str:
    """`text` after a program read its UTF-8 as Latin-1: `Löf` is `LÃ¶f`."""
    return text.encode().decode("latin-1")
