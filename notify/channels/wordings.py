"""What servers mean by what they say: a reply's text to one stable word, and the pause it asks for. Pure.

The enhanced status code (RFC 3463, IANA's registry) decides where it says something. Where it is vague (x.7.1 means
greylisting at one server and a blocklist at the next) known wordings decide: Gmail, Yahoo, Outlook, Postfix, Exim,
greylisting filters. What is not understood stays what its first digit says. The text is an outsider's: it is cut
before it comes here, and no pattern repeats a repetition.
"""

import re
from datetime import timedelta
from typing import Literal, NamedTuple

Reason = Literal["throttled", "greylisted", "mailbox_full", "blocked", "no_such_address", "sender_refused", "unclear"]

LONGEST_PAUSE = timedelta(hours=24)

_STATUS = re.compile(r"^\s*#?([245]\.\d{1,3}\.\d{1,3})\b")

# By class-less code. Those in here mean the same wherever they were seen.
_CERTAIN: dict[str, Reason] = {
    "1.1": "no_such_address",
    "1.2": "no_such_address",  # no such domain
    "1.3": "no_such_address",
    "1.6": "no_such_address",  # moved, and no new address known
    "1.7": "sender_refused",
    "1.8": "sender_refused",  # our domain does not resolve
    "1.10": "no_such_address",  # the domain takes no mail (RFC 7505)
    "2.2": "mailbox_full",
    "7.8": "sender_refused",  # credentials
    "7.9": "sender_refused",
    "7.11": "sender_refused",  # encryption needed
    "7.20": "blocked",  # RFC 7372: DKIM, SPF, reverse DNS
    "7.21": "blocked",
    "7.22": "blocked",
    "7.23": "blocked",
    "7.25": "blocked",
    "7.26": "blocked",
    "7.27": "sender_refused",  # RFC 7505: our domain takes no mail, so nobody takes mail from it
    "7.28": "throttled",  # RFC 9495's flood of mail; Gmail's unusual rate
}
# Those that say little: a known wording overrules them.
_LIKELY: dict[str, Reason] = {
    "2.1": "no_such_address",  # disabled
    "4.5": "throttled",
    "5.3": "throttled",  # too many recipients; ours is one a mail
    "7.1": "blocked",
}
_DIGITS: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (re.compile(r"4\.7\.(5\d\d|6\d\d|7\d\d)"), "throttled"),  # Outlook
    (re.compile(r"5\.7\.(5\d\d|6\d\d|7\d\d)"), "blocked"),  # Outlook
)


def _words(lines: str) -> re.Pattern[str]:
    """Any of the patterns in `lines`, one on each."""
    return re.compile("|".join(line.strip() for line in lines.splitlines() if line.strip()), re.IGNORECASE)


_GREYLISTED = _words(r"""
    gr[ae]y[- ]?list
    postgrey
    come back (?:later|in)
""")
_LISTED = _words(r"""
    spamhaus
    spamcop
    barracuda
    sorbs
    \bblocked (?:using|by|for)\b
    \b(?:dns|r)bl\b
    (?:block|black|deny)[- ]?list
    \bS31[45]0\b
    banned sending ip
    \[TSS?0?9\]
""")
_NOT_OUR_RELAY = _words(r"""
    relay(?:ing)? (?:access )?(?:denied|not permitted|prohibited)
    (?:unable|not permitted|not allowed) to relay
    we do not relay
    authentication (?:is )?required
    must (?:first )?(?:authenticate|issue a? ?starttls)
    must be authenticated
    client (?:was )?not authenticated
    sender (?:address )?(?:rejected|refused|denied)
    sender verify fail
    not owned by user
    domain of sender address
""")
_THROTTLED = _words(r"""
    too many (?:\w+ ){0,3}(?:connection|message|mail|email|recipient|session|error|command|request|attempt)
    too many concurrent
    rate[- ]?limit
    \brate (?:has been )?exceeded
    throttl
    unusual rate
    receiving mail (?:at a rate|too quickly)
    too (?:fast|quickly|frequently|much mail)
    slow(?:ing)? down
    exceeded (?:\w+ ){0,4}(?:rate|limit|allowed|number of)
    (?:connection|message) limit
    temporarily deferred
    \[TSS?0?[1-8]\]
    server (?:is )?(?:too )?busy
    try again later
    \bS77\d+
    excessive (?:volume|rate|con)
    temporarily (?:rate|limit|suspend)
    system (?:is )?(?:congest|overload)
    load too high
""")
# A quota of ours, not the recipient's.
_OUR_QUOTA = _words(r"""
    (?:sending|daily|hourly|message|queue|connection) (?:\w+ )?(?:quota|limit|rate)s? (?:\w+ ){0,2}(?:exceeded|reached)
    exceeded (?:your |the |its )?(?:daily|hourly|sending)
""")
_FULL = _words(r"""
    (?:mailbox|mail box|inbox|account|user|recipient|maildir)\b.{0,60}\b(?:full\b|over ?quota|out of space)
    over (?:the )?(?:disk )?quota
    quota (?:is )?(?:exceeded|full)
    mailbox (?:size )?limit
    exceed\w* .{0,30}(?:quota|storage|space|mailbox)
    out of storage
    storage allocation
    mailfolder is full
""")
_POLICY = _words(r"""
    \bspam
    \bpolicy
    reputation
    unsolicited
    \bblocked\b
    \bbanned\b
    \bdmarc\b
    \bspf\b
    \bdkim\b
    \bPTR\b
    reverse dns
    \bsuspicious
    unauthenticated
    not accept(?:ed|ing)? (?:mail |connections |messages )?from
    content (?:rejected|filter)
    permanently deferred
""")
_NOBODY = _words(r"""
    (?:user|recipient|mailbox|address|account|alias)\b[^.]{0,60}\b(?:unknown|not found|invalid|disabled|inactive)
    (?:user|recipient|mailbox|address|account|alias)\b[^.]{0,60}\b(?:does ?n[o']t|does not|not) exist
    (?:unknown|invalid|no such|nonexistent|non-existent) (?:\w+ )?(?:user|recipient|mailbox|address|account|person)
    doesn'?t have an? \S+ account
    no mailbox
    mailbox (?:is )?(?:unavailable|not available)
    unrouteable address
    no longer (?:valid|active)
    not a valid (?:user|mailbox|recipient)
    not our customer
    address rejected: (?:user|undeliverable|access denied)
""")

