"""The page as a feed: Atom (RFC 4287), one entry for each update, so that a reader shows every one of them. Pure.

An entry never changes, as an update never does: its id and its time are those of the update.
"""

import html
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from feedgenerator import Atom1Feed

from foundation.languages import SPOKEN, in_language
from incidents.snapshot import ShownIncident, ShownUpdate
from incidents.statuspage_v2 import Publisher

MOST_ENTRIES = 50
# What XML 1.0 cannot hold in any spelling. Nothing of ours has it, but a feed must not break over it.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOTHING_YET = datetime(1970, 1, 1, tzinfo=UTC)


def feed_of_all(incidents: Sequence[ShownIncident], publisher: Publisher) -> dict[str, bytes]:
    """The feeds of the newest updates about any of `incidents`, one per language, by path: `feed.en.atom`."""
    newest = sorted(_entries(incidents), key=lambda entry: entry[1].published_at, reverse=True)[:MOST_ENTRIES]
    return {f"feed.{language}.atom": _feed(publisher, language, publisher.name, "", newest) for language in SPOKEN}


def feed_of(incident: ShownIncident, publisher: Publisher) -> dict[str, bytes]:
    """The feeds of everything said about one incident, by path: `incidents/<id>/feed.en.atom`."""
    return {
        f"incidents/{incident.id}/feed.{language}.atom": _feed(
            publisher,
            language,
            f"{in_language(incident.title, language)[1]} – {publisher.name}",
            f"/incidents/{incident.id}",
            list(_entries([incident])),
        )
        for language in SPOKEN
    }


class _Feed(Atom1Feed):  # type: ignore[misc]  # the library has no types
    """The library's, with a time that stands still while nothing was said."""

    def latest_post_date(self) -> datetime:
        return max((item["updateddate"] for item in self.items), default=_NOTHING_YET)


def _entries(incidents: Iterable[ShownIncident]) -> Iterable[tuple[ShownIncident, ShownUpdate]]:
    return ((incident, update) for incident in incidents for update in incident.updates)


def _feed(
    publisher: Publisher,
    language: str,
    title: str,
    path: str,
    entries: Sequence[tuple[ShownIncident, ShownUpdate]],
) -> bytes:
    address = f"{publisher.url}{path}/feed.atom?lang={language}"
    feed = _Feed(
        title=_clean(title),
        link=f"{publisher.url}{path or '/'}?lang={language}",
        description="",
        language=language,
        author_name=_clean(publisher.name),
        author_link=publisher.url,
        feed_url=address,
        feed_guid=address,
    )
    for incident, update in entries:
        _, said = in_language(update.texts, language)
        text = "\n\n".join(part for part in (said.body, said.advice) if part)
        feed.add_item(
            title=_clean(said.title),
            link=f"{publisher.url}/incidents/{incident.id}?lang={language}",
            description=None,
            content=_as_html(_clean(text)),
            unique_id=_tag(publisher, update, language),
            pubdate=update.published_at.astimezone(UTC),
            updateddate=update.published_at.astimezone(UTC),
            categories=[_clean(in_language(incident.title, language)[1])],
        )
    out = io.BytesIO()
    feed.write(out, "utf-8")
    return out.getvalue()


def _tag(publisher: Publisher, update: ShownUpdate, language: str) -> str:
    """The entry's name for ever (RFC 4151), also should its page move."""
    host = urlsplit(publisher.url).hostname or "localhost"
    return f"tag:{host},{update.published_at.astimezone(UTC):%Y-%m-%d}:update/{update.id}/{language}"


def _as_html(text: str) -> str:
    """Our text as HTML that says exactly that: readers take the content for HTML, and nothing in ours is a tag."""
    return html.escape(text).replace("\n", "<br>")


def _clean(text: str) -> str:
    return _NOT_XML.sub("", text)
