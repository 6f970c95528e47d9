"""Which language somebody gets: what they chose, then what their browser likes best, then English."""

import pytest

from foundation.languages import SPOKEN, called_in, choose_language


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        (["nl", "en"], "nl"),
        (["", "nl-BE"], "nl"),
        ([None], "en"),
        (["xx", "nl"], "nl"),
        (["en;q=0.5, nl;q=0.9"], "nl"),
        (["it, en;q=0.1, nl ; q=0.100"], "en"),
        (["it-IT,it;q=0.9,nl-NL;q=0.7,en;q=0.8"], "en"),
        (["nl;q=0, en;q=0"], "en"),
        (["nl;q=0.0", "nl"], "nl"),
        (["EN;Q=0.2, NL"], "nl"),
        (["nl;q=nan, nl;q=2, nl;q=, *"], "en"),
    ],
)
def test_the_best_liked_language_we_speak_is_chosen(wishes: list[str | None], language: str) -> None:
    assert choose_language(*wishes) == language


def test_a_language_is_called_as_its_reader_calls_it() -> None:
    assert [called_in("en", language) for language in SPOKEN] == ["English", "Engels", "Englisch", "anglais", "inglés"]
