"""The storm of contacts that follows: who writes, how often, and by what they let themselves be known.

It keeps the truth beside the mess: which passenger wrote each contact, and whether the contact says enough to know.
The same passengers and seed give the same storm, to the letter. It knows nothing of how Stormdesk reads any of it.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from random import Random

import msgspec

from app.demo import mess
from app.demo.messages import STRANGE, TEXTS
from app.demo.passengers import SEED, Passenger
from app.demo.people import ascii_letters, pick

_WISHES = ("refund", "compensation", "expenses", "rebooking", "information", "call_back")

# What people type where a form asks for a booking they cannot find.
_PLACEHOLDERS = ("unknown", "Unknown", "geen", "onbekend", "-", "n/a", "xxxxx")

# Shares. Of contacts: those that say nothing of who wrote, those with another customer's number, those of the others
# with a placeholder for the booking, and forms sent three times. Of people who write more than
# once: those who use an address the airline has never seen, and those who send the very same text again and again.
_SILENT, _ANOTHERS_NUMBER, _PLACEHOLDER, _SENT_THRICE, _STRANGE_TEXT = 0.02, 0.02, 0.03, 0.03, 0.01
_PRIVATE_MAIL, _SAME_AGAIN = 0.10, 0.08

Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact: the body to post, and what is true about it.

    `author`: customer number of whoever wrote it. `knowable`: it says enough to know that, alone or together with what
    the same person says in another contact. `times`: the form is sent as often, under the same `key`.
    """

    body: bytes
    key: str | None
    times: int
    author: str
    knowable: bool


def contacts(
    people: Sequence[Passenger], per_affected: float, incident_id: str, *, seed: int = SEED
) -> Iterator[Contact]:
    """What the affected among `people` write, in order of arrival: `per_affected` contacts each on average.

    Some write often, many never.
    """
    writer = _Writer(people, incident_id, seed)
    affected = [person for person in people if person.affected]
    total = round(per_affected * len(affected))
    eagerness = list(itertools.accumulate(writer.random.expovariate(1) for _ in affected))
    authors = writer.random.choices(range(len(affected)), cum_weights=eagerness, k=total) if total else []
    counts = Counter(authors)
    plans: dict[int, Iterator[Contact]] = {}
    for author in authors:
        if author not in plans:
            plans[author] = writer.everything_from(affected[author], counts[author])
        yield next(plans[author])


