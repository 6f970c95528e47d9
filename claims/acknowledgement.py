"""Who hears that we have their message: the rules. Pure: what is known of an address goes in, a verdict comes out.

An acknowledgement goes to an address only if it is proven to be its writer's: the directory has it for that customer,
the message answers one of ours sent there, the mail server in front of us vouches for the sender, or a phone network
gave the number. An address that somebody merely typed gets nothing: they have the receipt on their screen, and whoever
types a stranger's address makes us write to nobody. See docs/decisions/0030-files-and-acknowledgements.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Verdict = Literal["first", "again", "none"]

PAUSE = timedelta(hours=6)  # between two of them to one address about one incident
MOST_AN_INCIDENT = 4  # to one address
MOST_A_DAY = 6  # to one address, about anything


@dataclass(frozen=True, slots=True)
class Earlier:
    """One that was sent before: `same_address` and `same_case` as the one to be decided on; about `incident_id`."""

    at: datetime
    incident_id: str
    same_address: bool
    same_case: bool


def verdict(now: datetime, incident_id: str, earlier: Sequence[Earlier]) -> tuple[Verdict, str]:
    """Whether to send one to a proven address, and which; with "none", why not."""
    here = [one for one in earlier if one.same_address]
    about = [one for one in here if one.incident_id == incident_id]
    if sum(one.at > now - timedelta(days=1) for one in here) >= MOST_A_DAY:
        return "none", "many_today"
    if any(one.at > now - PAUSE for one in about):
        return "none", "just_told"
    if len(about) >= MOST_AN_INCIDENT:
        return "none", "told_often"
    told = about or any(one.same_case and one.incident_id == incident_id for one in earlier)
    return ("again", "") if told else ("first", "")


_RESULT = re.compile(r"(?i)(?:^|;)\s*(dmarc|dkim|spf)\s*=\s*([a-z]+)([^;]*)")
_PROPERTY = re.compile(r"(?i)\b(header\.from|header\.d)\s*=\s*\"?@?([a-z0-9.-]+)")


def vouched_for(results: str, verdicts_by: str, sender: str) -> bool:
    """Whether the Authentication-Results field `results` (RFC 8601), by our own mail server, vouches for `sender`.

    `verdicts_by`: how that server calls itself in it; empty: there is none that we believe. DMARC counts, or a DKIM
    signature of the very domain that the sender's address has. `results` must be the topmost field of that name.
    """
    author, _, rest = results.partition(";")
    if not verdicts_by or author.strip().lower().split(" ")[0] != verdicts_by:
        return False
    domain = sender.rpartition("@")[2].lower()
    for found in _RESULT.finditer(rest):
        method, result, about = found[1].lower(), found[2].lower(), found[3]
        named = {name.lower(): value.lower() for name, value in _PROPERTY.findall(about)}
        wanted = {"dmarc": "header.from", "dkim": "header.d"}.get(method)
        if result == "pass" and wanted is not None and named.get(wanted) == domain:
            return True
    return False
