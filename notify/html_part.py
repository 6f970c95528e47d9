"""The HTML part of a mail, made from the same lines as its text. Pure.

It loads nothing and watches nobody: no image, no font, no tracking. One column that fits any width, in the reader's own
font, light or dark as the reader has it; a reader whose program drops the style sheet gets plain headings and
paragraphs, which read just as well.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape

from notify.markup import FOOTER, HEADING, Line, Part, Slot

# Written from right to left (the languages of CLDR in Arabic, Hebrew, Thaana, Syriac and N'Ko script).
_RIGHT_TO_LEFT = frozenset(
    ("ar", "arc", "ckb", "dv", "fa", "he", "ks", "nqo", "prs", "ps", "sd", "syr", "ug", "ur", "yi")
)
_LINK = re.compile(r"https?://[^\s<>\"]+")
# What ends a sentence around an address rather than the address.
_NOT_OF_LINK = re.compile(r"[.,;:!?'\")\]]+$")
# What comes before the last sentence of a line, that sentence, a colon, and an address.
_NAMED = re.compile(r"((?:.*[.!?؟。](?=\s))?\s*)([^\s:/][^:/]{0,79}): ")
_NAMED_ADDRESS = re.compile(_NAMED.pattern + f"({_LINK.pattern})")

_STYLE = """\
:root{color-scheme:light dark}
body{margin:0;padding:0}
.mail{max-width:36rem;margin:0 auto;padding:1.25rem;color:#17202e;overflow-wrap:anywhere;
font:1rem/1.55 system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif}
h1{font-size:1.375rem;line-height:1.3;margin:1rem 0}
h2{font-size:1.0625rem;line-height:1.3;margin:1.5rem 0 .25rem}
p{margin:0 0 1rem}
h2+p{margin-top:0}
a{color:#1b57c2}
b{white-space:nowrap}
.foot{margin-top:1.75rem;padding-top:1rem;border-top:1px solid #dbe1ea;font-size:.875rem;color:#55617a}
@media (prefers-color-scheme:dark){
body{background:#171e29}
.mail{color:#e8ecf3}
a{color:#8db8ff}
.foot{border-color:#2b3545;color:#a9b4c6}
}
"""


def direction(language: str) -> str:
    """`ltr` or `rtl`: the way `language` (a tag such as nl or he-IL) is written."""
    return "rtl" if language.lower().partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def html_parts(lines: Sequence[Line], *, title: str, language: str, unbroken: str = "") -> Iterator[Part]:
    """The whole document: markup and slots in turn. A slot's value has to be escaped by whoever fills it.

    `{leave_url}` becomes a link; every other slot stands where text stands, never within a tag. `language`: letters,
    digits and hyphens only. `unbroken`: plain letters, digits and hyphens that are shown bold, on one line.
    """
    facing = direction(language)
    yield (
        f'<!doctype html>\n<html lang="{language}" dir="{facing}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        # Again on an element of our own: many programs show the body's content in a page of theirs.
        f'<div class="mail" lang="{language}" dir="{facing}">\n'
    )
    foot = False
    headings = 0
    for block in _blocks(lines):
        if block[0].mark == FOOTER:
            if not foot:
                yield '<div class="foot">\n'
            foot = True
            continue
        level = "p"
        if block[0].mark == HEADING:
            headings += 1
            level = "h1" if headings == 1 else "h2"
        yield f"<{level}>"
        for number, line in enumerate(block):
            if number:
                yield "<br>\n"
            yield from _inline(line.parts, unbroken)
        yield f"</{level}>\n"
    yield ("</div>\n" if foot else "") + "</div>\n</body>\n</html>\n"


def _blocks(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Headings and footer marks by themselves, and the lines between empty ones together."""
    block: list[Line] = []
    for line in lines:
        if block and (not line or line.mark):
            yield block
            block = []
        if line.mark:
            yield [line]
        elif line:
            block.append(line)
    if block:
        yield block


def _inline(parts: Sequence[Part], unbroken: str) -> Iterator[Part]:
    """A line. When it ends in a colon and an address, the words of its last sentence become the link."""
    *front, last = parts or ("",)
    words = front[-1] if front else ""
    if isinstance(last, Slot):
        if last.name != "leave_url":
            yield from _run(parts, unbroken)
        elif isinstance(words, str) and (named := _NAMED.fullmatch(words)):
            yield from (*_run(front[:-1], unbroken), _text(named[1], unbroken), '<a href="', last)
            yield f'">{escape(named[2])}</a>'
        else:
            yield from _run(parts, unbroken)
    elif (named := _NAMED_ADDRESS.fullmatch(last)) and not _NOT_OF_LINK.search(named[3]):
        yield from _run(front, unbroken)
        yield f'{_text(named[1], unbroken)}<a href="{escape(named[3])}">{escape(named[2])}</a>'
    else:
        yield from _run(parts, unbroken)


def _run(parts: Sequence[Part], unbroken: str) -> Iterator[Part]:
    for place, part in enumerate(parts):
        if isinstance(part, Slot) and part.name == "leave_url":
            yield from ('<a href="', part, '">', part, "</a>")
        elif isinstance(part, Slot):
            yield from ("<bdi>", part, "</bdi>")  # a name written the other way leaves the order of the rest alone
        else:
            # An address that runs into a slot would be a link to somewhere else.
            yield _linked(part, unbroken, open_end=place + 1 < len(parts))


def _linked(text: str, unbroken: str, *, open_end: bool) -> str:
    html, position = "", 0
    for match in _LINK.finditer(text):
        if open_end and match.end() == len(text):
            break
        address = _NOT_OF_LINK.sub("", match[0])
        html += f'{_text(text[position : match.start()], unbroken)}<a href="{escape(address)}">{escape(address)}</a>'
        position = match.start() + len(address)
    return html + _text(text[position:], unbroken)


def _text(text: str, unbroken: str) -> str:
    return escape(text).replace(unbroken, f"<b>{unbroken}</b>") if unbroken else escape(text)
