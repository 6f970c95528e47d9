"""The storm: the same every time, and truthful, checked here by a reader that shares no code with the writer."""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from contextlib import suppress
from itertools import islice

import pytest

from app.demo.passengers import Passenger, passengers
from app.demo.storm import Contact, contacts
from app.demo.verdict import Case, judge

INCIDENT = "abcdefghijkl"


@pytest.fixture(scope="module")
def people() -> list[Passenger]:
    return list(passengers(12_000))


@pytest.fixture(scope="module")
def storm(people: list[Passenger]) -> list[Contact]:
    return list(contacts(people, 1.4, INCIDENT))


def test_the_same_seed_gives_the_same_storm(people: list[Passenger], storm: list[Contact]) -> None:
    assert list(contacts(people, 1.4, INCIDENT)) == storm
    assert list(islice(contacts(people, 1.4, INCIDENT, seed=3), 100)) != storm[:100]


def test_only_the_affected_write_and_as_often_as_asked(people: list[Passenger], storm: list[Contact]) -> None:
    affected = {person.number for person in people if person.affected}
    assert {contact.author for contact in storm} <= affected
    assert len(storm) == round(1.4 * len(affected))
    assert list(contacts(people, 0, INCIDENT)) == []


def test_keys_are_fresh_and_repeats_have_one(storm: list[Contact]) -> None:
    keys = [contact.key for contact in storm if contact.key]
    assert len(keys) == len(set(keys))
    assert all(contact.key for contact in storm if contact.times > 1)
    assert any(contact.times == 3 for contact in storm)


def test_a_contact_is_knowable_exactly_when_the_directory_knows_it(
    people: list[Passenger], storm: list[Contact]
) -> None:
    reader = Reader(people)
    private: dict[str, set[str]] = defaultdict(set)
    for contact in storm:
        said = json.loads(contact.body)
        if (author := reader.author(said)) and "email" in said:
            private[reader.mail(said["email"])].add(author)
    unknowable = 0
    for contact in storm:
        said = json.loads(contact.body)
        author = reader.author(said)
        if author is None and "email" in said:  # known by what the same address said elsewhere?
            owners = private.get(reader.mail(said["email"]), set())
            author = next(iter(owners)) if len(owners) == 1 and not reader.by_mail[reader.mail(said["email"])] else None
        assert author == (contact.author if contact.knowable else None), said
        unknowable += not contact.knowable
    assert 0.01 < unknowable / len(storm) < 0.04


def test_some_type_the_number_of_a_stranger_and_some_a_word_for_their_booking(
    people: list[Passenger], storm: list[Contact]
) -> None:
    numbers = {person.number for person in people}
    hit, words = Counter[bool](), Counter[bool]()
    for contact in storm:
        said = json.loads(contact.body)
        number = re.sub("[^A-Z0-9]", "", said.get("customer_number", "").upper())
        if number in numbers - {contact.author}:
            assert said.keys() & {"name", "email"}, "nobody could tell this from the owner of the number"
            hit[contact.knowable] += 1
        if said.get("reference", "").lower() in ("unknown", "geen", "onbekend", "-"):
            words[contact.knowable] += 1
    assert min(hit[True], hit[False], words[True], words[False]) > 10


def test_too_few_people_to_take_for_each_other_still_write() -> None:
    alone = list(passengers(2_000))[:40]
    assert [contact.author for contact in contacts(alone, 20, INCIDENT)]


