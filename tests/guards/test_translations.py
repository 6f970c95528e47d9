"""Every text a customer can read exists in Dutch: a missing one would fall back to English in silence."""

from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(folder.parent.name for folder in ROOT.glob("*/templates"))


def _dutch() -> dict[Any, Any]:
    """All translations: the packages share one catalogue, as in app.templates."""
    known: dict[Any, Any] = {}
    for path in ROOT.glob("*/locale/nl.po"):
        with path.open("rb") as file:
            known |= {message.id: message.string for message in read_po(file, locale="nl")}
    return known


def _texts(package: str) -> Iterator[tuple[str, ...]]:
    """The texts of a package's templates: (text,) or (one, many)."""
    options = {"trimmed": "false", "newstyle_gettext": "true"}
    for path in sorted((ROOT / package / "templates").rglob("*.*")):
        with path.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ("_", "gettext", "ngettext"), (), options):
                parts = message if isinstance(message, tuple) else (message,)
                if texts := tuple(part for part in parts if part):  # none: what is named by an expression
                    yield texts


@pytest.mark.parametrize("package", PACKAGES)
def test_every_text_exists_in_dutch(package: str) -> None:
    known = _dutch()
    for texts in _texts(package):
        translated = known.get(texts if len(texts) > 1 else texts[0])
        assert translated, texts
        for text, dutch in zip(texts, [translated] if isinstance(translated, str) else translated, strict=True):
            assert _places(text) == _places(dutch), texts


def _places(text: str) -> set[str]:
    """The names a text leaves open: %(name)s, and {name} in messages."""
    return {part.partition(")")[0] for part in text.split("%(")[1:]} | {
        name for _, name, _, _ in Formatter().parse(text) if name
    }