_PAUSE = re.compile(
    r"(?:again|back|retry|retrying|resend|wait|list(?:ed|ing)|after|delay(?:ed)?|deferred)\b[^0-9]{0,40}?"
    r"\b(?:(\d{1,2}):(\d\d):(\d\d)|(\d{1,6}) ?(s|sec|second|m|min|minute|h|hr|hour)s?\b)",
    re.IGNORECASE,
)
_RETRY_AFTER = re.compile(r"retry[- ]after[:=]? ?(\d{1,6})\b(?!:)", re.IGNORECASE)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Reading(NamedTuple):
    """What a refusal means. "unclear": no more than its first digit says. `pause`: how long it asks us to wait."""

    reason: Reason
    pause: timedelta | None = None


def read_refusal(code: int, words: str) -> Reading:
    """What the reply `code` (4xx or 5xx) with the text `words` means."""
    status = enhanced_status(words)
    # Each line of a long reply repeats the status, in the middle of a phrase.
    text = words.replace(status, " ") if status else words
    return Reading(_reason(code >= 500, status, " ".join(text.split())), asked_pause(text))


def enhanced_status(words: str) -> str:
    """The enhanced status code at the start of a reply's text; empty without one."""
    found = _STATUS.match(words)
    return found[1] if found else ""


def asked_pause(words: str) -> timedelta | None:
    """How long the text asks us to wait ("try again in 300 seconds"), within reason; None when it does not say."""
    found = _PAUSE.search(words)
    if found and found[4]:
        seconds = int(found[4]) * _UNIT_SECONDS[found[5][0].lower()]
    elif found:
        seconds = int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])
    elif bare := _RETRY_AFTER.search(words):
        seconds = int(bare[1])
    else:
        return None
    return min(timedelta(seconds=seconds), LONGEST_PAUSE) if seconds else None


def _reason(final: bool, status: str, text: str) -> Reason:
    subject = status[2:]
    if certain := _CERTAIN.get(subject):
        return certain
    for pattern, reason in _DIGITS:
        if pattern.fullmatch(status):
            return reason
    return _by_wording(final, text) or _LIKELY.get(subject, "unclear")


def _by_wording(final: bool, text: str) -> Reason | None:
    # "Unusual rate … has been blocked" is a brake with a 4xx and a verdict with a 5xx.
    pace: tuple[tuple[re.Pattern[str], Reason], ...] = ((_THROTTLED, "throttled"), (_POLICY, "blocked"))
    order: tuple[tuple[re.Pattern[str], Reason], ...] = (
        (_GREYLISTED, "greylisted"),
        (_LISTED, "blocked"),
        (_NOT_OUR_RELAY, "sender_refused"),
        (_OUR_QUOTA, "throttled"),
        (_FULL, "mailbox_full"),
        (_NOBODY, "no_such_address"),
        *(reversed(pace) if final else pace),
    )
    return next((reason for pattern, reason in order if pattern.search(text)), None)
