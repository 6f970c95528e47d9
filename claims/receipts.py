"""Receipt codes: short enough to read out over the phone, too many to guess, and a slip of the tongue is noticed.

A code is eleven random symbols of Crockford's base 32 (no I, L, O or U), 55 bits, and one check symbol. Pure: it knows
nothing of contacts.
"""

import secrets
import unicodedata
from functools import cache

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
# What people write or hear for a symbol that looks alike (crockford.com/base32.html).
_READ_AS = str.maketrans("OIL", "011", " -–—._/")


def new_receipt() -> str:
    """A fresh code, without its dashes."""
    number = secrets.randbits(5 * (LENGTH - 1))
    values = [number >> shift & 31 for shift in range(0, 5 * (LENGTH - 1), 5)]
    return "".join([ALPHABET[value] for value in values]) + ALPHABET[_check(values)]


def grouped(receipt: str) -> str:
    """A code as it is shown: `7KQF-3MXA-9TZ2`."""
    return "-".join(receipt[place : place + 4] for place in range(0, len(receipt), 4))


def masked(receipt: str) -> str:
    """A code that its owner recognises and nobody else can use: `7KQF-••••-••••`."""
    return f"{receipt[:4]}-••••-••••"


def read_receipt(text: str) -> str | None:
    """The code somebody typed or spelled out, or None when it cannot be one. Forgives case, spaces, dashes, O and I."""
    if len(text) > 60:
        return None
    code = unicodedata.normalize("NFKC", text).upper().translate(_READ_AS)
    if len(code) != LENGTH or not all(symbol in _VALUES for symbol in code):
        return None
    *values, check = (_VALUES[symbol] for symbol in code)
    return code if _check(values) == check else None


def _check(values: list[int]) -> int:
    """The sum of value times a different weight for each place, in the field of 32 elements.

    It changes whenever one symbol is wrong, or any two are exchanged.
    """
    weights = _weights()
    check = 0
    for place, value in enumerate(values):
        check ^= weights[place][value]
    return check


@cache
def _weights() -> list[list[int]]:
    # Powers of 2 modulo the primitive polynomial x⁵ + x² + 1: all different for the first 31 places, none of them 1
    # (which is the weight of the check symbol itself).
    powers = [2]
    for _ in range(LENGTH - 2):
        powers.append(_times(powers[-1], 2))
    return [[_times(power, value) for value in range(32)] for power in powers]


def _times(one: int, other: int) -> int:
    product = 0
    for bit in range(5):
        if other >> bit & 1:
            product ^= one << bit
    for bit in range(8, 4, -1):
        if product >> bit & 1:
            product ^= 0b100101 << (bit - 5)
    return product
