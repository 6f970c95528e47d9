# ruff: noqa: E501 (replies stand here as they were said)
"""What real servers say, as they say it, and the word we file it under."""

from datetime import timedelta

import pytest

from notify.channels import Deferred, Refused
from notify.channels.replies import Reply, before_body
from notify.channels.wordings import asked_pause, read_refusal

MINUTE = timedelta(minutes=1)

REPLIES = [
    # Gmail
    ("throttled", 421, "4.7.28 [192.0.2.7 4] Our system has detected an unusual rate of 4.7.28 unsolicited mail originating from your IP address. To protect our 4.7.28 users from spam, mail sent from your IP address has been temporarily 4.7.28 rate limited."),
    ("throttled", 421, "4.7.0 [192.0.2.7 15] Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily rate limited."),
    ("throttled", 421, "4.7.0 Try again later, closing connection. (EHLO) z1si9679476pln.401 - gsmtp"),
    ("throttled", 450, "4.2.1 The user you are trying to contact is receiving mail at a rate that 4.2.1 prevents additional messages from being delivered. Please resend your 4.2.1 message at a later time."),
    ("throttled", 450, "4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time."),
    ("throttled", 550, "5.4.5 Daily user sending quota exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852"),
    ("mailbox_full", 452, "4.2.2 The email account that you tried to reach is over quota. Please direct 4.2.2 the recipient to https://support.google.com/mail/?p=OverQuotaTemp"),
    ("mailbox_full", 552, "5.2.2 The recipient's inbox is out of storage space and inactive."),
    ("no_such_address", 550, "5.1.1 The email account that you tried to reach does not exist. Please try 5.1.1 double-checking the recipient's email address for typos or 5.1.1 unnecessary spaces."),
    ("no_such_address", 550, "5.2.1 The email account that you tried to reach is disabled."),
    ("blocked", 550, "5.7.1 [192.0.2.7 1] Our system has detected an unusual rate of 5.7.1 unsolicited mail originating from your IP address. To protect our 5.7.1 users from spam, mail sent from your IP address has been blocked."),
    ("blocked", 550, "5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM."),
    # Yahoo
    ("throttled", 421, "4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"),
    ("throttled", 451, "Message temporarily deferred - [160]"),
    ("throttled", 451, "Resources temporarily not available - Please try again later"),
    ("blocked", 553, "5.7.2 [TSS09] All messages from 192.0.2.7 will be permanently deferred; Retrying will NOT succeed. See https://postmaster.yahooinc.com/error-codes"),
    ("no_such_address", 554, "delivery error: dd This user doesn't have a yahoo.com account (zoe@yahoo.com) [0] - mta1234.mail.bf1.yahoo.com"),
    ("mailbox_full", 552, "1 Requested mail action aborted, mailbox not found or mailbox full"),
    # Outlook, Exchange
    ("throttled", 451, "4.7.650 The mail server [192.0.2.7] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)"),
    ("throttled", 451, "4.7.500 Server busy. Please try again later from [192.0.2.7]. (S77719)"),
    ("throttled", 452, "4.3.2 Connection rate limit exceeded. [BN1NAM02FT014.eop-nam02.prod.protection.outlook.com]"),
    ("throttled", 450, "4.7.3 Organization queue quota exceeded. [outlook.com]"),
    ("blocked", 550, "5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150)."),
    ("blocked", 550, "5.7.606 Access denied, banned sending IP [192.0.2.7]. To request removal from this list please visit https://sender.office.com/"),
    ("blocked", 550, "5.7.515 Access denied, sending domain EXAMPLE.COM does not meet the required authentication level."),
    ("no_such_address", 550, "5.5.0 Requested action not taken: mailbox unavailable (S2017062302)."),
    ("no_such_address", 550, "5.4.1 Recipient address rejected: Access denied. AS(201806281)"),
    ("no_such_address", 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
    ("mailbox_full", 554, "5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded"),
    ("sender_refused", 530, "5.7.57 Client not authenticated to send mail."),
    # Postfix, postgrey and friends
    ("greylisted", 450, "4.2.0 <zoe@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.org.html"),
    ("greylisted", 451, "4.7.1 <zoe@example.org>: Recipient address rejected: Greylisted, try again in 300 seconds"),
    ("greylisted", 451, "4.7.1 Greylisting in action, please come back in 00:04:59"),
    ("greylisted", 450, "4.7.1 <zoe@example.org>: Recipient address rejected: Greylisted for 5 minutes"),
    ("no_such_address", 550, "5.1.1 <zoe@example.org>: Recipient address rejected: User unknown in virtual mailbox table"),
    ("no_such_address", 550, "<zoe@example.org>: Recipient address rejected: User unknown in local recipient table"),
    ("sender_refused", 554, "5.7.1 <zoe@example.org>: Relay access denied"),
    ("sender_refused", 450, "4.1.8 <updates@example.com>: Sender address rejected: Domain not found"),
    ("blocked", 554, "5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.7"),
    ("blocked", 450, "4.7.1 Service unavailable; Client host [192.0.2.7] blocked using bl.spamcop.net"),
    ("blocked", 450, "4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]"),
    ("throttled", 421, "4.7.0 mx.example.org Error: too many connections from 192.0.2.7"),
    ("throttled", 450, "4.7.1 Error: too much mail from 192.0.2.7"),
    ("throttled", 451, "4.7.1 Service unavailable - try again later"),
    ("mailbox_full", 552, "5.2.2 <zoe@example.org> Quota exceeded (mailbox for user is full)"),
    ("mailbox_full", 452, "4.2.2 mailbox full"),
    ("unclear", 452, "4.3.1 Insufficient system storage"),
    ("unclear", 552, "5.3.4 Message size exceeds fixed limit"),
    ("unclear", 421, "4.3.2 Service shutting down"),
    ("unclear", 451, "4.3.5 Server configuration error"),
    # Exim, qmail, others
    ("greylisted", 451, "Greylisted, please try again in 900 seconds"),
    ("greylisted", 451, "This server employs greylisting as a means of reducing spam. Please resend e-mail shortly"),
    ("greylisted", 421, "Temporarily deferred: you have been graylisted, retry in 10 min"),
    ("no_such_address", 550, "Unrouteable address"),
    ("no_such_address", 550, "Invalid recipient <zoe@example.org> (Mode: normal)"),
    ("no_such_address", 550, "sorry, no mailbox here by that name. (#5.7.17)"),
    ("no_such_address", 556, "5.1.10 Domain does not accept mail (nullMX)"),
    ("sender_refused", 550, "relay not permitted"),
    ("sender_refused", 550, "Sender verify failed"),
    ("throttled", 452, "Too many recipients received this hour"),
    ("throttled", 421, "Too many concurrent SMTP connections; please try again later."),
    ("throttled", 451, "4.4.5 Server busy, try again later"),
    ("throttled", 422, "You are sending too many emails too fast. Try again in 15 seconds."),
    ("mailbox_full", 552, "Mailbox size limit exceeded"),
    ("mailbox_full", 552, "Requested mail action aborted: exceeded storage allocation"),
    ("blocked", 554, "Message rejected: content filter says no"),
    ("blocked", 550, "permanent failure for one or more recipients (zoe@example.org:blocked)"),
    ("unclear", 550, "rejected"),
    ("unclear", 451, "Temporary local problem"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "code", "words"), REPLIES)
def test_a_reply_is_filed_under_what_it_means(reason: str, code: int, words: str) -> None:
    assert read_refusal(code, words).reason == reason


def test_nobody_is_unknown_while_it_may_be_the_directory_that_is_away() -> None:
    words = "4.1.2 <zoe@example.org>: Recipient address rejected: Domain not found"
    assert read_refusal(450, words).reason == "no_such_address"
    assert before_body(Reply(450, words.encode())) == Deferred("refused_for_now", 450, words)


@pytest.mark.parametrize(
    ("words", "pause"),
    [
        ("4.7.1 Greylisted, try again in 300 seconds", 5 * MINUTE),
        ("Greylisted for 5 minutes", 5 * MINUTE),
        ("Greylisting in action, please come back in 00:04:59", timedelta(seconds=299)),
        ("Greylisted, please try again in 900 sec", 15 * MINUTE),
        ("please retry in 10 min", 10 * MINUTE),
        ("Too much mail. Retry after 1 hour.", 60 * MINUTE),
        ("Rate limited; retry-after: 120", 2 * MINUTE),
        ("Try again in 15 seconds.", timedelta(seconds=15)),
        ("wait 2 hours, then try again", 120 * MINUTE),
        ("Try again in 999999 hours", timedelta(hours=24)),
        ("try again in 0 seconds", None),
        ("4.7.28 our system has detected an unusual rate", None),
        ("try again later", None),
        ("please visit page 300 seconds thoughts", None),
        ("", None),
    ],
)
def test_the_pause_a_server_asks_for_is_read(words: str, pause: timedelta | None) -> None:
    assert asked_pause(words) == pause


def test_what_is_about_us_crosses_nobody_off_even_with_a_5xx() -> None:
    for words in (b"5.4.5 Daily user sending quota exceeded", b"5.7.1 <a@b>: Relay access denied", b"Greylisted"):
        assert isinstance(before_body(Reply(550, words)), Deferred)
    assert isinstance(before_body(Reply(554, b"5.7.1 blocked using zen.spamhaus.org"), at_mail=True), Deferred)
    assert before_body(Reply(554, b"5.7.1 blocked using zen.spamhaus.org")) == Refused(
        "blocked", 554, "5.7.1 blocked using zen.spamhaus.org"
    )


def test_a_pause_travels_with_the_result() -> None:
    words = "4.7.1 Greylisted, try again in 300 seconds"
    assert before_body(Reply(451, words.encode())) == Deferred("greylisted", 451, words, 5 * MINUTE)
