"""What the texts of a message must be, and which addresses may carry them."""

import pytest

from notify.messages import MessageText, faults_in, fill_slots, is_news, is_plain_url, is_sendable


def test_unknown_slots_empty_texts_and_doubles_are_all_named_at_once() -> None:
    texts = [
        MessageText("mail", "en", "News", "Dear {nam}, your {reference}"),
        MessageText("mail", "nl", " \r\n", "x"),
        MessageText("mail", "nl", "Nieuws", "x"),
    ]
    assert [(fault.field, fault.message.split(".")[0]) for fault in faults_in(texts)] == [
        ("mail/en", "{nam} is not one of check_code, customer_number, footer, heading, leave_url, name"),
        ("mail/en", "{reference} is not one of check_code, customer_number, footer, heading, leave_url, name"),
        ("mail/nl", "The subject or the text is empty"),
        ("mail/nl", "There are two texts for this channel and language"),
    ]
    assert faults_in([]) != []


@pytest.mark.parametrize(
    "address",
    ["a@b", "zoe.o'neil+x@mail.example.org", "x" * 64 + "@example.org"],
)
def test_ordinary_addresses_are_sendable(address: str) -> None:
    assert is_sendable(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "a@", "@b", "a b@c", "a@b\n", "a@b\r\nRCPT TO:<c@d>"),
        *("<a@b>", "a@b>", "a@b,c@d", '"a"@b', "zoë@example.org", "x" * 65 + "@example.org", "a@" + "b" * 254),
    ],
)
def test_addresses_that_mean_something_else_in_smtp_are_not(address: str) -> None:
    assert not is_sendable(address)


def test_only_news_about_a_disruption_can_be_left() -> None:
    assert is_news("incident:ab12")
    assert not is_news("case:C-100001")


@pytest.mark.parametrize(
    "url", ["https://a.example/x>", "https://a.example/x y", "https://a.example/\r\nX: y", "ftp://a"]
)
def test_an_address_of_ours_that_would_break_out_of_a_header_is_refused(url: str) -> None:
    assert is_plain_url("https://status.example.com/here")
    assert not is_plain_url(url)


def test_a_text_is_filled_in_one_line_a_slot_with_or_without_its_small_print() -> None:
    body = "{heading}Dear {name},\r\n{{name}} {check_code}\n{footer}\nStop: {leave_url}\n"
    slots = {"name": "Zoë\nBos {heading}", "check_code": "1"}
    assert fill_slots(body, slots) == "Dear Zoë Bos {heading},\n{name} 1\n---\nStop: "
    assert fill_slots(body, slots, small_print=False) == "Dear Zoë Bos {heading},\n{name} 1"
