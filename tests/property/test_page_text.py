"""Whatever staff or an import write arrives as text, in every public format and in every message.

Each format has a reader of its own here that knows what may be in it; whatever else comes of a text is a fault.
"""

import html
import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from lxml import etree

from foundation.errors import Invalid
from incidents.lifecycle import check_update, tidy
from incidents.records import Incident, Update
from incidents.saying import Saying
from incidents.snapshot import Change, Snapshot
from incidents.statuspage_v2 import Publisher
from incidents.wording import UpdateText
from incidents.xml_text import xml_text
from notify import MessageText
from tests.support.incidents import COMPOSER, NOW, a_draft
from tests.support.snapshots import (
    a_component,
    a_full_text,
    a_maintenance,
    a_postmortem,
    a_snapshot,
    an_incident,
    an_update,
    files_of,
)

NASTY = [
    "<script>alert(1)</script>", "</p><img src=x onerror=alert(1)>", "\"'><svg/onload=1>", "&lt;b&gt;", "]]>",
    "{{7*7}}", "{% raw %}", "{name}", "{", "}}", "<!--stormdesk:age-->", "\u2028", "javascript:1", "%(n)s", "%",
    "\\u003c", "é🛬",
]  # fmt: skip
lines = st.lists(st.sampled_from(NASTY) | st.text(max_size=20), min_size=1, max_size=4).map("".join)
prose = st.lists(lines, min_size=1, max_size=3).map("\n".join)
# What a page consists of. Nothing else may come of a text; a script is the one file of ours.
EXPECTED_TAGS = {
    "html", "head", "meta", "title", "link", "script", "body", "a", "header", "div", "nav", "main", "section", "svg",
    "circle", "path", "rect", "h1", "h2", "h3", "p", "br", "time", "article", "ol", "ul", "li", "span", "strong", "dl",
    "dt", "dd", "details", "summary", "footer", "form", "input", "label", "select", "option", "button", "table",
    "caption", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ENTRY_TAGS = {"p", "strong", "a", "br", "ul", "li", "span"}
ADDRESSES = ("https://", "/", "?", "#", "tel:", "mailto:")


class Reader(HTMLParser):
    """Collects a page's text and the tags, attributes and addresses it uses."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src", "action")}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(page: str, tags: set[str]) -> str:
    """The text of a page that holds nothing but these tags, and nothing that runs."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.tags <= tags
    assert not {one for one in reader.attributes if one.startswith("on") or one in ("style", "srcdoc", "formaction")}
    assert all(address.startswith(ADDRESSES) for address in reader.addresses)
    return "".join(reader.text)


def _snapshot(said: str) -> Snapshot:
    """Every text there is, in every place it can stand, is `said`."""
    broken = a_component(said, said, "major_outage")
    text = {tag: a_full_text(said, wrong=said) for tag in ("en", "nl")}
    wrong = an_update(texts=text, cause_certainty="suspected", party=said, corrected_by=2)
    right = an_update(
        2, texts=text, cause_certainty="confirmed", party=said, stated_by=said, corrects=1,
        changes=(Change(broken, "operational", "major_outage"),),
    )  # fmt: skip
    title = {"en": said, "nl": said}
    going_on = an_incident(title=title, component=broken, updates=(right, wrong))
    over = an_incident(
        id="incident0002", title=title, component=broken, updates=(right, wrong), phase="postmortem", resolved_at=NOW,
        postmortem=a_postmortem(title),
    )  # fmt: skip
    planned = a_maintenance(title=title, updates=(an_update(phase="scheduled", texts=text, next_update_at=None),))
    return a_snapshot(going_on, over, components=[a_component(said)], maintenances=[planned])


def _in_html(page: bytes, said: str) -> None:
    text = page.decode()
    # Where the page may say that it is old stands once, whatever its texts hold (a page of what is over has no such).
    assert text.count("<!--stormdesk:age-->") <= 1
    shown = _read(text, EXPECTED_TAGS)
    assert _flat(said) in _flat(shown)
    [script] = re.findall("<script[^>]*>", text)
    assert re.fullmatch('<script src="/static/page[.][0-9a-f]+[.]js" type="module">', script)


def _in_json(document: bytes, said: str) -> None:
    assert not set(document) & set(b"<>&")
    for incident in json.loads(document).get("incidents", []):
        assert incident["name"] == said
        for update in incident["incident_updates"]:
            assert _flat(said) in _flat(_read(update["body"].replace("<br />", "\n"), set()))


def _in_feed(feed: bytes, said: str) -> None:
    root = etree.fromstring(feed, _STRICT)
    entries = root.findall("{*}entry") or root.findall(".//item")
    assert entries
    for entry in entries:
        title, content = entry.find("{*}title"), entry.find("{*}content")
        content = entry.find("description") if content is None else content
        assert title is not None
        assert content is not None
        assert _flat(title.text or "") == _flat(xml_text(said))
        assert _flat(xml_text(said)) in _flat(_read(content.text or "", ENTRY_TAGS))


def _in_alert(alert: bytes, said: str) -> None:
    root = etree.fromstring(alert, _STRICT)
    assert CAP.validate(root), CAP.error_log
    assert _flat(xml_text(said)) in _flat(root.findtext("{*}info/{*}headline") or "")


def _in_calendar(calendar: bytes, said: str) -> None:
    [event] = Calendar.from_ical(calendar).walk("VEVENT")
    assert set(event) == {
        *("UID", "SEQUENCE", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "DESCRIPTION", "URL", "STATUS", "TRANSP"),
    }
    assert _flat(xml_text(said)) == _flat(str(event["SUMMARY"]))


def _in_picture(picture: bytes, said: str) -> None:
    root = etree.fromstring(picture, _STRICT)
    assert {etree.QName(one).localname for one in root.iter()} == {"svg", "title", "rect", "path", "g", "text"}
    assert _flat(xml_text(said)) in _flat("".join(root.itertext()))


def _in_map(document: bytes, said: str) -> None:
    root = etree.fromstring(document, _STRICT)
    assert {etree.QName(one).localname for one in root.iter()} == {"urlset", "url", "loc", "link"}


def _in_rules(rules: bytes, said: str) -> None:
    assert all(line.split(":")[0] in ("User-agent", "Disallow", "Sitemap", "") for line in rules.decode().split("\n"))


_STRICT = etree.XMLParser(resolve_entities=False, no_network=True)
CAP = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "schemas/cap-1.2.xsd"))
# What a file's name ends in (the first that fits counts) → what must be true of it whatever the texts hold.
FORMATS: Mapping[str, Callable[[bytes, str], None]] = {
    ".html": _in_html,
    ".json": _in_json,
    ".atom": _in_feed,
    ".rss": _in_feed,
    "sitemap.xml": _in_map,
    ".xml": _in_alert,
    ".ics": _in_calendar,
    ".svg": _in_picture,
    ".txt": _in_rules,
}


