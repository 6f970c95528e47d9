"""What SMTP replies mean for the one message in hand. Pure.

The first digit says what happens next, as RFC 5321 section 4.2.1 has it; the words say why (see `wordings.py`).
"""

import re
from dataclasses import dataclass

from notify.channels import Accepted, Deferred, Refused, Result, Unclear
from notify.channels.wordings import read_refusal

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")
LONGEST_WORDS = 400

# About us rather than about the recipient: whatever the digit says, nobody is crossed off for it.
_OURS = frozenset({"throttled", "greylisted", "sender_refused"})
# What a relay is braked for when it says nothing else: it, or those behind it, do not want mail from us.
UNWELCOME = frozenset({"sender_refused", "blocked"})
# What counts as a failure of the connection.
BROKEN = frozenset({"connection_lost", "no_answer_in_time", "unreadable_reply"})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. The defaults are the least that RFC 5321 section 4.5.3.2 asks a client to wait.

    Ten minutes after the final dot is long on purpose: to give up earlier makes copies, not mail.
    """

    connect: float = 30
    command: float = 300
    data: float = 120
    block: float = 180
    final_dot: float = 600

    @property
    def shortest(self) -> float:
        return min(self.command, self.data, self.block, self.final_dot)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as received; code 0 when it could not be read."""

    code: int
    text: bytes

    @property
    def words(self) -> str:
        """The text, fit to be stored: a server is an outsider too."""
        words = self.text[: 4 * LONGEST_WORDS].decode("utf-8", "replace").strip()
        return (words if words.isprintable() else _NOT_PRINTABLE.sub(" ", words))[:LONGEST_WORDS]

    @property
    def code_or_none(self) -> int | None:
        return self.code or None


def before_body(reply: Reply, *, at_mail: bool = False) -> Result:
    """What a refusal (4xx or 5xx) of MAIL, RCPT or DATA makes of the message.

    A refusal of our own address (MAIL) says nothing about the recipient, so it is never the end: somebody must mend
    the relay's settings, and until then nobody is crossed off.
    """
    words = reply.words
    read = read_refusal(reply.code, words)
    reason: str = read.reason
    if reply.code >= 500 and at_mail:
        return Deferred(reason if reason in _OURS else "sender_refused", reply.code, words, read.pause)
    if reply.code >= 500 and reason not in _OURS:
        return Refused("refused" if reason == "unclear" else reason, reply.code, words)
    if reason in ("unclear", "no_such_address"):  # with a 4xx it is a directory that is away, not a verdict
        reason = "refused_for_now"
    return Deferred(reason, reply.code, words, read.pause)


def after_body(reply: Reply) -> Result:
    """What the reply to the final dot makes of the message."""
    match reply.code // 100:
        case 2:
            return Accepted(reply.code, reply.words)
        case 4 | 5:
            return before_body(reply)
        case _:
            return Unclear("unreadable_reply", reply.code_or_none, reply.words)


def lost_before_body(reason: str, reply: Reply | None = None) -> Result:
    """The conversation broke down before the first byte of the body: surely not sent."""
    return Deferred(reason, reply.code_or_none if reply else None, reply.words if reply else "")
