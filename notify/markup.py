"""The one source of every part of a mail: plain text with slots and two marks, read into lines. Pure.

A body is plain text. In braces, and only there, stands what is not text:
- slots that differ per recipient: `{name}`, `{customer_number}`, `{leave_url}` (the link that stops this news);
- slots that are the same for all: `{check_code}` (see `references.check_code`);
- marks: `{heading}` opens a line that is a heading, `{footer}` is a line of its own, and what follows is small print.
A brace that is meant as one is doubled, which `escape_slots` does, so nothing in an outsider's text means anything.
Paragraphs are set apart by empty lines. Addresses that start with https:// become links; one that ends a line, behind a
colon, is named by the sentence before it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

PERSONAL_SLOTS = frozenset({"name", "customer_number", "leave_url"})
SLOTS = PERSONAL_SLOTS | {"check_code"}
HEADING, FOOTER = "heading", "footer"
MARKS = frozenset({HEADING, FOOTER})

_BRACES = re.compile(r"\{\{|\}\}|\{([a-z_]+)\}")
# Controls (C0, DEL, C1), lone surrogates, the separators that some programs take for a line end, and the marks that
# turn the direction of writing and so could make one thing read as another.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_END = re.compile("\r\n|\r|\n")
_BLANKS = re.compile(r"[ \r\n\t]+")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place that is filled for each recipient."""

    name: str


Part: TypeAlias = str | Slot


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a body. `mark`: `HEADING`, `FOOTER` or nothing."""

    parts: tuple[Part, ...]
    mark: str = ""

    def __bool__(self) -> bool:
        return bool(self.mark) or any(not isinstance(part, str) or part.strip() for part in self.parts)


def escape_slots(text: str) -> str:
    """`text` as it must stand in a body to be read as it is, braces included."""
    return text.replace("{", "{{").replace("}", "}}")


def one_line(text: str) -> str:
    """`text` without line ends, controls and runs of blanks, fit for a header or the middle of a line."""
    return _CONTROLS.sub("", _BLANKS.sub(" ", text)).strip()


def unknown_slots(body: str) -> list[str]:
    """What stands in braces in `body` and means nothing, sorted."""
    return sorted({match[1] for match in _BRACES.finditer(body) if match[1]} - SLOTS - MARKS)


def lines_of(body: str, constants: Mapping[str, str]) -> list[Line]:
    """`body` line by line, with the slots in `constants` filled.

    What is in braces and unknown stays text: it is refused before anything is stored. Text parts hold no line end.
    """
    lines: list[Line] = []
    for text in _CONTROLS.sub("", _LINE_END.sub("\n", body)).rstrip("\n").split("\n"):
        parts = list(_parts(text, constants))
        mark = ""
        if parts and isinstance(parts[0], Slot) and parts[0].name in MARKS:
            mark = parts.pop(0).name  # type: ignore[union-attr]  # just looked at
        # A mark in any other place marks nothing.
        lines.append(Line(tuple(part for part in parts if isinstance(part, str) or part.name not in MARKS), mark))
    return lines


def fill_slots(body: str, slots: Mapping[str, str], *, small_print: bool = True) -> str:
    """`body` as plain text with every slot filled on one line; without `small_print` it ends at the footer."""
    parts = plain_parts(body, slots, small_print=small_print)
    return "".join(part for part in parts if isinstance(part, str)).removesuffix("\n")


def plain_parts(body: str, constants: Mapping[str, str], *, small_print: bool = True) -> Iterator[Part]:
    """The plain-text part: text and slots in turn, one line end at the end of each line."""
    for line in lines_of(body, constants):
        if line.mark == FOOTER:
            if not small_print:
                return
            yield "---\n"
        else:
            yield from line.parts
            yield "\n"


def _parts(text: str, constants: Mapping[str, str]) -> Iterator[Part]:
    read, position = "", 0
    for match in _BRACES.finditer(text):
        read += text[position : match.start()]
        position = match.end()
        name = match[1]
        if name is None:
            read += match[0][0]
        elif name in constants:
            read += one_line(constants[name])
        elif name in SLOTS or name in MARKS:
            if read:
                yield read
            yield Slot(name)
            read = ""
        else:
            read += match[0]
    if rest := read + text[position:]:
        yield rest
