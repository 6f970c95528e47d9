"""The page as feeds, Atom (RFC 4287) and RSS 2.0: one entry for each update, so that a reader shows every one of them.

An entry's id and first time are its update's. It changes once at most: when a correction withdraws what it says, it
says so, and its new time makes readers show it again. It knows no database; words come from the template it is given.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from feedgenerator import Atom1Feed, Rss201rev2Feed

from foundation.languages import SPOKEN, in_language
from incidents.snapshot import ShownIncident, ShownUpdate
from incidents.statuspage_v2 import Publisher
from incidents.xml_text import xml_text

MOST_ENTRIES = 50
_NOTHING_YET = datetime(1970, 1, 1, tzinfo=UTC)

# Writes what an entry says: (template, language, **context) → HTML, everything of ours escaped in it.
Render: TypeAlias = Callable[..., str]
_Entry: TypeAlias = tuple[ShownIncident, ShownUpdate]


class Feeds:
    """Writes the feeds of one page. `zone`: IANA name of the zone that times in a text are given in."""

    def __init__(self, publisher: Publisher, render: Render, zone: str) -> None:
        self._publisher = publisher
        self._render = render
        self._zone = zone

    def of_all(self, incidents: Sequence[ShownIncident]) -> dict[str, bytes]:
        """The newest updates about any of `incidents`, by path: `feed.en.atom`, `feed.en.rss`.

        The same under the names Statuspage gives them (`history.en.atom`), which the world's readers try.
        """
        newest = sorted(_entries(incidents), key=lambda entry: entry[1].published_at, reverse=True)[:MOST_ENTRIES]
        files = {}
        for language in SPOKEN:
            for kind, feed in self._both(language, self._publisher.name, "", newest).items():
                files[f"feed.{language}.{kind}"] = files[f"history.{language}.{kind}"] = feed
        return files

    def of(self, incident: ShownIncident) -> dict[str, bytes]:
        """Everything said about one incident, by path: `incidents/<id>/feed.en.atom`."""
        path = f"incidents/{incident.id}"
        files: dict[str, bytes] = {}
        for language in SPOKEN:
            title = f"{in_language(incident.title, language)[1]} – {self._publisher.name}"
            made = self._both(language, title, f"/{path}", list(_entries([incident])))
            files |= {f"{path}/feed.{language}.{kind}": feed for kind, feed in made.items()}
        return files

    def _both(self, language: str, title: str, path: str, entries: Sequence[_Entry]) -> dict[str, bytes]:
        items = [self._item(language, *entry) for entry in entries]
        url, made = self._publisher.url, {}
        for kind, of_kind in (("atom", _Atom), ("rss", _Rss)):
            address = f"{url}{path}/feed.{kind}?lang={language}"
            feed = of_kind(
                title=xml_text(title),
                link=f"{url}{path or '/'}?lang={language}",
                description=xml_text(title) if kind == "rss" else "",
                language=language,
                author_name=xml_text(self._publisher.name),
                author_link=url,
                feed_url=address,
                feed_guid=address,
            )
            for item in items:
                said = item["content"]
                words = {"description": said, "content": None} if kind == "rss" else {"description": None}
                feed.add_item(**{**item, **words})
            out = io.BytesIO()
            feed.write(out, "utf-8")
            made[kind] = out.getvalue()
        return made

    def _item(self, language: str, incident: ShownIncident, update: ShownUpdate) -> dict[str, Any]:
        _, said = in_language(update.texts, language)
        page = f"{self._publisher.url}/incidents/{incident.id}?lang={language}"
        changed = next((one.published_at for one in incident.updates if one.number == update.corrected_by), None)
        content = self._render("incidents/entry.html", language, update=update, page=page, zone=self._zone)
        return {
            "title": xml_text(said.title),
            "link": f"{page}#update-{update.number}",
            "content": xml_text(content),
            "unique_id": _tag(self._publisher, update, language),
            "pubdate": update.published_at.astimezone(UTC),
            "updateddate": (changed or update.published_at).astimezone(UTC),
            "categories": [xml_text(in_language(incident.title, language)[1])],
            "related": [f"{page}#update-{number}" for number in (update.corrects, update.corrected_by) if number],
        }


class _Still:
    """A feed's time stands still while nothing was said."""

    items: list[dict[str, Any]]

    def latest_post_date(self) -> datetime:
        return max((item["updateddate"] for item in self.items), default=_NOTHING_YET)


class _Atom(_Still, Atom1Feed):  # type: ignore[misc]  # the library has no types
    """The library's, with links between an update and its correction."""

    def add_item_elements(self, handler: Any, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, item)
        for address in item["related"]:
            handler.addQuickElement("link", "", {"rel": "related", "href": address})


class _Rss(_Still, Rss201rev2Feed):  # type: ignore[misc]  # the library has no types
    """The library's; the id of an entry is no address."""

    def add_item_elements(self, handler: Any, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, {**item, "unique_id_is_permalink": False})


def _entries(incidents: Iterable[ShownIncident]) -> Iterable[_Entry]:
    return ((incident, update) for incident in incidents for update in incident.updates)


def _tag(publisher: Publisher, update: ShownUpdate, language: str) -> str:
    """The entry's name for ever (RFC 4151), also should its page move."""
    host = urlsplit(publisher.url).hostname or "localhost"
    return f"tag:{host},{update.published_at.astimezone(UTC):%Y-%m-%d}:update/{update.id}/{language}"
