"""Whatever people type into names and messages, the pages stay whole, show it as text, and run none of it."""

from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import urlencode

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.templates import render
from claims.evidence import clues_in, evidence_of
from claims.identity import Known, decide
from claims.receipts import grouped, masked, new_receipt, read_receipt
from claims.submissions import ASKS_FOR, FIELDS, Submission, from_form, read_form, read_json, stored_submission
from claims.tracking import Followed, ShownClaim, ShownContact, ShownDecision, ShownReply
from foundation.clock import system_clock
from incidents import LANGUAGES

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</textarea><script>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "%(number)s %s %",
    "javascript:alert(1)",
    "\0\x1b[31m\u202e\u200b",
    "' or 1=1; --",
    "&lt;b&gt;",
    "\ufdfa" * 200,
    "😀 " * 100,
]
texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=60), st.text(alphabet="<>&\"'/={}%\0 \n", max_size=30))
fields = [name for name in FIELDS if name not in ("asks_for", "language", "incident")]
typed_forms = st.fixed_dictionaries(dict.fromkeys(fields, texts))
ALLOWED_TAGS = {"html", "head", "meta", "title", "link", "body", "header", "nav", "main", "section", "footer", "div"}
ALLOWED_TAGS |= {"a", "h1", "h2", "p", "strong", "span", "time", "ol", "ul", "li", "dl", "dt", "dd", "blockquote"}
ALLOWED_TAGS |= {"form", "input", "label", "textarea", "fieldset", "legend", "button"}
ALLOWED_TAGS |= {"h3", "h4", "article", "details", "summary"}


class Reading(HTMLParser):
    """A page as a browser takes it apart: every tag and attribute must be one that the templates write."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.inputs: dict[str, str] = {}
        self.area = ""
        self.quote = ""
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED_TAGS, tag
        given_attributes = dict(attrs)
        assert not any(name.startswith("on") or name in ("style", "src") for name in given_attributes), attrs
        assert not str(given_attributes.get("href", "")).lower().startswith(("javascript:", "data:"))
        if tag == "input" and given_attributes.get("type") not in ("radio", "hidden"):
            self.inputs[str(given_attributes["name"])] = given_attributes.get("value") or ""
        if tag in ("textarea", "blockquote"):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "textarea":
            self.area += data
        if self._inside == "blockquote":
            self.quote += data


def read(page: str) -> Reading:
    found = Reading()
    found.feed(page)
    found.close()
    assert page.rstrip().endswith("</html>")
    return found


@settings(max_examples=40, deadline=None)
@given(typed=typed_forms, language=st.sampled_from(LANGUAGES))
def test_the_form_gives_back_exactly_what_was_typed(typed: Mapping[str, str], language: str) -> None:
    sent = read_form(urlencode(typed, errors="replace").encode())
    page = render(
        "claims/claim.html",
        language,
        page_name="Northwind Air",
        zone="Etc/UTC",
        typed={**dict.fromkeys((*FIELDS, "post"), ""), **sent},
        faults={"email": "This does not look like a mail address. It should be like name@example.org."},
        soft=True,
        asked="email",
        files=(),
        slip="",
        about=None,
        outages=[],
        busy=False,
        wishes=ASKS_FOR,
        form_name="abcdefgh",
        incident_query="",
    )
    found = read(page)
    for name in fields:
        if name != "message":
            assert found.inputs[name] == sent[name]
    # HTML drops one line break right behind <textarea>; the template writes one, so that none of theirs is lost.
    assert found.area.removeprefix("\n") == sent["message"]
    assert from_form(sent).message == sent["message"]


@settings(max_examples=40, deadline=None)
@given(typed=typed_forms, language=st.sampled_from(LANGUAGES))
def test_the_case_shows_words_as_words(typed: Mapping[str, str], language: str) -> None:
    receipt = new_receipt()
    said = Submission(**typed)  # type: ignore[arg-type]  # fields are texts
    contact = ShownContact(1, masked(receipt), "web", system_clock(), "mail", own=True, said=said)
    ruling = ShownDecision(
        id=1,
        outcome="rejected",
        reason="no_proof",
        words=typed["message"],
        next_steps=["appeal"],
        decided_at=system_clock(),
        may_appeal=True,
        appealed_at=None,
        appeal_by=None,
        appeal_state=None,
        appeal_words=None,
    )
    claim = ShownClaim("refund", "decided", system_clock(), system_clock(), 1, [ruling])
    case = Followed(
        case_number="C-100001",
        state="open",
        incident_id=None,
        opened_at=system_clock(),
        reopened=0,
        agent=typed["name"],
        contacts=[contact],
        more=0,
        claims=[claim],
        replies=[ShownReply(system_clock(), typed["name"], typed["reference"], typed["message"])],
        appointments=[],
        next=[],
        feedback_id=1,
        own_contacts=[1],
        reach=("mail", typed["email"]),
        said=said,
    )
    page = render(
        "claims/case.html",
        language,
        page_name="Northwind Air",
        zone="Etc/UTC",
        case=case,
        receipt=grouped(receipt),
        outage=None,
        promise=None,
        now=system_clock(),
        token="t",
        whole=False,
        soonest=system_clock(),
        refused=None,
        act="",
        typed={},
        did="",
        form_name="abcdefgh",
    )
    # In the ruling (unless it is all blank), in our reply, and in their own contact.
    assert read(page).quote == typed["message"] * (3 if typed["message"].strip() else 2)


@given(said=st.fixed_dictionaries({"message": st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"]))}))
def test_json_is_read_back_to_the_letter(said: dict[str, str]) -> None:
    raw = msgspec.json.encode({**said, "name": "x"})
    found = stored_submission("api", raw)
    assert found is not None
    assert found.message == said["message"] == read_json(raw).message


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_a_stored_contact(raw: bytes) -> None:
    for channel in ("api", "web", "mail"):
        found = stored_submission(channel, raw)
        assert found is None or isinstance(found, Submission)


@given(said=typed_forms, shared=st.booleans())
def test_no_text_breaks_the_rules_of_identity(said: Mapping[str, str], shared: bool) -> None:
    clues = clues_in(Submission(**said))  # type: ignore[arg-type]  # fields are texts
    fits = {("mail", mail): [Known(1, "a"), Known(2, "b")] for mail in clues.mails if shared}
    for key in decide(evidence_of(clues, fits)).keys:
        assert "\0" not in key.value
        assert len(key.value.encode()) < 2000


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_a_receipt(text: str) -> None:
    assert read_receipt(text) is None or len(text) >= 12
