"""Every text exists in the languages of its readers: a missing one would fall back to English in silence.

The public reads five languages, the desk two. A template is the desk's when it extends `app/desk.html`, only such
templates use it, or metrics draws it; every other one is the public's. Of texts in code the catalogues themselves tell:
what claims and notify say in Dutch beside the desk's templates, they say in every language of the public.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment
from jinja2.ext import babel_extract
from jinja2.meta import find_referenced_templates

from foundation.languages import SPOKEN

ROOT = Path(__file__).resolve().parents[2]
DESK = ("nl",)
PUBLIC = tuple(language for language in SPOKEN if language != "en")


@lru_cache
def _texts_in(language: str) -> dict[Any, Any]:
    """All translations: the packages share one catalogue, as in app.templates."""
    known: dict[Any, Any] = {}
    for path in ROOT.glob(f"*/locale/{language}.po"):
        known |= {key: said for key, said in _catalogue(path).items() if said}
    return known


def _catalogue(path: Path) -> dict[Any, Any]:
    with path.open("rb") as file:
        return {message.id: message.string for message in read_po(file, locale=path.stem)}


@lru_cache
def _templates() -> dict[str, set[str]]:
    """Every template, by name, and those it extends, includes or imports."""
    environment = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
    return {
        f"{path.parents[1].name}/{path.name}": {
            name for name in find_referenced_templates(environment.parse(path.read_text())) if name
        }
        for path in ROOT.glob("*/templates/*.*")
    }


def _with_all_it_uses(name: str) -> set[str]:
    found, waiting = set(), [name]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += _templates()[one]
    return found


def _of_the_public() -> set[str]:
    used = {name for uses in _templates().values() for name in uses}
    pages = [
        name
        for name in _templates()
        if name not in used and "app/desk.html" not in _with_all_it_uses(name) and not name.startswith("metrics/")
    ]
    return set().union(*map(_with_all_it_uses, pages))


def _texts_of(template: str) -> Iterator[tuple[str, ...]]:
    """The texts of a template: (text,) or (one, many)."""
    options = {"trimmed": "false", "newstyle_gettext": "true"}
    package, name = template.split("/")
    with (ROOT / package / "templates" / name).open("rb") as file:
        for _, _, message, _ in babel_extract(file, ("_", "gettext", "ngettext"), (), options):
            parts = message if isinstance(message, tuple) else (message,)
            if texts := tuple(part for part in parts if part):  # none: what is named by an expression
                yield texts


@pytest.mark.parametrize("template", sorted(_templates()))
def test_every_text_exists_in_the_languages_of_its_readers(template: str) -> None:
    for language in PUBLIC if template in _of_the_public() else DESK:
        for texts in _texts_of(template):
            translated = _texts_in(language).get(texts if len(texts) > 1 else texts[0])
            assert translated, (language, texts)
            for text, said in zip(texts, [translated] if isinstance(translated, str) else translated, strict=True):
                assert _places(text) == _places(said), (language, texts)


@pytest.mark.parametrize("package", ["claims", "notify"])
def test_what_code_says_to_the_public_exists_in_every_language(package: str) -> None:
    """Refusals and the like stand in the catalogue of their package; the desk's are told apart by who uses them."""
    dutch = _catalogue(ROOT / package / "locale/nl.po")
    of_the_desk = {
        texts if len(texts) > 1 else texts[0]
        for template in _templates().keys() - _of_the_public()
        for texts in _texts_of(template)
    }
    expected = {key for key, said in dutch.items() if key and said} - of_the_desk
    for language in PUBLIC:
        assert not expected - _texts_in(language).keys(), language


@pytest.mark.parametrize("language", PUBLIC)
def test_every_text_can_be_filled_in(language: str) -> None:
    """The templates fill in every text, also one without places: a bare % would end the page in an error."""
    for key, said in _texts_in(language).items():
        for text in (*(key if isinstance(key, tuple) else (key,)), *((said,) if isinstance(said, str) else said)):
            assert text % dict.fromkeys(_places(text), "x") is not None, (language, text)


def test_the_public_is_told_apart_from_the_desk() -> None:
    public = _of_the_public()
    assert {"app/base.html", "incidents/index.html", "incidents/parts.html", "notify/confirm.mail.txt"} <= public
    assert not public & {"app/desk.html", "app/users.html"}


def _places(text: str) -> set[str]:
    """The names a text leaves open: %(name)s, and {name} in messages."""
    return {part.partition(")")[0] for part in text.split("%(")[1:]} | {
        name for _, name, _, _ in Formatter().parse(text) if name
    }
