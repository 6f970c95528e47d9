"""Whoever reads Dutch reads all of it: every text on a page has a Dutch one, with the same places to fill in."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "incidents", "claims", "notify", "metrics")
CATALOGUES = [path for name in PACKAGES for path in sorted((ROOT / name / "locale").glob("*.po"))]
PLACES = re.compile(r"%\(\w+\)[sd]|\{\w+\}")

Message = tuple[str, ...]


def _sources(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package / "templates").rglob("*.*"))
    yield from sorted((ROOT / package).rglob("*.py"))


def _messages(path: Path) -> Iterator[Message]:
    """Every text that `path` asks a translation of, with its plural form when it has one."""
    if path.suffix == ".py":
        found = extract_from_file("python", str(path))
    else:
        options = {"extensions": "jinja2.ext.i18n", "newstyle_gettext": "true", "silent": "false"}
        found = extract_from_file("jinja2", str(path), options=options)
    for _, message, _, _ in found:
        yield message if isinstance(message, tuple) else (message,)


def _translations(path: Path) -> dict[Message, Message]:
    with path.open("rb") as file:
        return {_tuple(message.id): _tuple(message.string) for message in read_po(file, locale=path.stem) if message.id}


def _tuple(texts: object) -> Message:
    return tuple(str(text) for text in texts) if isinstance(texts, tuple | list) else (str(texts or ""),)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_text_of_a_package_has_a_dutch_one(package: str) -> None:
    """All catalogues are one at run time, so a text that several packages use is translated once."""
    known = {message for path in CATALOGUES for message in _translations(path)}
    missing = {
        f"{path.relative_to(ROOT)}: {message[0]}"
        for path in _sources(package)
        for message in _messages(path)
        if message not in known
    }
    assert not missing


def test_no_text_has_two_translations() -> None:
    """Which of the two a page shows would depend on the order of loading."""
    known: dict[Message, Message] = {}
    for path in CATALOGUES:
        for message, translation in _translations(path).items():
            assert known.setdefault(message, translation) == translation, message[0]


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_translation_is_complete_and_fills_in_the_same_places(path: Path) -> None:
    for message, translation in _translations(path).items():
        assert all(text.strip() for text in translation), f"not translated: {message[0]}"
        assert len(translation) == max(len(message), 1), f"plural forms of: {message[0]}"
        for text in translation:
            assert set(PLACES.findall(text)) <= set(PLACES.findall(" ".join(message))), message[0]
        assert set(PLACES.findall(translation[-1])) == set(PLACES.findall(message[-1])), message[0]
