"""Names agree the way people type them."""

import pytest

from claims.names import Agreement, agreement, agrees_so_far, surname_agrees


@pytest.mark.parametrize(
    ("said", "known", "level"),
    [
        ("jan de vries", "jan de vries", Agreement.SAME),
        ("vries jan de", "jan de vries", Agreement.SAME),
        ("j de vries", "jan de vries", Agreement.LIKELY),
        ("jan p de vries", "jan de vries", Agreement.LIKELY),
        ("jan de vries", "jan pieter de vries", Agreement.LIKELY),
        ("janneke van der velde", "janneke van der veldde", Agreement.LIKELY),
        ("johanna jansne", "johanna jansen", Agreement.LIKELY),
        ("de vries", "jan de vries", Agreement.PART),
        ("marie de vries", "jan de vries", Agreement.PART),
        ("jan", "jan de vries", Agreement.PART),
        ("piet de boer", "jan de vries", Agreement.NONE),
        ("j d", "jan de vries", Agreement.NONE),
        ("de", "jan de vries", Agreement.NONE),
        ("le", "barry le", Agreement.PART),
        ("b le", "barry le", Agreement.PART),
        ("barry j le", "barry le", Agreement.LIKELY),
        ("le", "barry le roux", Agreement.NONE),
        ("", "jan de vries", Agreement.NONE),
        ("", "", Agreement.NONE),
        ("ann lee", "ian lee", Agreement.PART),
        ("sjoerd deb ruyn", "sjoerd de bruyn", Agreement.LIKELY),
        ("dean de ober", "dean de boer", Agreement.LIKELY),
        ("dean devries", "dean de vries", Agreement.LIKELY),
        ("anne jansen", "anna jansen", Agreement.PART),
        ("mr smith", "mr jones", Agreement.NONE),
        ("mevr de wit", "mevr jansen", Agreement.NONE),
        ("de heer jansen", "de heer bakker", Agreement.NONE),
        ("mr", "mr jones", Agreement.NONE),
        ("jansen piet mr", "piet jansen", Agreement.SAME),
        ("prof dr p jansen", "piet jansen", Agreement.LIKELY),
        ("jan de heer", "j de heer", Agreement.LIKELY),
    ],
)
def test_how_well_names_agree(said: str, known: str, level: Agreement) -> None:
    assert agreement(said, known) is level
    assert agreement(known, said) is level


@pytest.mark.parametrize(
    ("said", "known", "agrees"),
    [
        ("jansen", "piet jansen", True),
        ("maria jansen", "piet jansen", True),
        ("mevr jansen", "piet jansen", True),
        ("p jansen", "piet jansen", True),
        ("jansen p", "piet jansen", True),
        ("jansen piet", "piet jansen", True),
        ("p jansen", "jansen piet", True),
        ("piet jansne", "piet jansen", True),
        ("de vries", "jan de vries", True),
        ("maria garcia", "maria garcia lopez", True),
        ("lopez", "maria garcia lopez", True),
        ("garcia lopez", "maria garcia lopez", True),
        ("b le", "barry le", True),
        ("dean de ober", "dean de boer", True),
        ("mustafa van iml", "mustafa van mil", True),
        ("piet", "piet jansen", False),
        ("piet bakker", "piet jansen", False),
        ("piet j", "piet jansen", False),
        ("mr piet", "mr piet jansen", False),
        ("van der berg", "jan van der meer", False),
        ("", "piet jansen", False),
    ],
)
def test_whether_the_surname_agrees(said: str, known: str, agrees: bool) -> None:
    assert surname_agrees(said, known) is agrees


def test_a_first_name_that_is_all_there_is_speaks_against_nobody() -> None:
    assert agrees_so_far("piet", "piet jansen")
    assert not agrees_so_far("piet bakker", "piet jansen")
    assert not agrees_so_far("kees", "piet jansen")
