"""One mail for one recipient, and the commands that open it at a server. Pure.

The extra words of MAIL and RCPT are said only to a server that announced them in its reply to EHLO.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# RFC 3461 section 4: printable ASCII, but for "+" and "=".
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a server offers (its reply to EHLO) and we use: RFC 2920, RFC 3461, RFC 1870."""

    pipelining: bool = False
    dsn: bool = False
    size: bool = False

    @classmethod
    def offered(cls, supports: Callable[[str], bool]) -> "Extensions":
        """`supports`: whether the server announced an extension, by its lower-case name."""
        return cls(supports("pipelining"), supports("dsn"), supports("size"))


class Envelope(NamedTuple):
    """One mail for one recipient. The addresses are sendable (see `messages.is_sendable`).

    `content` has CRLF line ends, ends with one, and has no line that starts with a dot (see `messages.MailTemplate`),
    so there is nothing to double (RFC 5321 section 4.5.2) and nothing that could end the mail early. `envelope_id`
    comes back in reports about this mail. A tuple, because one is made for every mail: half the cost of a dataclass.
    """

    return_path: str
    recipient: str
    content: bytes
    envelope_id: str = ""

    def opening(self, offers: Extensions) -> bytes:
        """MAIL, RCPT and DATA, a line each.

        With DSN we ask for the headers only (the text is ours already), and for word of failure and delay: success is
        what the reply to the dot says, and a report for each of 300,000 would be a storm of its own.
        """
        sender, recipient = self.return_path, self.recipient
        at_mail = f" SIZE={len(self.content)}" if offers.size else ""
        at_rcpt = ""
        if offers.dsn:
            at_rcpt = f" NOTIFY=FAILURE,DELAY ORCPT=rfc822;{xtext(recipient)}"
            at_mail += f" RET=HDRS ENVID={xtext(self.envelope_id)}" if self.envelope_id else " RET=HDRS"
        return f"MAIL FROM:<{sender}>{at_mail}\r\nRCPT TO:<{recipient}>{at_rcpt}\r\nDATA\r\n".encode("ascii")


def xtext(text: str) -> str:
    """`text` as the parameters of DSN want it (RFC 3461 section 4): what is special as "+" and two hex digits."""
    return _NOT_XTEXT.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"+{byte:02X}" for byte in match[0].encode())
