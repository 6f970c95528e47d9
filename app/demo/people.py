"""Pools of made-up names, mail domains and phone plans, one per locale, drawn once from a seeded Faker.

It knows nothing of flights. Faker is slow, so it makes the pools and never a single person. All mail domains end in
`.example` (RFC 2606), and no phone number belongs to anybody: see `PhonePlan`.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from faker import Faker

_DRAWS = 3000


@dataclass(frozen=True, slots=True)
class PhonePlan:
    """Mobile numbers of the right length in ranges without subscribers. `prefixes` are E.164, `digits` follow them."""

    prefixes: tuple[str, ...]
    digits: int

    def number(self, serial: int) -> str:
        """The `serial`-th number, a different one for each serial until the plan is used up."""
        # An odd-looking order (7 and 10**n share no factor) so that neighbours do not have neighbouring numbers.
        turn, place = divmod(serial, len(self.prefixes))
        return f"{self.prefixes[place]}{turn * 7_919_317 % 10**self.digits:0{self.digits}d}"


@dataclass(frozen=True, slots=True)
class Locale:
    """What passengers of one country have in common. `first` and `last` are drawn with Faker's own frequencies."""

    language: str
    time_zones: tuple[str, ...]
    phones: PhonePlan
    domains: tuple[str, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]


# The 555 exchange of North America has no subscribers. Elsewhere: ranges of a possible length that libphonenumber does
# not count as valid, so that they are nobody's; and no number dialled at home is one of another country's here.
_AREA_CODES = "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 301 302 303 304 305 307 308 309 310"
_AREA_CODES += " 312 313 314 315 316 317 318 319 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419"
_US = PhonePlan(tuple(f"+1{area}555" for area in _AREA_CODES.split()), 4)

# locale: share of the passengers, time zones, phones, mail domains
_PLANS: dict[str, tuple[float, str, PhonePlan, str]] = {
    "en_US": (0.62, "America/New_York America/Chicago America/Los_Angeles", _US, "post mailbox inbox-mail fastpost"),
    "nl_NL": (0.13, "Europe/Amsterdam", PhonePlan(("+31600",), 6), "postbus brievenbus thuispost"),
    "en_GB": (0.05, "Europe/London", PhonePlan(("+446700",), 6), "royalpost letterbox"),
    "de_DE": (0.05, "Europe/Berlin", PhonePlan(("+4919900", "+4919901"), 6), "briefkasten schnellpost"),
    "fr_FR": (0.04, "Europe/Paris", PhonePlan(("+33700", "+33701"), 6), "courrier boite-aux-lettres"),
    "es_ES": (0.04, "Europe/Madrid", PhonePlan(("+34790", "+34791"), 6), "correo buzon"),
    "pl_PL": (0.02, "Europe/Warsaw", PhonePlan(("+48400",), 6), "poczta skrzynka"),
    "sv_SE": (0.02, "Europe/Stockholm", PhonePlan(("+46750",), 6), "brevlada"),
    "it_IT": (0.02, "Europe/Rome", PhonePlan(("+393000",), 6), "posta casella"),
    "fi_FI": (0.01, "Europe/Helsinki", PhonePlan(("+358490",), 6), "postilaatikko"),
}


def locales(seed: int) -> tuple[tuple[Locale, ...], tuple[float, ...]]:
    """The locales, and the share of the passengers that each has."""
    made = tuple(_locale(code, seed) for code in _PLANS)
    return made, tuple(plan[0] for plan in _PLANS.values())


def company_domains(seed: int, count: int = 400) -> tuple[str, ...]:
    """Mail domains of made-up companies: the long tail behind the large mail services."""
    faker = Faker("en_US")
    faker.seed_instance(seed)
    kinds = ("consulting", "foods", "partners", "design", "logistics", "software", "and-sons", "travel")
    names = [f"{ascii_letters(faker.last_name())}-{faker.random_element(kinds)}.example" for _ in range(count)]
    return tuple(dict.fromkeys(names))


def ascii_letters(text: str) -> str:
    """`text` as people write it in a mail address: `Łukasz Löf` is `lukaszlof`."""
    return "".join(letter for letter in without_diacritics(text).lower() if "a" <= letter <= "z")


def without_diacritics(text: str) -> str:
    """`text` as typed on a keyboard without accents: `Łukasz Müßig` is `Lukasz Mussig`."""
    plain = text.translate(_LETTERS)
    return "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))


def pick(random: Random, pool: Sequence[str]) -> str:
    """One of `pool`. Three times as fast as `random.choice`, which counts in a million draws."""
    return pool[int(random.random() * len(pool))]


# Letters that Unicode does not take apart into a base letter and a mark.
_LETTERS = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "ß": "ss", "æ": "ae", "Æ": "Ae", "đ": "d"})


def _locale(code: str, seed: int) -> Locale:
    _, zones, phones, domains = _PLANS[code]
    faker = Faker(code)
    faker.seed_instance(seed)
    first = tuple(faker.first_name() for _ in range(_DRAWS))
    # Without "Alst, van" (the file has commas of its own) and what no ticket has room for.
    last = tuple(name for name in (faker.last_name() for _ in range(_DRAWS)) if "," not in name and len(name) < 24)
    if code == "es_ES":  # two surnames, the father's and the mother's
        last = tuple(f"{one} {two}" for one, two in zip(last, reversed(last), strict=True))
    return Locale(
        language=code[:2],
        time_zones=tuple(zones.split()),
        phones=phones,
        domains=tuple(f"{domain}.example" for domain in domains.split()),
        first=first,
        last=last,
    )
