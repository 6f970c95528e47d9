"""Reads delivery receipts: the options of SMPP 3.4 first, then the text of its appendix B. Pure; bytes in, values out.

A receipt is an outsider's word: whatever cannot be read is kept as `unreadable`, nothing raises.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from notify.channels.inbound import Inbound

ReceiptKind = Literal["delivered", "delayed", "soft_bounce", "hard_bounce", "unreadable"]

# Optional parameters (SMPP 3.4 section 5.3.2).
_RECEIPTED_MESSAGE_ID = 0x001E
_MESSAGE_STATE = 0x0427
_NETWORK_ERROR_CODE = 0x0423
_MESSAGE_PAYLOAD = 0x0424

# esm_class, bits 5 to 2 (section 5.2.12): a receipt of the centre, and an intermediate notification.
_MESSAGE_TYPE = 0x3C
_RECEIPTS = frozenset({0x04, 0x20})

# message_state (section 5.2.28) and the words of appendix B.
_STATES: Mapping[int, str] = {
    1: "ENROUTE",
    2: "DELIVRD",
    3: "EXPIRED",
    4: "DELETED",
    5: "UNDELIV",
    6: "ACCEPTD",
    7: "UNKNOWN",
    8: "REJECTD",
}
# UNKNOWN is final in the specification, and says nothing: we go on not knowing. EXPIRED is a phone that was off for
# long, DELETED the operator's doing, REJECTD a filter of the network: the number is good. UNDELIV may be anything from
# a full phone to a number that does not exist; a hard bounce gives the number up, so it takes an error that says so.
_KINDS: Mapping[str, ReceiptKind] = {
    "DELIVRD": "delivered",
    "ENROUTE": "delayed",
    "ACCEPTD": "delayed",
    "SCHEDULED": "delayed",
    "BUFFRED": "delayed",
    "UNKNOWN": "delayed",
    "EXPIRED": "soft_bounce",
    "DELETED": "soft_bounce",
    "REJECTD": "soft_bounce",
    "UNDELIV": "soft_bounce",
}
_WORDS: Mapping[str, str] = {
    "DELIVERED": "DELIVRD",
    "UNDELIVERABLE": "UNDELIV",
    "REJECTED": "REJECTD",
    "ACCEPTED": "ACCEPTD",
}
# Errors of GSM networks (3GPP TS 29.002 section 17.6.6) that no waiting mends: unknown, unidentified and illegal
# subscriber, no texts in the contract, illegal equipment. Centres pass them on under the same numbers.
_NOBODY = frozenset({1, 5, 9, 11, 12})
_GSM = 3
_FIELD = re.compile(r"\b(id|stat|err):\s*([^\s]{1,100})", re.IGNORECASE)
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says. `key`: the same when it is said again; `message_ref`: None when it names no message."""

    key: str
    message_ref: str | None
    kind: ReceiptKind
    status: str | None
    text: str
    raw: bytes
    received_at: datetime


def is_receipt(one: Inbound) -> bool:
    """Whether a `deliver_sm` is a receipt; if not, somebody wrote a text."""
    return one.esm_class & _MESSAGE_TYPE in _RECEIPTS or _RECEIPTED_MESSAGE_ID in one.options


def read_receipt(one: Inbound, now: datetime) -> Receipt:
    """The receipt in a `deliver_sm` that came in at `now`."""
    raw = one.content or one.options.get(_MESSAGE_PAYLOAD, b"")
    said = _NOT_PRINTABLE.sub(" ", raw.decode("latin-1"))[:400]
    fields = {name.lower(): value for name, value in reversed(_FIELD.findall(said))}
    message_id = one.options.get(_RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0").decode("latin-1") or fields.get("id", "")
    number = one.options.get(_MESSAGE_STATE, b"")
    state = _STATES.get(int.from_bytes(number, "big"), "") if number else fields.get("stat", "").upper()
    state = _WORDS.get(state, state)
    error = _error(one, fields)
    kind = _KINDS.get(state, "unreadable")
    if state == "UNDELIV" and error in _NOBODY:
        kind = "hard_bounce"
    return Receipt(
        key=_key(one, raw),
        message_ref=one.centre.reference(message_id, in_receipt=True) if _printable(message_id) else None,
        kind=kind if message_id else "unreadable",
        status=(f"{state} {error}" if error else state)[:60] or None,
        text=said,
        raw=_kept(one, raw),
        received_at=now,
    )


def _error(one: Inbound, fields: Mapping[str, str]) -> int:
    """The network's error; 0 for none."""
    code = one.options.get(_NETWORK_ERROR_CODE, b"")
    if len(code) == 3 and code[0] == _GSM:
        return int.from_bytes(code[1:], "big")
    found = fields.get("err", "")
    return int(found) if found.isascii() and found.isdigit() else 0


def _printable(message_id: str) -> bool:
    return 0 < len(message_id) <= 100 and message_id.isprintable()


def _kept(one: Inbound, raw: bytes) -> bytes:
    """All that came, in a form that can be taken apart again: the text, then each option as its tag and value."""
    options = b"".join(
        tag.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value for tag, value in sorted(one.options.items())
    )
    return raw + b"\0" + options if options else raw


def _key(one: Inbound, raw: bytes) -> str:
    words = b"\0".join((one.centre.name.encode(), one.source.encode(), _kept(one, raw)))
    return hashlib.blake2b(words, digest_size=16).hexdigest()
