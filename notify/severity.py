"""What a failure says of the address: gone for good (hard), or refused for a reason that may pass (soft). Pure.

An address is given up at its first hard bounce, so hard is said only where the address itself is what is wrong: by
code (RFC 3463), or by words where the code says nothing. Blocked as spam, too big, or full is never the address's end.
"""

import re
from collections.abc import Sequence

from notify.reports import Kind

# Subject and detail of a permanent code that is about the address: unknown mailbox or domain, bad syntax, moved away,
# no such recipient (Exchange), null MX, mailbox disabled, unable to route (no such domain).
_GONE = frozenset({"1.1", "1.2", "1.3", "1.6", "1.10", "1.351", "2.1", "4.4"})
# These are about nothing else, whatever the words add.
_SURELY_GONE = frozenset({"1.1", "1.10"})

_FULL = re.compile(
    r"(?i)\b(?:mailbox|inbox|postfach|mailfach|bo[iî]te|buzón|postvak)\b.{0,40}\b(?:full|voll|pleine|lleno|vol)\b"
    r"|over.?quota|quota.{0,20}(?:exceed|full)|exceed.{0,20}quota|insufficient (?:system )?storage|out of storage"
)
_BLOCKED = re.compile(
    r"(?i)spam|block(?:ed|ing|list)|black.?list|reputation|policy|dnsbl|rbl\b|denied due|too (?:large|big|many)"
    r"|size limit|rate.?limit|throttl|greylist|dmarc|dkim|spf\b|reverse dns|content (?:rejected|refused)|virus"
)
_UNKNOWN = re.compile(
    r"(?i)\b(?:user|recipient|mailbox|address|account)\b.{0,60}\b(?:unknown|unavailable|not found|disabled|inactive"
    r"|invalid|no longer|does(?:n't| not) exist|not exist|rejected: access denied)"
    r"|unknown (?:user|recipient|address|account|local)|no such (?:user|mailbox|recipient|address|account|domain)"
    r"|(?:doesn't|does not|do not) have an? .{1,40}account|no mailbox here|invalid (?:recipient|mailbox|address)"
    r"|not (?:a valid|our) (?:mailbox|customer|user)|(?:host|domain)(?: name)? .{0,80}not found|user doesn't exist"
    r"|this account has been (?:disabled|discontinued)|address no longer accepts|unrouteable|recip(?:ient)?notfound"
    r"|adresse .{0,60}(?:inconnue|unbekannt|existiert nicht)|(?:utilisateur|destinataire) inconnu"
    r"|onbekende? (?:gebruiker|adres)|empfänger .{0,60}unbekannt|usuario (?:desconocido|no existe)"
)
_OWN_CODE = re.compile(r"^\D{0,40}[45]\d\d[ \-#]{1,3}([45]\.\d{1,3}\.\d{1,3})\b")


def severity(status: str | None, text: str) -> Kind:
    """Which bounce a failed delivery is. `status`: of RFC 3463, if any; `text`: the words of whoever refused it."""
    text = text[:1000]
    own = _OWN_CODE.match(text)
    if own and (status is None or status.endswith(".0.0")):
        status = own[1]
    kind, _, detail = (status or "").partition(".")
    if kind == "4" or (status is not None and detail == "2.2") or _FULL.search(text):
        return "soft_bounce"
    if detail in _SURELY_GONE:
        return "hard_bounce"
    if _BLOCKED.search(text):
        return "soft_bounce"
    return "hard_bounce" if detail in _GONE or _UNKNOWN.search(text) else "soft_bounce"


def worst(verdicts: Sequence[tuple[Kind, str | None, str]]) -> tuple[Kind, str | None, str]:
    """What the verdicts on several recipients say of the one address we wrote to, which was handed on to them.

    It arrived if it arrived anywhere. It is lost only if nobody got it, and hard only if everybody is gone.
    """
    for kind in ("delivered", "delayed", "soft_bounce"):
        for verdict in verdicts:
            if verdict[0] == kind:
                return verdict
    return verdicts[0]
