"""Whatever staff or an import write arrives as text: in HTML, in the Statuspage API and in a message."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from app.templates import render
from foundation.errors import Invalid
from incidents.lifecycle import PHASES, check_update, tidy
from incidents.page_view import lay_out
from incidents.records import Incident, Update
from incidents.roll_up import roll_up
from incidents.saying import Saying
from incidents.snapshot import Change, ShownComponent, ShownIncident, ShownUpdate, Snapshot
from incidents.statuspage_v2 import Publisher, documents
from incidents.wording import UpdateText
from notify import MessageText
from tests.support.incidents import COMPOSER, NOW, a_draft

NASTY = [
    "<script>alert(1)</script>", "</p><img src=x onerror=alert(1)>", "\"'><svg/onload=1>", "&lt;b&gt;", "]]>",
    "{{7*7}}", "{% raw %}", "{name}", "{", "}}", "<!--stormdesk:age-->", "\u2028", "javascript:1", "%(n)s", "%",
    "\\u003c", "é🛬",
]  # fmt: skip
lines = st.lists(st.sampled_from(NASTY) | st.text(max_size=20), min_size=1, max_size=4).map("".join)
prose = st.lists(lines, min_size=1, max_size=3).map("\n".join)
EXPECTED_TAGS = {
    "html", "head", "meta", "title", "link", "body", "a", "header", "div", "nav", "main", "section", "svg", "circle",
    "path", "h1", "h2", "h3", "p", "time", "article", "ol", "ul", "li", "span", "dl", "dt", "dd", "details", "summary",
    "footer",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects a page's text and the tags and attributes it uses."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _snapshot(text: UpdateText, name: str) -> Snapshot:
    component = ShownComponent("k", "a" * 12, name, name, "major_outage", 0, NOW, NOW)
    update = ShownUpdate(
        "u" * 12, "i" * 12, 1, "investigating", {"en": text, "nl": text}, "suspected", name, NOW + timedelta(hours=1),
        NOW, (Change(component, "operational", "major_outage"),),
    )  # fmt: skip
    incident = ShownIncident(
        "i" * 12, {"en": name, "nl": name}, "investigating", "major", NOW, NOW, NOW, None, None, (update, update),
        (component,),
    )  # fmt: skip
    return Snapshot(NOW, (component,), (incident,), ())


@settings(max_examples=150, deadline=None)
@given(title=lines, body=prose, name=lines)
def test_text_stays_text_in_html(title: str, body: str, name: str) -> None:
    snapshot = _snapshot(UpdateText(title, body, body, title), name)
    page = render(
        "incidents/index.html", "nl", page_name=name, zone="Etc/UTC", at=NOW, phases=PHASES,
        age_place="<!--stormdesk:age-->", incidents=snapshot.open, groups=lay_out(snapshot.components),
        headline=roll_up(["major_outage"]), total=1, past=[],
    )  # fmt: skip
    assert page.count("<!--stormdesk:age-->") == 1
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.tags <= EXPECTED_TAGS
    assert not {one for one in reader.attributes if one.startswith("on") or one == "style"}
    text = "".join(reader.text)
    for said in (title, body, name):
        assert said in text


@settings(max_examples=150, deadline=None)
@given(title=lines, body=prose, name=lines)
def test_text_stays_text_in_data(title: str, body: str, name: str) -> None:
    made = documents(_snapshot(UpdateText(title, body, body), name), Publisher("Page", "https://a.example"))
    raw = made["api/v2/summary.json"]
    assert not set(raw) & set(b"<>&")
    summary = json.loads(raw)
    assert summary["incidents"][0]["name"] == name
    shown = summary["incidents"][0]["incident_updates"][0]["body"].replace("<br />", "\n")
    reader = Reader()
    reader.feed(shown)
    reader.close()
    assert reader.tags == set()
    assert body in "".join(reader.text)


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
