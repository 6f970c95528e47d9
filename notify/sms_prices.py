"""What a segment costs in each country, and under which sender id it goes there. Pure: a table in, answers out.

Money is whole millionths of a currency's unit (EUR 0.0725 is 72 500): contracts price segments in fractions of a cent,
and sums of whole numbers are exact. Six decimals suffice for every price list we have seen, and a 64-bit number holds
nine thousand billion units.
"""

import csv
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import phonenumbers
from babel.numbers import get_currency_precision, list_currencies

# Millionths of a currency's unit.
Micro: TypeAlias = int
MICRO = 1_000_000

# Where networks refuse or overwrite a sender of letters; there it must be a number.
NUMBERS_ONLY = frozenset({"US", "CA", "CN"})
EVERYWHERE_ELSE = "*"
# An example that works: put the prices and sender ids of your own contract in its place.
DEFAULT_PRICES = Path(__file__).with_name("sms_prices.csv")

_INTERNATIONAL, _NETWORK_SPECIFIC, _ALPHANUMERIC = 1, 3, 5
_COLUMNS = ("country", "price_minor", "currency", "sender_id")
_LETTERED = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ._&-]{1,11}")
_NUMBER = re.compile(r"\+?[0-9]{3,15}")


@dataclass(frozen=True, slots=True)
class SenderId:
    """Who a text is from, as SMPP writes it (type of number and numbering plan, SMPP 3.4 section 5.2.5 and 5.2.6)."""

    text: str
    ton: int
    npi: int

    @property
    def lettered(self) -> bool:
        return self.ton == _ALPHANUMERIC


@dataclass(frozen=True, slots=True)
class Price:
    """What one segment costs in one country, and the sender it goes out under; None: nothing can be sent there."""

    country: str
    micro: Micro
    currency: str
    sender: SenderId | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one text takes: its segments, and their price in all."""

    segments: int
    micro: Micro
    currency: str


class BadPrices(ValueError):
    """The price table cannot be used; the message names every line that is wrong and what to do."""


class Prices:
    """A price table. Countries without a row of their own have that of `*`, or none."""

    def __init__(self, rows: Mapping[str, Price]) -> None:
        self._rows = dict(rows)

    @property
    def currencies(self) -> frozenset[str]:
        return frozenset(one.currency for one in self._rows.values())

    def price(self, phone: str) -> Price | None:
        """What a segment to `phone` (E.164) costs; None when the table has nothing for its country."""
        country = country_of(phone)
        row = self._rows.get(country)
        if row is not None:
            return row
        row = self._rows.get(EVERYWHERE_ELSE)
        if row is None:
            return None
        # A sender of letters that serves everywhere else does not serve where letters are refused.
        sender = None if country in NUMBERS_ONLY and row.sender and row.sender.lettered else row.sender
        return Price(country, row.micro, row.currency, sender)


def sender_id(text: str) -> SenderId:
    """The sender in `text`: up to 11 letters and digits, an international number, or a short code.

    Raises ValueError.
    """
    if _NUMBER.fullmatch(text):
        digits = text.lstrip("+")
        # A short code has no country in it: network specific.
        international = text.startswith("+") or len(digits) > 8
        return SenderId(digits, _INTERNATIONAL, 1) if international else SenderId(digits, _NETWORK_SPECIFIC, 0)
    if _LETTERED.fullmatch(text):
        return SenderId(text, _ALPHANUMERIC, 0)
    raise ValueError("must be up to 11 letters and digits (one letter at least), or a phone number, or a short code")


@lru_cache(maxsize=65_536)
def country_of(phone: str) -> str:
    """The ISO 3166 code of the country of a number in E.164; ZZ when there is none."""
    for digits in (1, 2, 3):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(_whole(phone[1 : 1 + digits]))
        if regions is not None:
            break
    else:
        return phonenumbers.UNKNOWN_REGION
    if len(regions) == 1:
        return str(regions[0])
    try:
        found = phonenumbers.region_code_for_number(phonenumbers.parse(phone, None))
    except phonenumbers.NumberParseException:
        found = None
    # A number in no known range is most likely of the country that leads the plan.
    return str(found or regions[0])


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def read_prices(lines: Iterable[str]) -> Prices:
    """The table in a CSV file with the columns country, price_minor, currency and sender_id. Raises `BadPrices`.

    `price_minor`: of one segment, in hundredths (or what the currency has) with decimals where need be, such as 7.25.
    An empty `sender_id`: nothing is sent there until one is arranged.
    """
    reader = csv.DictReader(lines)
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise BadPrices(f"The first line must name the columns {', '.join(_COLUMNS)}; {missing[0]} is missing.")
    rows: dict[str, Price] = {}
    faults = []
    for row in reader:
        try:
            price = _price(row, rows)
        except ValueError as error:
            faults.append(f"Line {reader.line_num}: {error}.")
        else:
            rows[price.country] = price
    if not rows and not faults:
        faults.append("There is no line with a price.")
    if faults:
        raise BadPrices(" ".join(faults[:20]))
    return Prices(rows)


def _price(row: Mapping[str, str | None], before: Collection[str]) -> Price:
    text = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    country, currency = text["country"].upper(), text["currency"].upper()
    if country != EVERYWHERE_ELSE and country not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{country or 'an empty country'} is not a country's code of two letters")
    if country in before:
        raise ValueError(f"{country} has a line already")
    if currency not in list_currencies():
        raise ValueError(f"{currency or 'an empty currency'} is not a currency's code of three letters")
    sender = sender_id(text["sender_id"]) if text["sender_id"] else None
    if sender is not None and sender.lettered and country in NUMBERS_ONLY:
        raise ValueError(f"the sender for {country} must be a number, letters are refused there")
    return Price(country, minor_to_micro(text["price_minor"], currency), currency, sender)


def minor_to_micro(text: str, currency: str) -> Micro:
    """An amount in the currency's smallest coin (`7.25` cents) in millionths of its unit. Raises ValueError."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text or 'an empty price'} is not a number") from None
    micro = amount * MICRO / 10 ** get_currency_precision(currency)
    if not amount.is_finite() or not 0 <= micro <= 1000 * MICRO or micro != micro.to_integral_value():
        raise ValueError(f"{text} is not a price between nothing and a thousand, in millionths at the finest")
    return int(micro)


def written_amount(micro: Micro, currency: str) -> str:
    """An amount for people, such as `12.35 EUR`; rounded up, so that no cost looks smaller than it is."""
    digits = get_currency_precision(currency)
    step = MICRO // 10**digits
    whole, coins = divmod(-(-micro // step), 10**digits)
    return f"{whole}.{coins:0{digits}} {currency}" if digits else f"{whole} {currency}"