def _flat(text: str) -> str:
    """Without what formats may change: white space, and characters that are white space to some."""
    return re.sub(r"[\s\u200b\ufeff]+", "", text)


@settings(max_examples=6, deadline=None)
@example("".join(NASTY) + "\r\nX-Injected: 1\r\n\r\n<b>")
@given(lines)
def test_text_stays_text_in_every_public_format(said: str) -> None:
    files = files_of(_snapshot(said), publisher=Publisher(said, "https://a.example"))
    kinds = set()
    for name, content in files.items():
        if not name.startswith("static/"):
            kind = next(ending for ending in FORMATS if name.endswith(ending))
            FORMATS[kind](content, said)
            kinds.add(kind)
    assert kinds == set(FORMATS)


@pytest.mark.parametrize("name", ["index.nl.html", "incidents/incident0001.nl.html"])
def test_what_previews_show_is_text_too(name: str) -> None:
    said = "".join(NASTY)
    page = files_of(_snapshot(said), publisher=Publisher(said, "https://a.example"))[name].decode()
    found = dict(re.findall(r'<meta property="og:([a-z_]+)" content="([^"]*)">', page))
    assert set(found) == {"type", "site_name", "title", "description", "url", "locale"}
    assert html.unescape(found["site_name"]) == said
    assert not any("<" in value for value in found.values())


@settings(max_examples=150, deadline=None)
@given(title=lines, body=prose, name=lines)
def test_only_our_own_slots_are_filled_in_a_message(title: str, body: str, name: str) -> None:
    draft = tidy(a_draft(texts={tag: UpdateText(title, body, body) for tag in ("en", "nl")}))
    try:
        check_update(draft, "investigating", NOW)
    except Invalid:
        return
    incident = Incident("i" * 12, {"en": "A", "nl": "A"}, "investigating", "major", NOW, NOW, None, None, "x", NOW, NOW)
    update = Update(
        "u" * 12, incident.id, 1, "published", "investigating", draft.texts, "suspected", "p", None, None,
        draft.next_update_at, "x", NOW, None, None, "x", NOW, 1, "x", NOW,
    )  # fmt: skip
    for message in COMPOSER.messages(Saying(incident, update, name)):
        assert isinstance(message, MessageText)
        assert "\n" not in message.subject
        ours = ["name", "heading", "heading", "footer", "check_code", "check_code", "leave_url"]
        assert [slot for slot in re.findall(r"\{\{|\}\}|\{([a-z_]+)\}|[{}]", message.body) if slot] == ours
        assert draft.texts["en"].body in message.body.replace("{{", "{").replace("}}", "}")
