"""What the command status of a `submit_sm_resp` means for the one segment in hand. Pure.

Statuses: SMPP 3.4 section 5.1.3. Those of an operator's own (0x400 to 0x4ff) are not known to be final, so they wait.
"""

from collections.abc import Mapping

from notify.channels import Deferred, Refused

SYSTEM_ERROR = 0x08  # ESME_RSYSERR
INVALID_DESTINATION = 0x0B  # ESME_RINVDSTADR
QUEUE_FULL = 0x14  # ESME_RMSGQFUL
THROTTLED = 0x58  # ESME_RTHROTTLED
TRY_LATER = 0x64  # ESME_RX_T_APPN, what we say of what we cannot take now

_SLOW_DOWN = frozenset({QUEUE_FULL, THROTTLED})
_REFUSED: Mapping[int, str] = {
    0x0A: "sender_refused",  # ESME_RINVSRCADR
    0x48: "sender_refused",  # ESME_RINVSRCTON
    0x49: "sender_refused",  # ESME_RINVSRCNPI
    INVALID_DESTINATION: "no_such_address",
    0x50: "no_such_address",  # ESME_RINVDSTTON
    0x51: "no_such_address",  # ESME_RINVDSTNPI
    **dict.fromkeys((0x01, 0x02, 0x03, 0x06, 0x07, 0x15, 0x34, 0x43, 0x44, 0x54, 0x55, 0x61, 0x62, 0x63), "refused"),
    **dict.fromkeys((0x65, 0x66), "refused"),  # ESME_RX_P_APPN, ESME_RX_R_APPN
    **dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC3, 0xC4), "refused"),  # optional parameters
}
_NAMES: Mapping[int, str] = {
    0x01: "ESME_RINVMSGLEN",
    0x04: "ESME_RINVBNDSTS",
    0x08: "ESME_RSYSERR",
    0x0A: "ESME_RINVSRCADR",
    0x0B: "ESME_RINVDSTADR",
    0x14: "ESME_RMSGQFUL",
    0x45: "ESME_RSUBMITFAIL",
    0x58: "ESME_RTHROTTLED",
    0x64: "ESME_RX_T_APPN",
    0x65: "ESME_RX_P_APPN",
    0x66: "ESME_RX_R_APPN",
}


def refusal(status: int) -> Deferred | Refused:
    """What a status other than success leads to."""
    reply = _NAMES.get(status, f"command status 0x{status:x}")
    code = status if status < 0x8000 else None
    if status in _SLOW_DOWN:
        return Deferred("throttled", code, reply)
    if status in _REFUSED:
        return Refused(_REFUSED[status], code, reply)
    return Deferred("refused_for_now", code, reply)
