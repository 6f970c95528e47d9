"""What a mail will say, exactly, before anybody is chosen to read it: its subject, its text and its HTML. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from notify.html_part import html_parts
from notify.markup import Part, Slot, lines_of, one_line, plain_parts
from notify.messages import MessageText


@dataclass(frozen=True, slots=True)
class MailPreview:
    """A mail in one language. What differs per recipient stands as its name in brackets: `[name]`."""

    language: str
    subject: str
    text: str
    html: str


def preview_mail(message: MessageText) -> MailPreview:
    """The mail that would be made of `message`."""
    lines = lines_of(message.body, {})
    subject = one_line(message.subject)
    html = html_parts(lines, title=subject, language=message.language)
    text = "".join(_shown(plain_parts(message.body, {})))
    return MailPreview(message.language, subject, text, "".join(_shown(html, safe=True)))


def _shown(parts: Iterable[Part], *, safe: bool = False) -> Iterable[str]:
    for part in parts:
        shown = f"[{part.name}]" if isinstance(part, Slot) else part
        yield escape(shown) if safe and isinstance(part, Slot) else shown
