"""Made-up passengers on the real flights, and the customer file they arrive in. It knows nothing of what they write.

The same count and seed give the same people, to the letter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from app.demo.flights import Flight, flights
from app.demo.people import Locale, ascii_letters, company_domains, locales, pick

COLUMNS = ("customer_number", "name", "language", "time_zone", "email", "phone", "component", "reference", "needed_at")
GONE = "gone.example"
SEED = 20130208

# Shares of all passengers.
_COUPLES, _CONNECTING = 0.04, 0.04
_NO_MAIL, _NO_PHONE, _LEFT_THEIR_MAILBOX, _COMPANY_MAIL = 0.02, 0.05, 0.003, 0.25

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class Booking:
    """A seat on a flight: the component somebody relies on, and the reference they know it by."""

    flight: Flight
    reference: str


@dataclass(frozen=True, slots=True)
class Passenger:
    """A customer. `shares` names what a second customer has too (mail, phone, booking): it points at neither alone."""

    number: str
    first: str
    last: str
    language: str
    time_zone: str
    email: str
    phone: str
    bookings: tuple[Booking, ...]
    shares: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def affected(self) -> bool:
        """Whether a flight of theirs was cancelled."""
        return any(booking.flight.cancelled for booking in self.bookings)


def passengers(count: int, seed: int = SEED) -> Iterator[Passenger]:
    """`count` passengers, spread evenly over the flights (186 on each when they are 300,000)."""
    factory = _Factory(seed)
    every = flights()
    for place, flight in enumerate(every):
        seats = count * (place + 1) // len(every) - count * place // len(every)
        while seats > 0:
            party = factory.couple(flight) if seats > 1 and factory.random.random() < _COUPLES / 2 else None
            yield from party or (factory.passenger(flight),)
            seats -= 2 if party else 1


def write_customer_file(path: Path, people: Iterable[Passenger], later: timedelta = timedelta()) -> int:
    """Write the customer file that `stormdesk import customers` reads, a row a booking; returns how many rows.

    `later` moves every departure: replayed today, the storm has flights that are still ahead.
    """
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for person in people:
            head = f"{person.number},{person.name},{person.language},{person.time_zone},{person.email},{person.phone}"
            for booking in person.bookings:
                flight = booking.flight
                file.write(f"{head},{flight.key},{booking.reference},{flight.departs_at + later:%Y-%m-%dT%H:%M:%SZ}\n")
                rows += 1
    return rows


class _Factory:
    """Makes people one after another; everything that must be unique comes from a serial number."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 (passengers, not secrets)
        self._locales, self._shares = locales(seed)
        self._companies = company_domains(seed)
        self._people = 0
        self._references = 0

    def passenger(
        self, flight: Flight, *, locale: Locale | None = None, last: str = "", shared: dict[str, str] | None = None
    ) -> Passenger:
        """Somebody on `flight`. `shared`: mail, phone or booking reference of a partner."""
        random, shared = self.random, shared or {}
        serial, self._people = self._people, self._people + 1
        locale = locale or self.locale()
        first, last = pick(random, locale.first), last or pick(random, locale.last)
        mail = shared.get("mail") or self._mail(locale, first, last, serial)
        phone = shared.get("phone") or ("" if random.random() < _NO_PHONE else locale.phones.number(serial))
        bookings: tuple[Booking, ...] = (Booking(flight, shared.get("booking") or self._reference()),)
        if random.random() < _CONNECTING:
            bookings += (Booking(random.choice(flights()), self._reference()),)
        return Passenger(
            # 67,108,859 and 10**8 share no factor: scattered numbers, so that a slip of the pen is nobody else's.
            number=f"NY{(serial + 1) * 67_108_859 % 10**8:08d}",
            first=first,
            last=last,
            language=locale.language,
            time_zone=pick(random, locale.time_zones),
            email=mail if "mail" in shared or random.random() >= _NO_MAIL else "",
            phone=phone,
            bookings=bookings,
            shares=frozenset(shared),
        )

    def couple(self, flight: Flight) -> tuple[Passenger, Passenger]:
        """Two people on one booking who share a mail address or a phone, and half of the time a surname."""
        random, locale = self.random, self.locale()
        one = self.passenger(flight, locale=locale)
        what = "phone" if one.phone and (not one.email or random.random() < 0.5) else "mail"
        shared = {"booking": one.bookings[0].reference}
        shared |= {"phone": one.phone} if what == "phone" else {"mail": one.email} if one.email else {}
        last = one.last if random.random() < 0.5 else ""
        two = self.passenger(flight, locale=locale, last=last, shared=shared)
        while two.first == one.first:  # nobody could tell these two apart
            two = self.passenger(flight, locale=locale, last=last, shared=shared)
        return _sharing(one, two.shares), two

    def locale(self) -> Locale:
        return self.random.choices(self._locales, self._shares)[0]

    def _mail(self, locale: Locale, first: str, last: str, serial: int) -> str:
        random = self.random
        roll = random.random()
        if roll < _LEFT_THEIR_MAILBOX:
            domain = GONE
        else:
            domain = pick(random, self._companies if roll < _COMPANY_MAIL else locale.domains)
        return f"{ascii_letters(first)}.{ascii_letters(last)}{serial}@{domain}"

    def _reference(self) -> str:
        self._references += 1
        # Multiplying by an odd number shuffles the 2**30 references of six letters without meeting one twice.
        code = self._references * 0x2C9277B5 % 2**30
        return "".join(_LETTERS[code >> shift & 31] for shift in (25, 20, 15, 10, 5, 0))


def _sharing(person: Passenger, what: frozenset[str]) -> Passenger:
    values = {name: getattr(person, name) for name in person.__slots__}
    return Passenger(**{**values, "shares": what})
