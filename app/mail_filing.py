"""What becomes of a mail that came in: a report on a delivery, or a contact; on disk before its sender hears so.

It knows the two packages it files into, and neither SMTP nor sockets.
"""

import asyncio
import hashlib
import re
from dataclasses import replace

from claims import Arrival, Intake, KeyReused
from foundation.clock import Clock
from foundation.database import Database
from foundation.tokens import Tokens
from notify.bounces import Reading, delivery_of, read_mail
from notify.mime import header, parse
from notify.references import read_reference
from notify.reports import Report, take_reports

# Bytes. Reading less than this is quicker than handing it to a thread.
_READ_AT_ONCE = 32 * 1024
# Commits of reports under way at once; the rest wait for their turn, not for a connection.
_COMMITS = 4
# What a mail is that no report on a delivery is.
_SPOKEN = ("reply", "auto_reply", "unreadable")
_BODY = re.compile(rb"\r?\n\r?\n")


class MailFiling:
    """Files mail. `inboxes`: addresses, in lower case, that take mail besides those we sign."""

    def __init__(
        self, database: Database, intake: Intake, tokens: Tokens, clock: Clock, *, inboxes: frozenset[str] = frozenset()
    ) -> None:
        self._database = database
        self._intake = intake
        self._tokens = tokens
        self._clock = clock
        self._inboxes = inboxes
        self._turn = asyncio.Semaphore(_COMMITS)

    def is_ours(self, recipient: str) -> bool:
        """Whether mail to `recipient` is for us: an address we signed (bounces, replies), or an inbox."""
        local = recipient.rpartition("@")[0]
        return recipient.lower() in self._inboxes or read_reference(self._tokens, local) is not None

    async def file(self, raw: bytes, *, sender: str, recipient: str) -> None:
        """Store what came to `recipient`, a report or a contact; it is on disk when this returns.

        The same mail again is nothing new. Raises `Busy` and `DatabaseAway`: nothing is promised then.
        """
        if len(raw) <= _READ_AT_ONCE:
            reading = read_mail(raw, sender=sender, recipient=recipient)
        else:
            reading = await asyncio.to_thread(read_mail, raw, sender=sender, recipient=recipient)
        delivery = delivery_of(self._tokens, reading)
        ours = self._is_our_own(raw)
        if reading.kind == "reply" and not ours:
            await self._contact(raw, delivery)
        elif recipient.lower() in self._inboxes and reading.kind in _SPOKEN and delivery is None:
            # A program wrote it, or sent it on, where people write: it is kept where people look, and never answered.
            await self._contact(raw, None, by_a_machine=True)
        elif reading.kind == "reply":  # our own mail come back: a loop ends here
            await self._report(raw, recipient, delivery, replace(reading, kind="unreadable"))
        else:
            await self._report(raw, recipient, delivery, reading)

    def _is_our_own(self, raw: bytes) -> bool:
        """Whether we sent this mail ourselves, as its Message-ID proves."""
        return read_reference(self._tokens, header(parse(raw), "Message-ID")) is not None

    async def _contact(self, raw: bytes, delivery: int | None, *, by_a_machine: bool = False) -> None:
        language = header(parse(raw), "Content-Language").lower()[:2]
        known = language if language.isascii() and language.isalpha() and len(language) == 2 else "en"
        try:
            arrival = Arrival("mail", known, raw, key=_contact_key(raw), delivery_id=delivery)
            await self._intake.accept(replace(arrival, answer_within=None) if by_a_machine else arrival)
        except KeyReused:
            # The same mail by another way: only what servers wrote above it differs.
            return

    async def _report(self, raw: bytes, recipient: str, delivery: int | None, reading: Reading) -> None:
        assert reading.kind != "reply"
        key = hashlib.blake2b(recipient.lower().encode("utf-8", "replace") + b"\n" + raw, digest_size=20).hexdigest()
        report = Report(
            source="mail",
            key=key,
            raw=raw,
            delivery_id=delivery,
            kind=reading.kind,
            status=reading.status,
            text=reading.text,
            received_at=self._clock(),
        )
        async with self._turn, self._database.transaction() as tx:
            await take_reports(tx, [report])


def _contact_key(raw: bytes) -> str:
    """What tells one mail from another, whichever way it came: all that its writer made of it.

    Not the Message-ID alone: programs exist that give every mail the same.
    """
    mail = parse(raw)
    made = [header(mail, name) for name in ("Message-ID", "Date", "From", "Subject")]
    found = _BODY.search(raw)
    if not (made[0] and made[1] and found):
        return f"mail:{hashlib.blake2b(raw, digest_size=20).hexdigest()}"
    text = "\n".join(["", *made, ""]).encode("utf-8", "replace") + raw[found.end() :]
    return f"mail:{hashlib.blake2b(text, digest_size=20).hexdigest()}"
