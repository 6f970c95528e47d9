"""Why a contact is in its case, in words: for whoever wrote, in every language; how contacts compare, for the desk."""

from typing import Any

import pytest

from app.templates import environment
from claims.resemblance import WEIGHTS
from foundation.languages import SPOKEN

_WHY = (
    *("customer_number", "reference", "mail", "phone", "answered", "continues", "by_hand"),
    *("clues_disagree", "nobody_known", "nothing_to_go_by"),
    *(f"same_{field}" for field in WEIGHTS),
)


def _macros(template: str, language: str) -> Any:
    return environment(language).get_template(template).module


@pytest.mark.parametrize("language", SPOKEN)
def test_the_track_page_says_why_a_message_is_in_the_case(language: str) -> None:
    words, english = (_macros("claims/words.html", one) for one in (language, "en"))
    for code in _WHY:
        said = words.because(code).strip()
        assert said.endswith("."), code
        assert language == "en" or said != english.because(code).strip(), code


@pytest.mark.parametrize("language", ["en", "nl"])
def test_the_desk_says_how_two_contacts_compare(language: str) -> None:
    words = _macros("app/case-words.html", language)
    for field, levels in WEIGHTS.items():
        assert "_" not in words.field(field)
        for level in levels:
            said = words.level(level).strip()
            assert said, level
            assert (said in {"different", "verschillend"}) == (level == "other"), level
