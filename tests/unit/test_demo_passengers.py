"""The flights, the made-up passengers and their file: real input, and the same people every time."""

import csv
import io
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from app.demo.flights import flights
from app.demo.passengers import COLUMNS, Passenger, passengers, write_customer_file
from app.demo.people import without_diacritics
from notify import normalise_mail, normalise_phone
from notify.customer_file import Bad, read_header, read_rows


@pytest.fixture(scope="module")
def people() -> list[Passenger]:
    return list(passengers(4000))


def test_every_flight_is_a_component_of_its_own() -> None:
    every = flights()
    assert len(every) == 1614
    assert len({flight.key for flight in every}) == len({flight.name for flight in every}) == 1614
    assert sum(flight.cancelled for flight in every) == 865
    assert [flight.position for flight in every] == list(range(1, 1615))


def test_a_flight_reads_as_people_know_it() -> None:
    flight = next(flight for flight in flights() if flight.key == "DL461/2013-02-08/LGA")
    assert flight.name == "Delta 461 to Atlanta (ATL), 8 Feb 06:00"
    assert flight.group == "LGA · Delta Air Lines"
    assert flight.departs_at.isoformat() == "2013-02-08T11:00:00+00:00"


def test_the_same_seed_gives_the_same_people(people: list[Passenger]) -> None:
    assert list(passengers(4000)) == people
    assert list(passengers(4000, seed=1)) != people


@pytest.mark.parametrize("count", [100, 1614, 5000])
def test_they_are_spread_evenly_over_the_flights(count: int) -> None:
    seats = Counter(person.bookings[0].flight.key for person in passengers(count))
    assert sum(seats.values()) == count
    assert max(seats.values()) - min(seats.values(), default=0) <= 1


def test_only_couples_share_what_names_a_person(people: list[Passenger]) -> None:
    assert len({person.number for person in people}) == len(people)
    owners: dict[tuple[str, str], list[Passenger]] = {}
    for person in people:
        bookings = [("booking", booking.reference) for booking in person.bookings]
        for what, value in [("mail", person.email), ("phone", person.phone), *bookings]:
            if value:
                owners.setdefault((what, value), []).append(person)
    for (what, _), sharing in owners.items():
        assert len(sharing) <= 2
        assert len(sharing) == 1 or all(what in person.shares for person in sharing)
        assert len({without_diacritics(person.first) for person in sharing}) == len(sharing)
    couples = sum(bool(person.shares) for person in people)
    assert 0.02 < couples / len(people) < 0.06


def test_their_addresses_can_be_used_and_are_nobodys(people: list[Passenger]) -> None:
    for person in people:
        if person.email:
            assert normalise_mail(person.email) == person.email
            assert person.email.endswith(".example")
        if person.phone:
            assert normalise_phone(person.phone) == person.phone
    assert 0 < sum(not person.email for person in people) < len(people) / 20
    assert 0 < sum(not person.phone for person in people) < len(people) / 10
    assert len({person.language for person in people}) >= 8


def test_the_import_finds_no_fault_in_the_file(tmp_path: Path, people: list[Passenger]) -> None:
    path = tmp_path / "customers.csv"
    rows = write_customer_file(path, people)
    assert rows == sum(len(person.bookings) for person in people) > len(people)
    written = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert tuple(written[0]) == COLUMNS
    assert {row["component"] for row in written} <= {flight.key for flight in flights()}
    with path.open("rb") as file:
        assert not [one for one in read_rows(file, read_header(file)) if isinstance(one, Bad)]


def test_a_replay_moves_every_departure(tmp_path: Path, people: list[Passenger]) -> None:
    path = tmp_path / "customers.csv"
    write_customer_file(path, people[:1], timedelta(days=1))
    departs = people[0].bookings[0].flight.departs_at + timedelta(days=1)
    assert path.read_text().splitlines()[1].endswith(f"{departs:%Y-%m-%dT%H:%M:%SZ}")
