"""A reader's language and time zone: from the address, else remembered, else the browser's; never anything but ours."""

import pytest

from app.language_choice import Choice, choice, cookies_for
from app.public_page import in_zone
from incidents import OFFERED_ZONES
from incidents.zones import zone_choices

KEPT = "stormdesk-language=nl; stormdesk-zone=Europe/Paris"


@pytest.mark.parametrize(
    ("query", "cookie", "expected"),
    [
        ("", "", Choice("de", "", False)),
        ("", KEPT, Choice("nl", "Europe/Paris", False)),
        ("lang=fr&tz=Asia/Tokyo", KEPT, Choice("fr", "Asia/Tokyo", False)),
        ("tz=&remember=1", KEPT, Choice("nl", "", True)),
        ("tz=Mars/Base", KEPT, Choice("nl", "", False)),
        ("tz=../../etc/passwd", "", Choice("de", "", False)),
        ("lang=xx", "", Choice("de", "", False)),
        ("", "stormdesk-language=<b>; stormdesk-zone=x\r\ny", Choice("de", "", False)),
    ],
)
def test_the_address_goes_before_what_is_remembered(query: str, cookie: str, expected: Choice) -> None:
    assert choice(query, "de-CH,de;q=0.9", cookie) == expected


def test_only_what_is_ours_is_remembered() -> None:
    [language, zone] = cookies_for("lang=nl&tz=Asia/Tokyo&remember=1", https=True)
    assert language[1].startswith(b"stormdesk-language=nl; Path=/; Max-Age=")
    assert zone[1].endswith(b"SameSite=Lax; HttpOnly; Secure")
    assert cookies_for("lang=nl", https=True) == ()
    assert list(cookies_for("lang=x%0d%0aSet-Cookie:a&remember=1", https=True)) == []


def test_the_page_s_own_zone_again_forgets_the_other() -> None:
    for query in ("tz=&remember=1", "tz=Mars/Base&remember=1"):
        [(_, cookie)] = cookies_for(query, https=False)
        assert cookie.startswith(b"stormdesk-zone=; Path=/; Max-Age=0")


def test_every_time_moves_and_keeps_its_instant() -> None:
    page = (
        b'<time datetime="2013-02-08T18:00:00+00:00" data-age>8 Feb 2013, 13:00 EST</time>'
        b'<option value="Asia/Tokyo">Tokyo</option><option value="UTC">UTC</option>'
    )
    moved = in_zone(page, "Asia/Tokyo", "en").decode()
    assert '<time datetime="2013-02-08T18:00:00+00:00" data-age>9 Feb 2013, 03:00' in moved
    assert '<option value="Asia/Tokyo" selected>' in moved
    assert '<option value="UTC">' in moved


def test_every_zone_offered_has_a_city_in_every_language() -> None:
    for language in ("en", "nl", "de", "fr", "es"):
        names = dict(zone_choices(language))
        assert tuple(names) == OFFERED_ZONES
        assert len(set(names.values())) == len(names)
        assert all(names.values())
