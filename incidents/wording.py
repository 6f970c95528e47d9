"""What an update says in one language, and what must be true of it before anybody may approve it. Pure.

It knows nothing of phases and promises (`lifecycle`), nor of who reads it.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from foundation.errors import Fault
from foundation.languages import SPOKEN

# What everybody is told in; the other languages we speak may be left out, and English stands in for them, openly.
LANGUAGES = ("en", "nl")

LONGEST_TITLE = (
    150  # characters: it becomes the subject of a mail and the name in the Statuspage API (255 at most there)
)
LONGEST_BODY = 4000
LONGEST_ADVICE = 1500
LONGEST_CAUSE = 300
LONGEST_WRONG = 1000
LONGEST_LABEL = 100
LONGEST_URL = 500
MOST_LINKS = 8
MOST_SEGMENTS = 8

LANGUAGE_NAMES = {"en": "English", "nl": "Dutch", "de": "German", "fr": "French", "es": "Spanish"}
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Nothing that runs (javascript:, data:), nothing that is read by others on its way (http:), and nothing that could end
# an attribute or a line. Characters beyond ASCII are written with percent signs and xn--, as browsers copy them.
_SAFE_URL = re.compile(
    r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?#][!#-;=?-\[\]_a-~]*)?"
    r"|tel:\+?[0-9-]{3,20}"
    r"|mailto:[A-Za-z0-9.!#$%&'*+/=?^_`|~-]{1,64}@[A-Za-z0-9.-]{1,253}"
)


@dataclass(frozen=True, slots=True)
class Link:
    """Somewhere to go: `url` begins with https:, tel: or mailto:."""

    label: str
    url: str

    @property
    def shown(self) -> str:
        """The address as people write it down: a phone number or a mail address without its scheme."""
        return re.sub("^(tel|mailto):", "", self.url)


@dataclass(frozen=True, slots=True)
class SegmentAdvice:
    """What one part of the audience can do. `segment`: its key; `who`: how they know that they are meant."""

    segment: str
    who: str
    text: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdateText:
    """What an update says in one language. `cause` is a short phrase ("a snowstorm over New York"), or empty.

    `advice` is for everybody, `advice_for` for parts of the audience. `wrong`: of a correction, what was not true.
    """

    title: str
    body: str
    advice: str
    cause: str = ""
    wrong: str = ""
    links: tuple[Link, ...] = ()
    advice_for: tuple[SegmentAdvice, ...] = ()

    def prose(self) -> Iterator[tuple[str, str]]:
        """Everything in it that is read as sentences, each with its field."""
        yield "title", self.title
        yield "body", self.body
        yield "advice", self.advice
        yield "wrong", self.wrong
        for place, one in enumerate(self.advice_for):
            yield f"advice_for.{place}.text", one.text


def tidy_text(text: UpdateText) -> UpdateText:
    """The text with white space around everything removed, and line ends of one kind."""
    return UpdateText(
        tidy(text.title),
        tidy(text.body),
        tidy(text.advice),
        tidy(text.cause),
        tidy(text.wrong),
        _tidy_links(text.links),
        tuple(
            SegmentAdvice(one.segment, tidy(one.who), tidy(one.text), _tidy_links(one.links)) for one in text.advice_for
        ),
    )


def _tidy_links(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return tuple(replace(link, label=tidy(link.label), url=link.url.strip()) for link in links)


def tidy(text: str) -> str:
    """`text` without white space around it, with line ends of one kind."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def text_faults(texts: Mapping[str, UpdateText], *, corrects: bool = False) -> Iterator[Fault]:
    """What is wrong with the texts of an update, field by field. `corrects`: it withdraws an earlier one."""
    yield from language_faults("texts", texts)
    for language in SPOKEN:
        if language in texts:
            yield from _faults_of(f"texts.{language}", texts[language], corrects=corrects)
    yield from _uneven("cause", texts)
    yield from _uneven("advice_for", texts)


