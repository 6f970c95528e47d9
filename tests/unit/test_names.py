"""Names agree the way people type them."""

import pytest

from claims.names import Agreement, agreement


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
    ],
)
def test_how_well_names_agree(said: str, known: str, level: Agreement) -> None:
    assert agreement(said, known) is level
    assert agreement(known, said) is level
