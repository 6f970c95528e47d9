"""The texts of messages, and what is wrong with them. Pure: no wires, no clock, no SQL.

It knows what a message says and to which topic it belongs; how mail is made of it stands in `mail.py`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from foundation.errors import Fault
from notify.markup import MARKS, SLOTS, escape_slots, fill_slots, one_line, unknown_slots

__all__ = [
    "NEWS",
    "ChannelName",
    "Message",
    "MessageText",
    "escape_slots",
    "faults_in",
    "fill_slots",
    "is_news",
    "is_plain_url",
    "is_sendable",
    "one_line",
]

ChannelName = Literal["mail", "sms", "webhook"]

# Printable ASCII without blanks, quotes, angle brackets, commas: nothing that means something in SMTP or in a header.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_URL = re.compile(r"https?://[!#-;=?-~]+")
# How the topics of news begin.
NEWS = "incident:"


@dataclass(frozen=True, slots=True)
class MessageText:
    """The text of one dispatch for one channel and language. `body`: plain text with slots, see `markup.py`.

    A brace that is meant as a brace is doubled; `escape_slots` does that.
    """

    channel: ChannelName
    language: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Message:
    """A stored `MessageText`, as a channel sees it."""

    id: int
    topic: str
    language: str
    subject: str
    body: str


def faults_in(texts: Sequence[MessageText]) -> list[Fault]:
    """What is wrong with the texts of a dispatch, each named by channel and language. Empty when all is well."""
    faults = [] if texts else [Fault("messages", "There is no text to send.")]
    known = ", ".join(sorted(SLOTS | MARKS))
    for index, text in enumerate(texts):
        place = f"{text.channel}/{text.language}"
        if any((text.channel, text.language) == (other.channel, other.language) for other in texts[:index]):
            faults.append(Fault(place, "There are two texts for this channel and language."))
        if not text.body.strip() or (text.channel == "mail" and not one_line(text.subject)):
            faults.append(Fault(place, "The subject or the text is empty."))
        faults += [Fault(place, f"{{{slot}}} is not one of {known}.") for slot in unknown_slots(text.body)]
    return faults


def is_news(topic: str) -> bool:
    """Whether messages of `topic` are news about a disruption: public, the same for all, and anybody may leave it.

    Everything else (an answer in somebody's case, a refund) concerns one person and always reaches them.
    """
    return topic.startswith(NEWS)


def is_sendable(address: str) -> bool:
    """Whether `address` can stand in an SMTP command and a header as it is (ASCII; SMTPUTF8 is not asked for)."""
    return len(address) <= 254 and _ADDRESS.fullmatch(address) is not None


def is_plain_url(url: str) -> bool:
    """Whether `url` can stand in a header and in HTML as it is."""
    return _URL.fullmatch(url) is not None
