"""What an update must say, and which phase may follow which."""

from datetime import timedelta
from typing import Any

import pytest

from foundation.errors import Conflict, Invalid
from incidents.lifecycle import PHASES, check_declaration, check_update, tidy
from incidents.wording import UpdateText
from tests.support.incidents import NOW, a_declaration, a_draft, a_text, texts


def faulty_fields(**changes: Any) -> set[str]:
    with pytest.raises(Invalid) as refused:
        check_update(a_draft(**changes), "investigating", NOW)
    return {fault.field for fault in refused.value.faults}


def test_a_complete_update_is_accepted() -> None:
    check_update(a_draft(), "investigating", NOW)


def test_every_fault_is_listed_at_once() -> None:
    spoilt = {"en": a_text(title="", body="two\x00bytes"), "pl": a_text()}
    assert faulty_fields(texts=spoilt, next_update_at=None, cause_party="knp") == {
        "texts.en.title",
        "texts.en.body",
        "texts.nl",
        "texts.pl",
        "next_update_at",
        "cause_party",
    }


@pytest.mark.parametrize("missing", ["title", "body", "advice"])
def test_title_body_and_advice_are_required_in_both_languages(missing: str) -> None:
    assert faulty_fields(texts=texts(**{missing: "  "})) == {f"texts.en.{missing}", f"texts.nl.{missing}"}


@pytest.mark.parametrize("minutes", [0, -5, 8 * 24 * 60])
def test_the_next_update_is_promised_for_a_time_ahead_within_a_week(minutes: int) -> None:
    assert faulty_fields(next_update_at=NOW + timedelta(minutes=minutes)) == {"next_update_at"}


def test_only_resolving_needs_no_promise() -> None:
    check_update(tidy(a_draft(phase="resolved", next_update_at=None, component_status=None)), "monitoring", NOW)
    assert faulty_fields(phase="monitoring", next_update_at=None) == {"next_update_at"}


def test_resolving_restores_the_components() -> None:
    assert tidy(a_draft(phase="resolved", component_status=None)).component_status == "operational"
    assert faulty_fields(phase="resolved", component_status="major_outage") == {"component_status"}


def test_an_unknown_cause_names_neither_a_party_nor_a_cause() -> None:
    assert faulty_fields(cause_party="kpn") == {"cause_party"}
    assert faulty_fields(texts=texts(cause="a cut cable")) == {"cause_certainty"}


@pytest.mark.parametrize("certainty", ["suspected", "confirmed"])
def test_a_named_certainty_says_of_what(certainty: str) -> None:
    known: dict[str, Any] = {"cause_certainty": certainty, "cause_evidence": "KPN's engineer found it at 14:02."}
    assert faulty_fields(**known) == {"cause_certainty"}
    check_update(a_draft(**known, cause_party="kpn"), "investigating", NOW)
    check_update(a_draft(**known, texts=texts(cause="a cut cable")), "investigating", NOW)


def test_what_is_confirmed_rests_on_something_and_what_is_unknown_on_nothing() -> None:
    assert faulty_fields(cause_certainty="confirmed", cause_party="kpn") == {"cause_evidence"}
    assert faulty_fields(cause_evidence="A hunch.") == {"cause_evidence"}
    assert faulty_fields(cause_stated_by="kpn") == {"cause_stated_by"}


def test_a_cause_is_said_in_both_languages() -> None:
    half = {"en": a_text(cause="a cut cable"), "nl": a_text()}
    assert faulty_fields(cause_certainty="suspected", texts=half) == {"texts.nl.cause"}


@pytest.mark.parametrize("text", ["two\nlines", "x" * 151, "bell\x07", "\u202etfel ot thgir", "half \ud83d"])
def test_a_title_is_one_short_visible_line(text: str) -> None:
    assert faulty_fields(texts=texts(title=text)) == {"texts.en.title", "texts.nl.title"}


def test_white_space_around_texts_goes_and_line_ends_are_one_kind() -> None:
    said = tidy(a_draft(texts=texts(title="  Stopped \n", body="one\r\ntwo\rthree"))).texts["en"]
    assert (said.title, said.body) == ("Stopped", "one\ntwo\nthree")


@pytest.mark.parametrize("current", ["investigating", "identified", "monitoring"])
@pytest.mark.parametrize("to", PHASES)
def test_open_phases_follow_each_other_in_any_order(current: Any, to: Any) -> None:
    check_update(tidy(a_draft(phase=to, component_status=None)), current, NOW)


@pytest.mark.parametrize("to", ["investigating", "identified", "monitoring"])
def test_a_resolved_incident_is_not_opened_again(to: Any) -> None:
    with pytest.raises(Conflict) as refused:
        check_update(a_draft(phase=to), "resolved", NOW)
    assert refused.value.code == "resolved"


def test_more_may_be_said_about_a_resolved_incident() -> None:
    check_update(tidy(a_draft(phase="resolved", component_status=None)), "resolved", NOW)


def test_a_declaration_lists_every_fault() -> None:
    with pytest.raises(Invalid) as refused:
        check_declaration(
            a_declaration(title={"en": "x\ny"}, components=[], started_at=NOW + timedelta(minutes=1)), NOW
        )
    assert {fault.field for fault in refused.value.faults} == {"title.en", "title.nl", "components", "started_at"}


def test_update_text_needs_no_cause() -> None:
    assert UpdateText("a", "b", "c").cause == ""
