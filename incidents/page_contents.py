"""Everything the status page consists of, from one snapshot: pages, data, feeds, alerts and a calendar, as bytes.

It knows what stands in which file; writing them down is `page_files`', and when to is `status_page`'s.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from foundation.languages import SPOKEN
from incidents import statuspage_v2
from incidents.alerts_cap import alerts_of
from incidents.directions import directions
from incidents.feed import Feeds
from incidents.lifecycle import MAINTENANCE_PHASES, PHASES
from incidents.maintenance_calendar import calendars
from incidents.page_files import sha256
from incidents.page_view import lay_out
from incidents.roll_up import roll_up
from incidents.snapshot import PastIncident, ShownIncident, Snapshot, StatusChange
from incidents.statuspage_v2 import Publisher
from incidents.uptime import Record, midnight, records, window
from incidents.xml_text import xml_text
from incidents.zones import zone_choices

# On the first page; the whole history is a page of its own.
DAYS_IN_SIGHT = 7
# Placed where the page may have to say that it is old. Whoever serves the file puts the sentence there: without the
# application the file cannot know. It holds characters that no text on the page can contain unescaped.
AGE_PLACE = "<!--stormdesk:age-->"

Render: TypeAlias = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Told:
    """What the page is made of. `past`: all that is over, the last first; `changes`: of the days the bars show."""

    snapshot: Snapshot
    past: Sequence[PastIncident]
    changes: Sequence[StatusChange]


class PageContents:
    """Makes the files. `zone`: IANA name its times are in; `assets`: published name → content."""

    def __init__(self, *, render: Render, publisher: Publisher, zone: str, assets: Mapping[str, bytes]) -> None:
        self._render = render
        self._publisher = publisher
        self._zone = zone
        self._assets = {f"static/{name}": content for name, content in assets.items()}
        self._feeds = Feeds(publisher, render, zone)

    def look(self) -> str:
        """Differs when the same data would be drawn differently, so that pages of old incidents are made again."""
        return sha256("\n".join([*sorted(self._assets), *_drawings(), *astuple(self._publisher), self._zone]).encode())

    def files(self, told: Told, redrawn: Collection[str]) -> dict[str, bytes]:
        """Every file by its name; of what is over, the pages of `redrawn` alone."""
        snapshot = told.snapshot
        everything = (*snapshot.open, *snapshot.maintenances, *snapshot.closed)
        files = {**self._assets, **statuspage_v2.documents(snapshot, self._publisher)}
        files |= self._feeds.of_all(everything)
        files |= calendars(snapshot.maintenances, self._publisher)
        files |= directions((*snapshot.open, *told.past), self._publisher)
        fared = records(snapshot.components, told.changes, now=snapshot.at, zone=self._zone)
        for incident in everything:
            if incident.resolved_at is None or incident.id in redrawn:
                files |= self._about(incident, snapshot.at)
        for language in SPOKEN:
            files |= self._overview(told, fared, language)
        return files

    def _overview(self, told: Told, fared: Sequence[Record], language: str) -> dict[str, bytes]:
        snapshot = told.snapshot
        headline = roll_up((one.status for one in snapshot.components), (one.impact for one in snapshot.open))
        known: list[_Known] = [*snapshot.open, *told.past]
        planned = [one for one in snapshot.maintenances if one.resolved_at is None]
        index = self._page(
            "index.html", language, snapshot.at,
            incidents=snapshot.open, planned=planned, headline=headline, groups=lay_out(snapshot.components),
            total=len(snapshot.components), records=fared,
            days=_by_day(known, window(snapshot.at, self._zone, days=DAYS_IN_SIGHT), self._zone, snapshot.at),
        )  # fmt: skip
        history = self._page(
            "history.html", language, snapshot.at, days=_by_first_day(known, ZoneInfo(self._zone)), records=fared
        )
        badge = self._page("badge.svg", language, snapshot.at, headline=headline, incidents=snapshot.open)
        return {
            f"index.{language}.html": index,
            f"history.{language}.html": history,
            f"badge.{language}.svg": xml_text(badge.decode()).encode(),
        }

    def _about(self, incident: ShownIncident, at: datetime) -> dict[str, bytes]:
        files = self._feeds.of(incident)
        if incident.kind == "incident":
            files |= alerts_of(incident, self._publisher)
        # All of it open here, whatever the length: a browser's search passes over what is folded away.
        groups = lay_out(incident.components, most_open=inf)
        for language in SPOKEN:
            page = self._page("incident.html", language, at, incident=incident, groups=groups)
            files[f"incidents/{incident.id}.{language}.html"] = page
        return files

    def _page(self, name: str, language: str, at: datetime, **context: Any) -> bytes:
        return self._render(
            f"incidents/{name}",
            language,
            page_name=self._publisher.name,
            public_url=self._publisher.url,
            zone=self._zone,
            zones=zone_choices(language),
            at=at,
            phases=PHASES,
            maintenance_phases=MAINTENANCE_PHASES,
            age_place=AGE_PLACE,
            **context,
        ).encode()


_Known: TypeAlias = ShownIncident | PastIncident
_Days: TypeAlias = list[tuple[date, list[_Known]]]


def _by_day(known: Iterable[_Known], days: Sequence[date], zone: str, now: datetime) -> _Days:
    """What was going on on each of `days`, the last day first."""
    listed = list(known)
    found = []
    for day in reversed(days):
        begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
        found.append((day, [one for one in listed if one.started_at < end and (one.resolved_at or now) >= begin]))
    return found


def _by_first_day(known: Iterable[_Known], zone: ZoneInfo) -> _Days:
    """What began on each day on which something did, the last day first."""

    def day(one: _Known) -> date:
        return one.started_at.astimezone(zone).date()

    return [(begun, list(of_day)) for begun, of_day in groupby(sorted(known, key=day, reverse=True), key=day)]


@lru_cache
def _drawings() -> list[str]:
    here = Path(__file__).resolve().parent
    drawn = [path for folder in ("templates", "locale") for path in (here / folder).iterdir()]
    return [sha256(path.read_bytes()) for path in sorted([*drawn, *here.glob("*.py")])]
