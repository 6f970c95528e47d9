"""How components fared, day by day: what the bars of the page show and what their tables say in words. Pure.

A day is a calendar day of the page's time zone. Known is what updates said of a component; before it was, nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from incidents.lifecycle import STATUSES, ComponentStatus
from incidents.snapshot import ShownComponent, StatusChange

DAYS = 90
# Of an hour in this state so much counts as not working. Half the services of a partial outage work; a disruption and
# planned work are shown, and count as working.
_LOST: Mapping[ComponentStatus, float] = {"major_outage": 1.0, "partial_outage": 0.3}


@dataclass(frozen=True, slots=True)
class Day:
    """One day. `worst` None: nothing is known. `touched`: how many were in trouble; `longest`: that of one of them."""

    date: date
    worst: ComponentStatus | None
    touched: int = 0
    longest: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Record:
    """The days of a group, or of one component (`name`), oldest first. `share`: of the known time, what it worked."""

    name: str | None
    size: int
    days: Sequence[Day]
    share: float | None

    @property
    def troubled(self) -> Sequence[Day]:
        """The days on which something did not work as it should, newest first."""
        return [day for day in reversed(self.days) if day.worst not in (None, "operational")]

    @property
    def runs(self) -> "Sequence[Run]":
        """The days as few stretches, for whoever draws them."""
        found = []
        for worst, days in groupby(enumerate(self.days), key=lambda one: one[1].worst):
            listed = list(days)
            found.append(Run(listed[0][0], len(listed), worst))
        return found


class Run(NamedTuple):
    """Days of one kind next to each other: from day `first` on, so many."""

    first: int
    length: int
    worst: ComponentStatus | None


class _Spell(NamedTuple):
    status: ComponentStatus
    begin: float
    end: float


class _Tally:
    """What is known of one bar, day by day. Times are Unix seconds; `edges` are the midnights, one more than days."""

    def __init__(self, edges: Sequence[float]) -> None:
        count = len(edges) - 1
        self._edges = edges
        self._worst = [-1] * count
        self._touched = [0] * count
        self._longest = [0.0] * count
        self._known = 0.0
        self._lost = 0.0

    def add(self, begin: float, spells: Iterable[_Spell]) -> None:
        """A component that is known from `begin` on, with the spells in which it did not work as it should."""
        end = self._edges[-1]
        begin = max(begin, self._edges[0])
        self._known += max(0.0, end - begin)
        for day in range(max(0, bisect_right(self._edges, begin) - 1), len(self._worst)):
            self._worst[day] = max(self._worst[day], 0)
        in_trouble: dict[int, float] = {}
        for spell in spells:
            for day, seconds in self._days_of(spell):
                in_trouble[day] = in_trouble.get(day, 0.0) + seconds
                self._worst[day] = max(self._worst[day], STATUSES.index(spell.status))
                self._lost += seconds * _LOST.get(spell.status, 0.0)
        for day, seconds in in_trouble.items():
            self._touched[day] += 1
            self._longest[day] = max(self._longest[day], seconds)

    def _days_of(self, spell: _Spell) -> Iterable[tuple[int, float]]:
        day = max(0, bisect_right(self._edges, spell.begin) - 1)
        while day < len(self._worst) and self._edges[day] < spell.end:
            seconds = min(spell.end, self._edges[day + 1]) - max(spell.begin, self._edges[day])
            if seconds > 0:
                yield day, seconds
            day += 1

    def record(self, name: str | None, size: int, days: Sequence[date]) -> Record:
        """All of it."""
        worst = [None if rank < 0 else STATUSES[rank] for rank in self._worst]
        longest = [timedelta(seconds=round(seconds)) for seconds in self._longest]
        listed = tuple(Day(*one) for one in zip(days, worst, self._touched, longest, strict=True))
        return Record(name, size, listed, 1 - self._lost / self._known if self._known else None)


def window(now: datetime, zone: str, *, days: int = DAYS) -> Sequence[date]:
    """The last `days` days in `zone`, today at the end."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return [today - timedelta(days=ago) for ago in reversed(range(days))]


def midnight(day: date, zone: str) -> datetime:
    """The instant a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))


def records(
    components: Sequence[ShownComponent],
    changes: Sequence[StatusChange],
    *,
    now: datetime,
    zone: str,
    days: int = DAYS,
) -> list[Record]:
    """One for each group, and for each component that is in none, in the order of `components`.

    `changes`: every change of status since the first day began, by component and time.
    """
    shown = window(now, zone, days=days)
    edges = [midnight(day, zone).timestamp() for day in shown] + [now.timestamp()]
    by_key = {key: list(of_one) for key, of_one in groupby(changes, key=lambda one: one.component_key)}
    found = []
    for name, members in groupby(components, key=lambda one: (one.group, None if one.group else one.name)):
        listed = list(members)
        tally = _Tally(edges)
        for one in listed:
            tally.add(one.created_at.timestamp(), _spells(one, by_key.get(one.key, ()), edges))
        found.append(tally.record(name[0] or name[1], len(listed), shown))
    return found


def _spells(one: ShownComponent, changes: Sequence[StatusChange], edges: Sequence[float]) -> Iterable[_Spell]:
    status, since = (changes[0].old if changes else one.status), edges[0]
    if not changes and status != "operational":
        since = max(since, one.updated_at.timestamp())
    for change in changes:
        at = change.at.timestamp()
        if status != "operational" and at > since:
            yield _Spell(status, since, at)
        status, since = change.new, max(since, at)
    if status != "operational" and since < edges[-1]:
        yield _Spell(status, since, edges[-1])
