"""Alerts follow each other as the protocol wants: Alert, Updates, Cancel, each naming what it takes the place of."""

from datetime import timedelta
from xml.etree.ElementTree import Element, fromstring

from incidents.alerts_cap import NAMESPACE, alerts_of
from tests.support.incidents import NOW
from tests.support.snapshots import PUBLISHER, a_full_text, an_incident, an_update

# An announcement, more news, a correction of that, the end, and a relapse after it.
PHASES = ("investigating", "identified", "identified", "resolved", "investigating", "resolved")


def _messages() -> list[Element]:
    texts = {"en": a_full_text(wrong="It is not the belts."), "nl": a_full_text(wrong="Het zijn de banden niet.")}
    updates = [
        an_update(number, phase=phase, published_at=_at(number), next_update_at=None)
        if number != 3
        else an_update(number, phase=phase, published_at=_at(number), corrects=2, texts=texts)
        for number, phase in enumerate(PHASES, start=1)
    ]
    incident = an_incident(phase="resolved", resolved_at=NOW, updates=tuple(reversed(updates)))
    files = alerts_of(incident, PUBLISHER)
    last = f"incidents/{incident.id}/cap.xml"
    numbered = [files[f"incidents/{incident.id}/cap/{number}.xml"] for number in range(1, len(PHASES) + 1)]
    assert files.keys() == {last, *(f"incidents/{incident.id}/cap/{one}.xml" for one in range(1, len(PHASES) + 1))}
    assert files[last] == numbered[-1]
    return [fromstring(one) for one in numbered]


def _at(number: int) -> object:
    return NOW + timedelta(minutes=number)


def _of(message: Element, name: str) -> str | None:
    return message.findtext(f"{{{NAMESPACE}}}{name}")


def _own_name(message: Element) -> str:
    return ",".join(str(_of(message, name)) for name in ("sender", "identifier", "sent"))


def test_an_alert_is_followed_by_updates_and_ended_by_a_cancel() -> None:
    kinds = [_of(one, "msgType") for one in _messages()]
    assert kinds == ["Alert", "Update", "Update", "Cancel", "Alert", "Cancel"]


def test_each_names_all_that_stood_before_it_and_nothing_that_was_cancelled() -> None:
    messages = _messages()
    names = [_own_name(one) for one in messages]
    references = [(_of(one, "references") or "").split() for one in messages]
    assert references == [[], names[:1], names[:2], names[:3], [], names[4:5]]
    assert len(set(names)) == len(names)
    assert all(name.count(",") == 2 and " " not in name for name in names)


def test_a_correction_says_what_it_corrects_and_what_was_wrong() -> None:
    notes = [_of(one, "note") for one in _messages()]
    assert notes == [None, None, "This corrects message 2: It is not the belts.", None, None, None]


def test_the_end_says_that_all_is_clear_in_each_language() -> None:
    for message, over in zip(_messages(), [phase == "resolved" for phase in PHASES], strict=True):
        infos = message.findall(f"{{{NAMESPACE}}}info")
        assert [_of(one, "language") for one in infos] == ["en", "nl"]
        assert {_of(one, "responseType") for one in infos} == {"AllClear" if over else "Monitor"}
        assert {_of(one, "urgency") for one in infos} == {"Past" if over else "Immediate"}


def test_times_have_an_offset_in_figures() -> None:
    sent = [_of(one, "sent") for one in _messages()]
    assert all(one is not None and one.endswith("-00:00") for one in sent)
