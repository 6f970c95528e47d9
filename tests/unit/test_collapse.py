"""Which case lives: the oldest of one person's; a number stays with whoever it was opened for."""

from collections.abc import Sequence

from claims.collapse import Case, Person, Plan, first_contacts, homes_of, plan

ANNA = Person("customer", 7)


def planned(
    decided: dict[int, int | None], groups: Sequence[tuple[int | None, Sequence[int]]], cases: Sequence[Case]
) -> Plan:
    persons = {contact: Person("customer", customer) for contact, customer in decided.items() if customer is not None}
    for customer, contacts in groups:
        person = Person("contact", min(contacts)) if customer is None else Person("customer", customer)
        persons.update(dict.fromkeys(contacts, person))
    owned = homes_of(persons, {}, cases)
    return plan(
        owned, first_contacts(persons), {}, [100 + n for n in range(sum(not theirs for theirs in owned.values()))]
    )


def test_a_person_without_a_case_gets_one_founded_by_their_first_contact() -> None:
    shall = planned({3: 7, 2: 7}, [], [])
    assert shall.opened == (Case(100, 2, 7, None),)
    assert shall.homes == {ANNA: 100}


def test_numbers_rise_with_time() -> None:
    shall = planned({5: 7}, [(None, [4]), (None, [6])], [])
    assert [case.founder_id for case in shall.opened] == [4, 5, 6]


def test_a_customers_live_case_takes_in_new_contacts() -> None:
    shall = planned({9: 7}, [], [Case(1, 2, 7, None)])
    assert (shall.homes[ANNA], shall.opened, shall.changed) == (1, (), [])


def test_a_case_without_a_person_becomes_the_customers() -> None:
    shall = planned({}, [(7, [2])], [Case(1, 2, None, None)])
    assert shall.changed == [Case(1, 2, 7, None)]


def test_of_two_cases_the_older_lives_and_the_other_leads_there() -> None:
    shall = planned({}, [(7, [2])], [Case(1, 2, None, None), Case(5, 3, 7, None)])
    assert shall.changed == [Case(1, 2, 7, None), Case(5, 3, 7, 1)]
    assert shall.moved == {5: 1}


def test_what_had_been_merged_follows_in_one_step() -> None:
    cases = [Case(1, 2, None, None), Case(5, 3, 7, None), Case(6, 4, 7, 5)]
    shall = planned({}, [(7, [2])], cases)
    assert Case(6, 4, 7, 1) in shall.changed


def test_a_founder_who_is_somebody_else_takes_the_number_along() -> None:
    """Contact 2 founded case 1, which became Anna's; then its key turned out to be shared."""
    shall = planned({}, [(None, [2])], [Case(1, 2, 7, None), Case(5, 3, 7, 1)])
    assert shall.changed == [Case(1, 2, None, None), Case(5, 3, 7, None)]
    assert shall.moved == {1: 5}, "her other contacts go with her"


def test_nothing_changes_when_nothing_is_new() -> None:
    shall = planned({9: 7}, [(None, [4])], [Case(1, 2, 7, None), Case(3, 4, None, None)])
    assert (shall.opened, shall.changed, shall.moved) == ((), [], {})
