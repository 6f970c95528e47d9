"""What somebody is entitled to: the rules of a scheme applied to what happened, with the working. Pure.

Facts in, an assessment out. A fact that nobody knows is never taken for no: then the assessment says what is missing.
Money is whole minor units (cents); a share is rounded up, never to the customer's loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from claims.schemes import Condition, Fact, Grant, Scheme, Version

Outcome = Literal["entitled", "nothing", "unknown", "not_in_force"]
_WORKING_DAYS_TO_REPAIR = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A step of the working. `code`: holds | fails | amount | share | steps | floor | exempt | total.

    `fact`, `operator`, `value`: of a condition (`actual`: what is so); `minor`: the money it makes; `count`: how often.
    """

    code: str
    fact: str = ""
    operator: str = ""
    value: Fact = ""
    actual: Fact = ""
    minor: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is due under a scheme, and why. `since`: of the version used; `missing`: facts still to be found out."""

    scheme: str
    outcome: Outcome
    since: date | None = None
    verified: bool = True
    currency: str = ""
    minor: int = 0
    exempt: str = ""
    missing: Sequence[str] = ()
    working: Sequence[Line] = ()


def assess(scheme: Scheme, on: date, known: Mapping[str, Fact]) -> Assessment:
    """What `scheme` gives for what happened `on` a day, as far as `known`."""
    version = scheme.in_force(on)
    if version is None:
        return Assessment(scheme.code, "not_in_force")
    facts = {**version.assumed, **known}
    lines: list[Line] = []
    missing: list[str] = []
    for exemption in version.exempt:
        verdict, unknown = _all(exemption.when, facts)
        if verdict:
            said = Line("exempt", value=exemption.says)
            return _nothing(scheme, version, [*_holding(exemption.when, facts), said], exemption.says)
        missing += unknown
    minor = 0
    for grant in version.grants:
        verdict, unknown = _all(grant.when, facts)
        missing += unknown + ([] if not verdict else _needed(grant, facts))
        if verdict is False or missing:
            continue
        made, shown = _worth(grant, facts)
        minor += made
        lines += [*_holding(grant.when, facts), *shown]
        if version.pick == "first":
            break
    if missing:
        asked = tuple(dict.fromkeys(missing))
        return Assessment(scheme.code, "unknown", version.since, version.verified, version.currency, missing=asked)
    if not minor:
        return _nothing(scheme, version, _failing(version, facts))
    lines.append(Line("total", minor=minor))
    return Assessment(
        scheme.code, "entitled", version.since, version.verified, version.currency, minor, working=tuple(lines)
    )


def days_past_repair(reported: datetime, repaired: datetime) -> int:
    """Calendar days without service after the second full working day since the report, in the zone of the times.

    Monday to Friday; public holidays differ by place, and without them it is more.
    """
    day, left = reported.date(), _WORKING_DAYS_TO_REPAIR
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    return max(0, (repaired.date() - day).days)


def _nothing(scheme: Scheme, version: Version, lines: Sequence[Line], exempt: str = "") -> Assessment:
    return Assessment(
        scheme.code, "nothing", version.since, version.verified, version.currency, exempt=exempt, working=tuple(lines)
    )


def _all(conditions: Sequence[Condition], facts: Mapping[str, Fact]) -> tuple[bool | None, list[str]]:
    """Whether all hold; None, with the facts that are missing, when that depends on something nobody knows."""
    if any(one.fact in facts and not _holds(one, facts[one.fact]) for one in conditions):
        return False, []
    unknown = [one.fact for one in conditions if one.fact not in facts]
    return (None, unknown) if unknown else (True, [])


def _holds(condition: Condition, actual: Fact) -> bool:
    value = condition.value
    if isinstance(value, tuple):
        return actual in value
    if condition.operator == "is":
        return actual == value
    assert isinstance(value, int)  # the loader lets only numbers be compared by size
    assert isinstance(actual, int)
    return {
        ">": actual > value,
        ">=": actual >= value,
        "<": actual < value,
        "<=": actual <= value,
    }[condition.operator]


def _needed(grant: Grant, facts: Mapping[str, Fact]) -> list[str]:
    named = [grant.of, grant.step.fact if grant.step else None]
    return [one for one in named if one is not None and one not in facts]


def _worth(grant: Grant, facts: Mapping[str, Fact]) -> tuple[int, list[Line]]:
    """What a grant comes to, and how."""
    made, lines = grant.amount, []
    if grant.amount:
        lines.append(Line("amount", minor=made))
    part = 0
    if grant.of is not None:
        numerator, denominator = grant.share
        part = -(-int(facts[grant.of]) * numerator // denominator)
        lines.append(Line("share", grant.of, value=f"{numerator}/{denominator}", actual=facts[grant.of], minor=part))
    if grant.step is None:
        made += part
    else:
        step = grant.step
        count = -(-max(0, int(facts[step.fact]) - step.after) // step.per)
        each = part if step.amount is None else step.amount
        made += count * each
        if count:
            lines.append(Line("steps", step.fact, value=step.per, actual=step.after, minor=each, count=count))
    if made < grant.floor:
        made = grant.floor
        lines.append(Line("floor", minor=made))
    return made, lines


def _holding(conditions: Sequence[Condition], facts: Mapping[str, Fact]) -> list[Line]:
    return [_line("holds", one, facts) for one in conditions]


def _failing(version: Version, facts: Mapping[str, Fact]) -> list[Line]:
    """Of every grant the first condition that fails: together they tell why there is nothing."""
    lines: dict[tuple[str, str, object], Line] = {}
    for grant in version.grants:
        for one in grant.when:
            if not _holds(one, facts[one.fact]) if one.fact in facts else False:
                lines.setdefault((one.fact, one.operator, one.value), _line("fails", one, facts))
                break
    return list(lines.values())


def _line(code: str, one: Condition, facts: Mapping[str, Fact]) -> Line:
    value = ", ".join(one.value) if isinstance(one.value, tuple) else one.value
    return Line(code, one.fact, one.operator, value, facts[one.fact])