def _faults_of(place: str, text: UpdateText, *, corrects: bool) -> Iterator[Fault]:
    yield from line_faults(f"{place}.title", text.title, LONGEST_TITLE)
    yield from prose_faults(f"{place}.body", text.body, LONGEST_BODY)
    yield from prose_faults(f"{place}.advice", text.advice, LONGEST_ADVICE)
    if text.cause:
        yield from line_faults(f"{place}.cause", text.cause, LONGEST_CAUSE)
    if corrects and not text.wrong:
        yield Fault(f"{place}.wrong", "Say what was wrong.")
    elif text.wrong and not corrects:
        yield Fault(f"{place}.wrong", "Only a correction says what was wrong: name the update it corrects.")
    elif text.wrong:
        yield from prose_faults(f"{place}.wrong", text.wrong, LONGEST_WRONG)
    yield from _link_faults(f"{place}.links", text.links)
    if len(text.advice_for) > MOST_SEGMENTS:
        yield Fault(f"{place}.advice_for", f"Advise {MOST_SEGMENTS} parts of the audience at most.")
    for number, one in enumerate(text.advice_for):
        yield from line_faults(f"{place}.advice_for.{number}.who", one.who, LONGEST_LABEL)
        yield from prose_faults(f"{place}.advice_for.{number}.text", one.text, LONGEST_ADVICE)
        yield from _link_faults(f"{place}.advice_for.{number}.links", one.links)


def _uneven(field: str, texts: Mapping[str, UpdateText]) -> Iterator[Fault]:
    """What is said in one language is said in all that the update is written in."""
    said = {language: _extent(getattr(text, field)) for language, text in texts.items()}
    most = max(said.values(), key=len, default=())
    for language in SPOKEN:
        if language in said and said[language] != most:
            what = "the cause" if field == "cause" else "the advice for the same parts of the audience, in one order"
            yield Fault(f"texts.{language}.{field}", f"Say {what} in {LANGUAGE_NAMES[language]} too.")


def _extent(said: str | tuple[SegmentAdvice, ...]) -> tuple[str, ...]:
    if isinstance(said, str):
        return ("said",) if said else ()
    return tuple(one.segment for one in said)


def _link_faults(field: str, links: tuple[Link, ...]) -> Iterator[Fault]:
    if len(links) > MOST_LINKS:
        yield Fault(field, f"Give {MOST_LINKS} links at most.")
    for number, link in enumerate(links):
        yield from line_faults(f"{field}.{number}.label", link.label, LONGEST_LABEL)
        if len(link.url) > LONGEST_URL or not _SAFE_URL.fullmatch(link.url):
            said = "A link begins with https:, tel: or mailto:, has no blanks, and is 500 characters at most."
            yield Fault(f"{field}.{number}.url", said)


def language_faults(field: str, texts: Mapping[str, object]) -> Iterator[Fault]:
    """English and Dutch are always there, and nothing that we do not speak."""
    for language in LANGUAGES:
        if language not in texts:
            yield Fault(f"{field}.{language}", f"Write the {LANGUAGE_NAMES[language]} text too.")
    for language in texts.keys() - set(SPOKEN):
        yield Fault(f"{field}.{language[:20]}", f"We publish in these languages only: {', '.join(SPOKEN)}.")


def line_faults(field: str, text: str, longest: int) -> Iterator[Fault]:
    """What is wrong with a text that must stand on one line."""
    if "\n" in text:
        yield Fault(field, "Keep this on one line.")
    yield from prose_faults(field, text, longest)


def prose_faults(field: str, text: str, longest: int) -> Iterator[Fault]:
    """What is wrong with a text of several lines that may have `longest` characters and must have some."""
    if not text.strip():
        yield Fault(field, "This may not be empty.")
    if len(text) > longest:
        yield Fault(field, f"Keep this within {longest} characters; it has {len(text)}.")
    if any(_invisible(character) for character in text):
        yield Fault(field, "Remove the control characters.")


def _invisible(character: str) -> bool:
    # Cc: control codes (a NUL cannot even be stored); Cs: half a character. Both come from copying, never from typing.
    return character in _BIDI_CONTROLS or (character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cs"))
