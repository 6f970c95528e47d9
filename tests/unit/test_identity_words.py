"""Why a contact is in its case, in words: for whoever wrote, in every language; how contacts compare, for the desk."""

import pytest

from app.templates import environment
from claims.resemblance import WEIGHTS
from foundation.languages import SPOKEN

_WHY = (
    *("customer_number", "reference", "mail", "phone", "answered", "continues", "by_hand"),
    *("clues_disagree", "nobody_known", "nothing_to_go_by"),
    *(f"same_{field}" for field in WEIGHTS),
)


@pytest.mark.parametrize("language", SPOKEN)
def test_the_track_page_says_why_a_message_is_in_the_case(language: str) -> None:
    words, english = (environment(one).get_template("claims/words.html").module for one in (language, "en"))
    for code in _WHY:
        said = words.because(code).strip()
        assert said.endswith("."), code
        assert language == "en" or said != english.because(code).strip(), code


@pytest.mark.parametrize("language", ["en", "nl"])
def test_the_desk_says_how_two_contacts_compare(language: str) -> None:
    words = environment(language).get_template("app/case-words.html").module
    for field, levels in WEIGHTS.items():
        assert "_" not in words.field(field)
        for level in levels:
            said = words.level(level).strip()
            assert said, level
            assert (said in {"different", "verschillend"}) == (level == "other"), level
