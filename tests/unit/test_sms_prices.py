"""Prices and sender ids per country: whole millionths, one currency a line, numbers where letters are refused."""

import pytest

from notify.sms_prices import (
    DEFAULT_PRICES,
    BadPrices,
    SenderId,
    country_of,
    minor_to_micro,
    read_prices,
    sender_id,
    written_amount,
)

HEAD = "country,price_minor,currency,sender_id"


def test_the_table_that_is_shipped_can_be_used_as_it_is() -> None:
    with DEFAULT_PRICES.open() as file:
        prices = read_prices(file)
    dutch = prices.price("+31612345678")
    assert dutch is not None
    assert (dutch.country, dutch.micro, dutch.currency) == ("NL", 79_000, "EUR")
    assert dutch.sender == SenderId("Stormdesk", 5, 0)


@pytest.mark.parametrize(
    ("phone", "country"),
    [
        ("+31612345678", "NL"),
        ("+12025550177", "US"),
        ("+16135550100", "CA"),
        ("+447400123456", "GB"),
        ("+447797712345", "JE"),
        ("+77011234567", "KZ"),
        ("+79161234567", "RU"),
        ("+8613123456789", "CN"),
        ("+358401234567", "FI"),
        ("+999", "ZZ"),
        ("Mama", "ZZ"),
        ("+", "ZZ"),
    ],
)
def test_the_country_of_a_number(phone: str, country: str) -> None:
    assert country_of(phone) == country


def test_a_sender_of_letters_for_everywhere_does_not_reach_where_letters_are_refused() -> None:
    prices = read_prices([HEAD, "*,10,EUR,Airline"])
    for phone in ("+12025550177", "+16135550100", "+8613123456789"):
        found = prices.price(phone)
        assert found is not None
        assert found.sender is None
    assert read_prices([HEAD, "NL,10,EUR,Airline"]).price("+12025550177") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Stormdesk", SenderId("Stormdesk", 5, 0)),
        ("Fly 4 U", SenderId("Fly 4 U", 5, 0)),
        ("+12025550100", SenderId("12025550100", 1, 1)),
        ("12025550100", SenderId("12025550100", 1, 1)),
        ("3636", SenderId("3636", 3, 0)),
    ],
)
def test_sender_ids(text: str, expected: SenderId) -> None:
    assert sender_id(text) == expected


@pytest.mark.parametrize("text", ["", "TwelveLetters", "Café", "12", "Fly\n", "  ", "a;b"])
def test_what_cannot_be_a_sender(text: str) -> None:
    with pytest.raises(ValueError, match="11 letters"):
        sender_id(text)


@pytest.mark.parametrize(
    ("minor", "currency", "micro"),
    [("7.25", "EUR", 72_500), ("0.01", "USD", 100), ("3", "JPY", 3_000_000), ("1.5", "KWD", 1_500), ("0", "EUR", 0)],
)
def test_fractions_of_the_smallest_coin_are_exact(minor: str, currency: str, micro: int) -> None:
    assert minor_to_micro(minor, currency) == micro


@pytest.mark.parametrize("minor", ["", "x", "-1", "NaN", "Infinity", "0.00001", "99999999", "1e30"])
def test_what_is_no_price(minor: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        minor_to_micro(minor, "EUR")


def test_an_amount_is_never_shown_smaller_than_it_is() -> None:
    assert written_amount(72_500 * 3, "EUR") == "0.22 EUR"
    assert written_amount(1_000_000, "EUR") == "1.00 EUR"
    assert written_amount(1, "JPY") == "1 JPY"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["country,price"], "price_minor is missing"),
        ([HEAD], "no line with a price"),
        ([HEAD, "XX,1,EUR,A"], "Line 2: XX is not a country's code"),
        ([HEAD, "NL,1,EURO,A"], "EURO is not a currency's code"),
        ([HEAD, "NL,1,EUR,A", "nl,2,EUR,B"], "Line 3: NL has a line already"),
        ([HEAD, "US,1,USD,Airline"], "the sender for US must be a number"),
        ([HEAD, "NL,x,EUR,A", "BE,1,EUR,WayTooLongSender"], "Line 3"),
    ],
)
def test_every_fault_is_named_with_its_line(lines: list[str], says: str) -> None:
    with pytest.raises(BadPrices, match=says):
        read_prices(lines)
