"""Who is one person, a sentence each: from resemblance, the directory, and what people decided."""

import itertools

from claims.collapse import Person
from claims.grouping import Item, Judged, Link, a_contact, a_customer, persons


def named(mark: str, customer: int | None = None) -> Item:
    return Item(customer, True, mark.encode())


def nameless(mark: str) -> Item:
    return Item(None, False, mark.encode())


def who(items: dict[int, Item], links: list[Link], *decisions: Judged) -> dict[int, Person]:
    """The same whatever the order of links; so every test tries a few."""
    found = [persons(items, list(order), decisions)[0] for order in itertools.islice(itertools.permutations(links), 24)]
    assert all(one == found[0] for one in found)
    return found[0]


def test_contacts_that_hang_together_are_one_person() -> None:
    found = who({1: named("a"), 2: named("b"), 3: named("c"), 4: named("d")}, [Link(1, 2, 5), Link(2, 3, 3)])
    assert found == {1: a_contact(1), 2: a_contact(1), 3: a_contact(1), 4: a_contact(4)}


def test_those_who_resemble_one_customer_are_that_customers() -> None:
    found = who({1: named("a"), 2: named("b"), 3: named("c", 7)}, [Link(1, 2, 5), Link(2, 3, 3)])
    assert set(found.values()) == {a_customer(7)}


def test_those_between_two_customers_are_neithers() -> None:
    items = {1: named("a"), 2: named("b", 7), 3: named("c", 8)}
    assert who(items, [Link(1, 2, 9), Link(1, 3, 3)])[1] == a_contact(1)


def test_without_a_name_one_goes_where_only_one_person_is() -> None:
    items = {1: nameless("a"), 2: named("b"), 3: named("c"), 4: nameless("d")}
    links = [Link(1, 2, 3), Link(1, 4, 3)]
    assert len(set(who(items, [*links, Link(2, 3, 9)]).values())) == 1
    both = who(items, [*links, Link(1, 3, 3)])
    assert (both[1], both[4], both[2]) == (a_contact(1), a_contact(1), a_contact(2)), "a family's address is nobody's"


def test_what_a_person_kept_apart_nothing_joins() -> None:
    items = {1: named("a"), 2: named("b"), 3: named("c")}
    apart = Judged("different", [a_contact(1)], [a_contact(3)])
    found = who(items, [Link(1, 2, 9), Link(2, 3, 5)], apart)
    assert found == {1: a_contact(1), 2: a_contact(1), 3: a_contact(3)}, "the stronger link holds"


def test_a_split_keeps_both_sides_together_and_the_customer_with_the_rest() -> None:
    items = {1: named("a", 7), 2: named("b", 7), 3: named("c", 7)}
    split = Judged("split", [a_contact(1)], [a_contact(2), a_contact(3), a_customer(7)])
    assert who(items, [], split) == {1: a_contact(1), 2: a_customer(7), 3: a_customer(7)}


def test_a_merge_makes_two_customers_one() -> None:
    items = {1: named("a", 7), 2: named("b", 8)}
    merged = Judged("merged", [a_customer(7)], [a_customer(8)])
    contacts, customers = persons(items, [], [merged])
    assert set(contacts.values()) == {a_customer(7)}
    assert customers == {7: a_customer(7), 8: a_customer(7)}


def test_the_newer_decision_outweighs_the_older() -> None:
    items = {1: named("a"), 2: named("b")}
    merged = Judged("merged", [a_contact(1)], [a_contact(2)])
    apart = Judged("different", [a_contact(1)], [a_contact(2)])
    assert len(set(who(items, [], merged, apart).values())) == 1
    assert len(set(who(items, [], apart, merged).values())) == 2


def test_a_contact_that_came_in_by_anothers_link_is_with_it() -> None:
    items = {1: named("a"), 2: nameless("b")}
    assert set(persons(items, [], (), {(2, 1)})[0].values()) == {a_contact(1)}
