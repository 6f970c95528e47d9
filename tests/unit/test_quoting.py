"""Own words and what they quote, in the ways the world's mail programs write it."""

import pytest

from claims.quoting import parted

CASES = {
    "gmail-en": (
        "Yes, Sunday please.\n\nOn Mon, Mar 3, 2025 at 10:00 AM Desk <d@x.example> wrote:\n> Sunday?\n",
        "Yes, Sunday please.",
    ),
    "gmail-nl": ("Ja graag\n\nOp ma 3 mrt 2025 om 10:00 schreef Desk <d@x.example>:\n\n> Zondag?\n", "Ja graag"),
    "gmail-de": (
        "Ja bitte\n\nAm Mo., 3. März 2025 um 10:00 Uhr schrieb Desk <d@x.example>:\n\n> Sonntag?\n",
        "Ja bitte",
    ),
    "outlook-en": (
        "Yes\n\nFrom: Desk <d@x.example>\nSent: Monday, March 3, 2025 10:00 AM\nTo: Me <m@x.example>\nSubject: RE: Flight\n\nSunday?\n",
        "Yes",
    ),
    "original": (
        "Yes\n\n-----Original Message-----\nFrom: Desk\nSent: Monday\nTo: Me\nSubject: Flight\n\nSunday?\n",
        "Yes",
    ),
    "nothing quoted": ("Just my own words.\nIn two lines.", "Just my own words.\nIn two lines."),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_own_words_are_told_from_quoted_ones(name: str) -> None:
    text, expected = CASES[name]
    own, quoted = parted(text)
    assert own.splitlines()[0] == expected.splitlines()[0]
    assert ("unday?" in quoted or "ondag?" in quoted or "onntag?" in quoted) is (name != "nothing quoted")
    assert "unday?" not in own


def test_answers_between_the_lines_are_kept() -> None:
    own, _ = parted("> When?\nOn Sunday.\n> Where to?\nBoston.\n")
    assert "On Sunday." in own
    assert "Boston." in own


@pytest.mark.parametrize("text", ["> all of it\n> is quoted", "", "> " * 40_000, "\n" * 90_000, "On " * 50_000])
def test_nobody_is_shown_as_silent_and_it_ends_soon(text: str) -> None:
    own, _ = parted(text)
    assert bool(own.strip()) == bool(text.strip())
