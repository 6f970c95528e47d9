"""The rules of compensation as data: files in `claims/schemes/`, read once and checked whole.

A scheme has versions, each with the date it is in force from, where it was read, and whether somebody checked it. What
the rules come to in a case is worked out in `claims.entitlement`; nothing here knows a case.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

Fact: TypeAlias = int | bool | str
FactKind = Literal["minutes", "kilometres", "days", "count", "money", "yes_no", "choice"]
Operator = Literal["is", "in", ">", ">=", "<", "<="]
Pays = Literal["account", "original", "bill"]

# Everything a rule may ask, and what kind of answer it takes. Money is in minor units of the scheme's currency.
FACTS: Mapping[str, FactKind] = {
    "delay_minutes": "minutes",
    "distance_km": "kilometres",
    "within_eu": "yes_no",
    "international": "yes_no",
    "cancelled": "yes_no",
    "notice_days": "days",
    "rerouted": "yes_no",
    "early_minutes": "minutes",
    "took_alternative": "yes_no",
    "fare": "money",
    "bag_fee": "money",
    "bag_delay_minutes": "minutes",
    "flight_minutes": "minutes",
    "outage_minutes": "minutes",
    "monthly_fee": "money",
    "prepaid": "yes_no",
    "connection": "choice",
    "fault_level": "choice",
    "days_past_repair": "days",
    "missed_visits": "count",
    "start_days_late": "days",
    "cause": "choice",
}
CHOICES: Mapping[str, Sequence[str]] = {
    "connection": ("up_to_1x10a", "up_to_3x25a", "over_3x25a", "medium_voltage"),
    "fault_level": ("low", "medium", "high", "national"),
    "cause": ("ordinary", "extraordinary", "earthquake", "flood", "terror", "war", "customer_missed_visit"),
}
LARGEST = 100_000_000  # no number or amount in a case is larger: a million, in cents


@dataclass(frozen=True, slots=True)
class Condition:
    """`fact` compared with `value`, as in: delay_minutes >= 180."""

    fact: str
    operator: Operator
    value: Fact | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """More for every started `per` of `fact` beyond `after`: `amount` each, or the grant's share where that is None."""

    fact: str
    per: int
    after: int
    amount: int | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What is due when all of `when` holds: `amount`, or `share` of the fact `of`; with steps, and at least `floor`."""

    when: tuple[Condition, ...]
    amount: int
    of: str | None
    share: tuple[int, int]
    step: Step | None
    floor: int


@dataclass(frozen=True, slots=True)
class Exemption:
    """When all of `when` holds nothing is due; `says`: the code of why."""

    says: str
    when: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A scheme as it was in force from a date. `pick`: the first grant that holds, or all. `assumed`: unless said."""

    since: date
    source: str
    checked: date
    verified: bool
    currency: str
    pick: Literal["first", "all"]
    assumed: Mapping[str, Fact]
    exempt: tuple[Exemption, ...]
    grants: tuple[Grant, ...]

    def asks(self) -> list[str]:
        """The facts it may need, in the order of `FACTS`."""
        conditions = [one for exemption in self.exempt for one in exemption.when]
        conditions += [one for grant in self.grants for one in grant.when]
        named = {one.fact for one in conditions} | {one.of for one in self.grants}
        named |= {one.step.fact for one in self.grants if one.step}
        return [fact for fact in FACTS if fact in named]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A law or scheme. `unit`: what it pays once for; `pays`: into an account, the way it was paid, or off the bill."""

    code: str
    law: str
    country: str
    kind: Literal["compensation", "refund"]
    unit: Literal["passenger", "connection"]
    pays: Pays
    automatic: bool
    versions: tuple[Version, ...]

    def in_force(self, on: date) -> Version | None:
        """The version in force on a day; None: the scheme did not exist yet."""
        return max((one for one in self.versions if one.since <= on), key=lambda one: one.since, default=None)


class BadScheme(Exception):
    """A file of rules cannot be read: the message says which, and what is wrong."""


@lru_cache
def schemes() -> Mapping[str, Scheme]:
    """All schemes, by code. Raises `BadScheme`."""
    found = {}
    for path in sorted((Path(__file__).parent / "schemes").glob("*.toml")):
        with path.open("rb") as file:
            scheme = read_scheme(path.name, tomllib.load(file))
        found[scheme.code] = scheme
    return found


def read_scheme(name: str, data: Mapping[str, Any]) -> Scheme:
    """A scheme from the content of its file. Raises `BadScheme`."""
    try:
        versions = tuple(_version(one) for one in data["version"])
        plain = {key: data[key] for key in ("code", "law", "country", "kind", "unit", "pays", "automatic")}
        _check_whole(versions, plain["pays"])
        return Scheme(**plain, versions=versions)
    except (KeyError, TypeError, ValueError) as wrong:
        raise BadScheme(f"{name}: {wrong!r}") from wrong


def _check_whole(versions: Sequence[Version], pays: str) -> None:
    dates = [one.since for one in versions]
    if not dates or dates != sorted(set(dates)):
        raise ValueError("versions stand in the order of their dates, one a date")
    if pays not in get_args(Pays):
        raise ValueError(f"pays must be one of {', '.join(get_args(Pays))}")


def _version(data: Mapping[str, Any]) -> Version:
    if data["pick"] not in ("first", "all"):
        raise ValueError("pick must be first or all")
    for fact, value in data["assumed"].items():
        check_fact(fact, value)
    return Version(
        since=data["from"],
        source=data["source"],
        checked=data["checked"],
        verified=data["verified"],
        currency=data["currency"],
        pick=data["pick"],
        assumed=data["assumed"],
        exempt=tuple(Exemption(one["says"], _conditions(one["when"])) for one in data["exempt"]),
        grants=tuple(_grant(one) for one in data["grant"]),
    )


def _grant(data: Mapping[str, Any]) -> Grant:
    if unknown := set(data) - {"when", "amount", "of", "share", "step", "floor"}:
        raise ValueError(f"a grant has no {', '.join(sorted(unknown))}")
    of, step = data.get("of"), data.get("step")
    if of is not None and FACTS[of] != "money":
        raise ValueError(f"{of} is no money")
    part, whole = data.get("share", (1, 1))
    return Grant(
        when=_conditions(data["when"]),
        amount=_natural(data.get("amount", 0)),
        of=of,
        share=(_natural(part), _natural(whole)),
        step=None if step is None else _step(step, of),
        floor=_natural(data.get("floor", 0)),
    )


def _step(data: Mapping[str, Any], of: str | None) -> Step:
    if FACTS[data["fact"]] in ("yes_no", "choice") or data["per"] < 1:
        raise ValueError("a step counts a number, in parts of one or more")
    amount = data.get("amount")
    if (amount is None) != (of is not None):
        raise ValueError("a step has an amount, or the grant has a share")
    return Step(data["fact"], data["per"], data.get("after", 0), None if amount is None else _natural(amount))


def _natural(number: int) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no amount")
    return number


def _conditions(listed: Sequence[Sequence[Any]]) -> tuple[Condition, ...]:
    return tuple(_condition(*one) for one in listed)


def _condition(fact: str, operator: Operator, value: Any) -> Condition:
    if operator not in get_args(Operator):
        raise ValueError(f"{operator!r} compares nothing")
    if operator == "in":
        for one in value:
            check_fact(fact, one)
        return Condition(fact, operator, tuple(value))
    check_fact(fact, value)
    return Condition(fact, operator, value)


def check_fact(fact: str, value: object) -> None:
    """Raises `ValueError` unless `value` can be said of `fact`."""
    kind = FACTS[fact]
    if kind == "yes_no":
        fits = type(value) is bool
    elif kind == "choice":
        fits = value in CHOICES[fact]
    else:
        fits = type(value) is int and 0 <= value <= LARGEST
    if not fits:
        raise ValueError(f"{value!r} cannot be said of {fact}")