class Reader:
    """Knows people by exact values after the plainest tidying; among several who fit, the full name decides."""

    def __init__(self, people: list[Passenger]) -> None:
        self.by_number = {person.number: person for person in people}
        self.by_reference: dict[str, list[Passenger]] = defaultdict(list)
        self.by_mail: dict[str, list[Passenger]] = defaultdict(list)
        self.by_phone: dict[str, list[Passenger]] = defaultdict(list)
        for person in people:
            self.by_mail[person.email].append(person)
            self.by_phone[self.digits(person.phone)].append(person)
            for booking in person.bookings:
                self.by_reference[booking.reference].append(person)

    def author(self, said: dict[str, str]) -> str | None:
        number = self.by_number.get(re.sub("[^A-Z0-9]", "", said.get("customer_number", "").upper()))
        if number is None:
            return self.without_number(said)
        if "name" in said and self.contradicted(said["name"], number):
            return self.without_number(said)  # the name and something else, or nobody
        other = self.without_number(said) if "email" in said or "phone" in said else None
        return number.number if "name" in said or other in (None, number.number) else None

    def contradicted(self, name: str, person: Passenger) -> bool:
        """Not one word of the same letters as one of the person's: people exchange them, programs mangle accents."""
        letters = {"".join(sorted(word)) for word in self.words(person.name)}
        with suppress(UnicodeError):
            name = name.replace("\u200b", "").encode("latin-1").decode()
        return letters.isdisjoint("".join(sorted(word)) for word in self.words(name))

    def without_number(self, said: dict[str, str]) -> str | None:
        fitting = []
        if "reference" in said and "name" in said:
            fitting = self.by_reference[re.sub("[^A-Z0-9]", "", said["reference"].upper())]
        if not fitting and "email" in said:
            fitting = self.by_mail[self.mail(said["email"])]
        if not fitting and "phone" in said:
            # The last digits are the same with and without a country.
            digits = self.digits(said["phone"])
            fitting = [
                person
                for place in range(len(digits) - 5)
                for person in self.by_phone.get(digits[place:], ())
                if place or not digits.startswith("0")
            ] or self.national(digits, said.get("language", ""))
        named = [person for person in fitting if self.words(person.name) == self.words(said.get("name", ""))]
        chosen = fitting if len(fitting) == 1 else named
        return chosen[0].number if len(chosen) == 1 else None

    def national(self, digits: str, language: str) -> list[Passenger]:
        own = {"en": ("1", "44"), "nl": ("31",), "de": ("49",), "fr": ("33",), "es": ("34", "1"), "pl": ("48",)}
        own |= {"sv": ("46",), "it": ("39",), "fi": ("358",)}
        codes = own.get(language, ())
        return [person for code in codes for person in self.by_phone.get(code + digits.removeprefix("0"), ())]

    @staticmethod
    def mail(text: str) -> str:
        return text.replace("\u200b", "").strip().lower().removeprefix("mailto:")

    @staticmethod
    def digits(text: str) -> str:
        return re.sub(r"\D", "", text.replace("(0)", ""))

    @staticmethod
    def words(text: str) -> list[str]:
        plain = text.lower().replace("ł", "l").replace("ß", "ss").replace("ø", "o").replace("æ", "ae")
        plain = "".join(one for one in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(one))
        return sorted(re.findall(r"[a-z]+", plain.replace("'", "")))


def written(author: str, *, knowable: bool = True) -> Contact:
    return Contact(b"{}", None, 1, author, knowable)


def test_all_is_well_when_everybody_is_in_their_own_case() -> None:
    storm = {"r1": written("ann"), "r2": written("ann"), "r3": written("bob"), "r4": written("bob", knowable=False)}
    placed = [("r1", 1), ("r2", 3), ("r3", 2), ("r4", 4)]
    cases = [Case(1, "ann", None), Case(2, "bob", None), Case(3, None, 1), Case(4, None, None)]
    found = judge(storm, placed, cases)
    assert (found.contacts, found.cases, found.unresolved) == (4, 3, 1)
    assert (found.lost, found.two_cases, found.two_customers) == (0, 0, 0)


@pytest.mark.parametrize(
    ("placed", "cases", "broken"),
    [
        ([("r1", 1)], [Case(1, "ann", None)], {"lost": 1}),
        ([("r1", 1), ("r2", None)], [Case(1, "ann", None)], {"lost": 1}),
        ([("r1", 1), ("r2", 2)], [Case(1, "ann", None), Case(2, None, None)], {"lost": 1}),
        ([("r1", 1), ("r2", 2)], [Case(1, "ann", None), Case(2, None, 3), Case(3, None, 2)], {"lost": 1}),
        ([("r1", 1), ("r2", 2)], [Case(1, "ann", None), Case(2, "ann", None)], {"two_cases": 1}),
        ([("r1", 1), ("r2", 1)], [Case(1, "bob", None)], {"two_customers": 1}),
    ],
)
def test_every_broken_promise_is_counted(
    placed: list[tuple[str, int | None]], cases: list[Case], broken: dict[str, int]
) -> None:
    found = judge({"r1": written("ann"), "r2": written("ann")}, placed, cases)
    counted = {name: getattr(found, name) for name in ("lost", "two_cases", "two_customers")}
    assert counted == {"lost": 0, "two_cases": 0, "two_customers": 0, **broken}


def test_a_case_with_contacts_of_two_people_is_counted_even_when_neither_could_be_known() -> None:
    storm = {"r1": written("ann", knowable=False), "r2": written("bob", knowable=False)}
    assert judge(storm, [("r1", 1), ("r2", 1)], [Case(1, None, None)]).two_customers == 1
