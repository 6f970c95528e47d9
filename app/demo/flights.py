"""The flights out of New York on the two days of the blizzard "Nemo", as components. It knows nothing of passengers.

The file and its source (US Department of Transportation, public domain) are described in README.md beside it.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

_HERE = Path(__file__).resolve().parent
NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Flight:
    """One scheduled departure. `key` is its natural key; `departs_at` is the scheduled time, in UTC."""

    key: str
    name: str
    group: str
    position: int
    carrier: str
    carrier_name: str
    departs_at: datetime
    cancelled: bool


@lru_cache
def flights() -> tuple[Flight, ...]:
    """All 1,614 flights, by airport and carrier, then by departure: the order in which the page lists them."""
    return tuple(_numbered(sorted(_rows(), key=lambda row: (row["origin"], row["carrier_name"], _when(row)))))


def _rows() -> list[dict[str, str]]:
    with (_HERE / "flights-nyc-2013-02-08.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _numbered(rows: list[dict[str, str]]) -> Iterator[Flight]:
    cities = _cities()
    for position, row in enumerate(rows, 1):
        local = _when(row)
        airline = _without_company_form(row["carrier_name"])
        dest = row["dest"]
        yield Flight(
            key=f"{row['carrier']}{row['flight']}/{row['date']}/{row['origin']}",
            name=f"{_brand(airline)} {row['flight']} to {cities[dest]} ({dest}), {local.day} {local:%b %H:%M}",
            group=f"{row['origin']} · {airline}",
            position=position,
            carrier=row["carrier"],
            carrier_name=airline,
            departs_at=local.astimezone(UTC),
            cancelled=row["cancelled"] == "1",
        )


def _when(row: dict[str, str]) -> datetime:
    return datetime.fromisoformat(f"{row['date']}T{row['sched_dep_time']}").replace(tzinfo=NEW_YORK)


def _cities() -> dict[str, str]:
    with (_HERE / "cities.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: row["city"] for row in csv.DictReader(file)}


def _without_company_form(name: str) -> str:
    return re.sub(r" (Inc\.|Co\.|Corporation)$", "", name)


def _brand(airline: str) -> str:
    short = re.sub(r" (Air Lines|Airlines|Airways)$", "", airline)
    return airline if short == "US" else short
