"""The whole way, with a real Postfix in the middle: news out, a bounce and an answer back, each to where it belongs."""

import asyncio
import email
import email.policy
import os
import smtplib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from tests.support.claimants import a_customer, an_incident
from tests.support.outbox import a_dispatch
from tests.support.ports import free_port, until_open
from tests.support.postfix import DOMAIN, Postfix, needs_postfix, postfix

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(params=["lmtp", "smtp"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@needs_postfix
async def test_a_bounce_and_a_reply_come_back_through_a_real_postfix(
    database: Database, database_url: str, protocol: str
) -> None:
    port = free_port()
    transport = f"lmtp:inet:127.0.0.1:{port}" if protocol == "lmtp" else f"smtp:[127.0.0.1]:{port}"
    incident = await an_incident(database)
    for user in ("anna", "ben", "gone"):
        await a_customer(database, f"{user.title()} Jansen", number=user.upper(), mails=[f"{user}@{DOMAIN}"])
    with postfix(["anna", "ben"], transport) as relay:
        async with working(database_url, f"{protocol}://127.0.0.1:{port}", port, relay):
            async with database.transaction() as tx:
                await a_dispatch(tx, incident)
            await until(relay, lambda: bool(relay.mails("anna") and relay.mails("ben")))
            await bounced(database, relay)
            await answered(database, relay, incident)
        await until(relay, lambda: "Mail queue is empty" in relay.queued())


async def bounced(database: Database, relay: Postfix) -> None:
    """Nobody called `gone` is there: Postfix takes the mail, finds out, and writes a bounce of its own."""

    async def told() -> list[tuple[object, ...]]:
        return await rows(
            database,
            """SELECT c.number, d.state, d.reason, a.suppressed_because FROM deliveries d
                 JOIN customers c ON c.id = d.customer_id JOIN addresses a ON a.id = d.address_id ORDER BY 1""",
        )

    while ("GONE", "bounced", "hard_bounce", "hard_bounce") not in await told():
        await pause(relay)
    assert await told() == [
        ("ANNA", "accepted", None, None),
        ("BEN", "accepted", None, None),
        ("GONE", "bounced", "hard_bounce", "hard_bounce"),
    ]
    [(raw, status, words, outcome, number)] = await rows(
        database,
        """SELECT r.raw, r.status, r.text, r.outcome, c.number FROM reports r
             JOIN deliveries d ON d.id = r.delivery_id JOIN customers c ON c.id = d.customer_id""",
    )
    assert (status, outcome, number) == ("5.1.1", "applied", "GONE")
    assert "unknown user" in str(words)
    assert isinstance(raw, bytes)
    assert b"Final-Recipient: rfc822; gone@passengers.example" in raw


async def answered(database: Database, relay: Postfix, incident: str) -> None:
    """Ben answers the mail he got, from another mailbox, as his program does: to the address in Reply-To."""
    [raw] = relay.mails("ben")
    news = email.message_from_bytes(raw, policy=email.policy.default)
    answer = EmailMessage()
    answer["From"] = "Somebody Else <home@elsewhere.example>"
    answer["To"] = news["Reply-To"]
    answer["Subject"] = f"Re: {news['Subject']}"
    answer["Message-ID"] = "<ben-1@elsewhere.example>"
    answer.set_content("Waar blijft mijn koffer? Groet, Ben — café", charset="utf-8", cte="base64")

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            client.send_message(answer)

    await asyncio.to_thread(send)
    found: list[tuple[object, ...]] = []
    while not found:
        await pause(relay)
        found = await rows(
            database,
            """SELECT c.number, s.incident_id, k.channel, k.matched_by, k.raw FROM contacts k
                 JOIN cases s ON s.id = k.case_id JOIN customers c ON c.id = s.customer_id""",
        )
    [(number, about, channel, why, stored)] = found
    assert (number, about, channel, why) == ("BEN", incident, "mail", "answered")
    assert isinstance(stored, bytes)
    assert b"<ben-1@elsewhere.example>" in stored


@asynccontextmanager
async def working(url: str, listen: str, port: int, relay: Postfix) -> AsyncIterator[None]:
    """`stormdesk work`, sending through `relay` and listening for what comes back."""
    environment = {
        **os.environ,
        "STORMDESK_DATABASE_URL": url,
        "STORMDESK_SECRET_KEY": "a signing key that only tests use",
        "STORMDESK_SMTP_URL": f"smtp://127.0.0.1:{relay.port}?tls=off",
        "STORMDESK_MAIL_FROM": "updates@example.com",
        "STORMDESK_MAIL_LISTEN": listen,
        "STORMDESK_STATUS_DIR": str(relay.folder / "status"),
        "STORMDESK_SENDER_CONNECTIONS": "2",
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "work", cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await until_open(port)
        yield
    finally:
        if worker.returncode is None:
            worker.terminate()
        assert await worker.wait() == 0


async def until(relay: Postfix, fact: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(fact):
        await pause(relay)


async def pause(relay: Postfix) -> None:
    """Between two looks; pytest's own limit ends a wait for what never comes, and then the log tells."""
    await asyncio.sleep(0.05)
    assert "fatal:" not in relay.log(), relay.log()


async def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(query))]
