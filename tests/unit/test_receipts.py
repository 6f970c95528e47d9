"""A receipt code survives being read out, and notices when it was not."""

from itertools import combinations

import pytest

from claims.receipts import ALPHABET, grouped, masked, new_receipt, read_receipt


def test_a_code_reads_back_as_itself() -> None:
    for _ in range(200):
        receipt = new_receipt()
        assert read_receipt(receipt) == receipt
        assert read_receipt(grouped(receipt)) == receipt


def test_codes_do_not_repeat() -> None:
    assert len({new_receipt() for _ in range(5000)}) == 5000


@pytest.mark.parametrize("spelling", [str.lower, lambda code: code.replace("0", "O").replace("1", "l"), " ".join])
def test_case_spaces_and_letters_that_look_like_digits_are_forgiven(spelling: object) -> None:
    assert callable(spelling)
    for _ in range(50):
        receipt = new_receipt()
        assert read_receipt(spelling(receipt)) == receipt


def test_dashes_of_every_kind_are_forgiven() -> None:
    receipt = new_receipt()
    for dash in ("-", "–", "—", ".", " - "):
        assert read_receipt(dash.join((receipt[:4], receipt[4:8], receipt[8:]))) == receipt


def test_one_wrong_symbol_is_noticed() -> None:
    receipt = new_receipt()
    for place in range(len(receipt)):
        for symbol in ALPHABET.replace(receipt[place], ""):
            assert read_receipt(receipt[:place] + symbol + receipt[place + 1 :]) is None


def test_two_symbols_exchanged_are_noticed() -> None:
    receipt = new_receipt()
    for one, other in combinations(range(len(receipt)), 2):
        symbols = list(receipt)
        symbols[one], symbols[other] = symbols[other], symbols[one]
        if symbols != list(receipt):
            assert read_receipt("".join(symbols)) is None


@pytest.mark.parametrize("text", ["", "hello", "7KQF", "7KQF-3MXA-9TZ2-0000", "\0" * 12, "Ü" * 12, "٣" * 12, "1" * 999])
def test_what_cannot_be_a_code_is_none(text: str) -> None:
    assert read_receipt(text) is None


def test_a_masked_code_shows_a_third() -> None:
    assert masked("7KQF3MXA9TZ2") == "7KQF-••••-••••"