class _Writer:
    """Writes what people send."""

    def __init__(self, people: Sequence[Passenger], incident_id: str, seed: int) -> None:
        self.random = Random(seed + 1)  # noqa: S311 (a storm, not a secret)
        self._incident_id = incident_id
        self._serial = 0
        self._people = people
        # One slip each, so that two people who cannot be known never say the same.
        self._hit: set[str] = set()
        # A slip of the pen must not name somebody else: nobody could then know.
        self._taken = {person.number for person in people}
        self._taken |= {booking.reference for person in people for booking in person.bookings}

    def everything_from(self, person: Passenger, count: int) -> Iterator[Contact]:
        """All `count` contacts of one person, one after another."""
        random = self.random
        if count > 1 and not person.shares and random.random() < _PRIVATE_MAIL:
            yield from self._with_private_mail(person, count)
        elif count > 2 and random.random() < _SAME_AGAIN:
            fields, knowable = self._identified(person, 0)
            self._tell(person, fields)
            for _ in range(count):  # a fresh key each time, or none: only the text says that it is the same
                yield self._contact(person, fields, knowable)
        else:
            for turn in range(count):
                roll = random.random()
                if roll < _SILENT:
                    fields, knowable = self._silent(person), False
                elif roll < _SILENT + _ANOTHERS_NUMBER and (stranger := self._stranger_to(person)):
                    fields, knowable = self._with_number_of(stranger, person)
                else:
                    fields, knowable = self._identified(person, turn)
                    if "reference" not in fields and random.random() < _PLACEHOLDER:
                        fields["reference"] = pick(random, _PLACEHOLDERS)
                self._tell(person, fields)
                yield self._contact(person, fields, knowable)

    def _with_private_mail(self, person: Passenger, count: int) -> Iterator[Contact]:
        """Contacts from an address the directory does not have; one of them, not always the first, says whose it is."""
        random = self.random
        address = f"{ascii_letters(person.last)}.{person.number[2:]}@home.example"
        telling = int(random.random() * count)
        for turn in range(count):
            fields = self._booking(person) if turn == telling else {}
            fields["email"] = mess.mail(random, address)
            self._tell(person, fields)
            yield self._contact(person, fields, knowable=True)

    def _identified(self, person: Passenger, turn: int) -> tuple[Fields, bool]:
        """The next contact of somebody who says who they are: first by booking, then by mail, then by phone, …"""
        random = self.random
        if turn == 0 and random.random() < 0.6:
            return self._booking(person), True
        way = pick_way(random, turn)
        fields = way(self, person)
        if not fields:  # they have no such address
            return self._booking(person), True
        if _says_only_what_two_share(person, fields):
            # Only an address that two people use. Rarely do they leave it at that; then nobody can know.
            if random.random() < 0.1:
                return fields, False
            fields["name"] = mess.full_name(random, person.first, person.last)
        return fields, True

    def _booking(self, person: Passenger) -> Fields:
        random = self.random
        reference = next(booking.reference for booking in person.bookings if booking.flight.cancelled)
        name = mess.full_name if person.shares else mess.some_name
        return {"reference": mess.code(random, reference), "name": name(random, person.first, person.last)}

    def _number(self, person: Passenger) -> Fields:
        fields = {"customer_number": mess.code(self.random, person.number)}
        return self._perhaps_named(person, fields)

    def _mail(self, person: Passenger) -> Fields:
        return self._perhaps_named(person, {"email": mess.mail(self.random, person.email)}) if person.email else {}

    def _phone(self, person: Passenger) -> Fields:
        random = self.random
        if not person.phone:
            return {}
        if random.random() < 0.5:
            return self._perhaps_named(person, {"phone": mess.international_phone(random, person.phone)})
        # The language says where the number is from.
        fields = {"phone": mess.national_phone(random, person.phone), "language": person.language}
        return self._perhaps_named(person, fields)

    def _everything(self, person: Passenger) -> Fields:
        every = self._phone(person) | self._mail(person) | self._number(person) | self._booking(person)
        every["customer_number"] = mess.code(self.random, person.number)
        return every

    def _slipped(self, person: Passenger) -> Fields:
        """One digit of the number or the reference wrong, beside something that is right."""
        random = self.random
        fields = self._booking(person)
        wrong = mess.slipped_code(random, person.number)
        return fields | {"customer_number": wrong} if wrong not in self._taken else fields

    def _with_number_of(self, stranger: Passenger, person: Passenger) -> tuple[Fields, bool]:
        """A slip in the number that makes it a stranger's, beside something that is right; whether that is enough.

        The name beside it only says that one of the two is wrong, and so does an address. Both, or the name on the
        booking, say who wrote. Without any of them nobody could tell the contact from its owner's: none is written.
        """
        random = self.random
        fields = {"customer_number": mess.code(random, stranger.number)}
        name = mess.full_name(random, person.first, person.last)
        roll = random.random()
        if roll < 0.25:
            return fields | {"name": name}, False
        if roll < 0.5 and person.email and not person.shares:
            return fields | {"email": mess.mail(random, person.email)}, False
        if roll < 0.75 and person.email:
            return fields | {"name": name, "email": mess.mail(random, person.email)}, True
        return fields | self._booking(person), True

    def _stranger_to(self, person: Passenger) -> Passenger | None:
        """Somebody no name could confuse with `person`, whose number nobody else has typed by mistake."""
        own = _name_words(person)
        for other in self.random.choices(self._people, k=10):
            if other.number not in self._hit and not any(get_close_matches(word, own) for word in _name_words(other)):
                self._hit.add(other.number)
                return other
        return None

    def _silent(self, person: Passenger) -> Fields:
        """Nothing to know a person by: only a text, a name that many have, a wrong reference, a mail nobody knows.

        Where the form asks for a booking, some type the word that many do.
        """
        fields = self._hardly_anything(person)
        if "reference" not in fields and self.random.random() < 0.5:
            fields["reference"] = pick(self.random, _PLACEHOLDERS)
        return fields

    def _hardly_anything(self, person: Passenger) -> Fields:
        random = self.random
        roll = random.random()
        if roll < 0.4:
            return {}
        name = mess.some_name(random, person.first, person.last)
        if roll < 0.8:
            return {"name": name}
        if roll < 0.9:
            return {"email": f"{ascii_letters(person.first)}{self._serial}@elsewhere.example"}
        wrong = mess.slipped_code(random, person.bookings[0].reference)
        return {"name": name, "reference": wrong} if wrong not in self._taken else {"name": name}

    def _perhaps_named(self, person: Passenger, fields: Fields) -> Fields:
        if self.random.random() < 0.5:
            name = mess.full_name if person.shares else mess.some_name
            fields["name"] = name(self.random, person.first, person.last)
        return fields

    def _tell(self, person: Passenger, fields: Fields) -> None:
        """What happened, what they want; now and then their language and the incident."""
        random = self.random
        roll = random.random()
        texts = STRANGE if roll < _STRANGE_TEXT else TEXTS.get(person.language, TEXTS["en"])
        flight = next(booking.flight for booking in person.bookings if booking.flight.cancelled)
        fields["message"] = pick(random, texts).replace("{flight}", flight.name)
        if roll > 0.4:
            fields["asks_for"] = pick(random, _WISHES)
        if roll > 0.3:
            fields["language"] = person.language
        if random.random() < 0.5:
            fields["incident"] = self._incident_id

    def _contact(self, person: Passenger, fields: Fields, knowable: bool) -> Contact:
        random = self.random
        self._serial += 1
        thrice = random.random() < _SENT_THRICE
        key = f"demo-{self._serial}-{person.number}" if thrice or random.random() < 0.5 else None
        return Contact(msgspec.json.encode(fields), key, 3 if thrice else 1, person.number, knowable)


def _name_words(person: Passenger) -> list[str]:
    return [ascii_letters(word) for word in person.name.replace("-", " ").split()]


def _says_only_what_two_share(person: Passenger, fields: Fields) -> bool:
    said = fields.keys() - {"language"}
    return (said == {"email"} and "mail" in person.shares) or (said == {"phone"} and "phone" in person.shares)


Way = Callable[[_Writer, Passenger], Fields]
_WAYS: tuple[Way, ...] = (
    _Writer._mail,
    _Writer._phone,
    _Writer._number,
    _Writer._everything,
    _Writer._slipped,
    _Writer._booking,
)


def pick_way(random: Random, turn: int) -> Way:
    """A way of saying who one is, different in each contact of one person as far as that goes."""
    return _WAYS[(turn - 1) % len(_WAYS)] if turn else random.choices(_WAYS, (40, 20, 20, 12, 8, 20))[0]
