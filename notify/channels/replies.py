"""What SMTP replies mean for the one message in hand. Pure; shared by both ways of talking SMTP.

Judged by the first digit, as RFC 5321 section 4.2.1 says; what follows it differs from server to server.
"""

import re
from dataclasses import dataclass

from notify.channels import Accepted, Deferred, Refused, Result, Unclear

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")
LONGEST_WORDS = 400


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
class Envelope:
    """One mail for one recipient. The addresses are sendable.

    `content` has CRLF line ends, ends with one, and has no line that starts with a dot (see `messages.MailTemplate`),
    so there is nothing to double (RFC 5321 section 4.5.2) and nothing that could end the mail early.
    """

    return_path: str
    recipient: str
    content: bytes

    @property
    def opening(self) -> bytes:
        """The commands before the body, in one group."""
        return f"MAIL FROM:<{self.return_path}>\r\nRCPT TO:<{self.recipient}>\r\nDATA\r\n".encode("ascii")


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


def before_body(code: bytes, hoped: bytes, text: bytes, *, at_mail: bool = False) -> Result | None:
    """What a reply to MAIL, RCPT or DATA makes of the message; None: go on. `hoped`: the first digit that means so.

    A refusal of our own address (MAIL) says nothing about the recipient, so it is never the end: somebody must mend
    the relay's settings, and until then nobody is crossed off.
    """
    digit = code[:1]
    if digit == hoped:
        return None
    reply = Reply(int(code), text)
    if digit == b"5" and not at_mail:
        return Refused("refused", reply.code, reply.words)
    return Deferred("sender_refused" if digit == b"5" else "refused_for_now", reply.code, reply.words)


def after_body(reply: Reply) -> Result:
    """What the reply to the final dot makes of the message."""
    match reply.code // 100:
        case 2:
            return Accepted(reply.code, reply.words)
        case 4:
            return Deferred("refused_for_now", reply.code, reply.words)
        case 5:
            return Refused("refused", reply.code, reply.words)
        case _:
            return Unclear("unreadable_reply", reply.code_or_none, reply.words)


def lost_before_body(reason: str, reply: Reply | None = None) -> Result:
    """The conversation broke down before the first byte of the body: surely not sent."""
    return Deferred(reason, reply.code_or_none if reply else None, reply.words if reply else "")
