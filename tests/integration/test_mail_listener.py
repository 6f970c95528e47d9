"""The mail listener on the wire: what it takes, what it turns away, and that 250 means it is on disk."""

import asyncio
import smtplib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from prometheus_client import REGISTRY
from sqlalchemy import text
from structlog.testing import capture_logs

from app.listener import listen, open_door
from app.mail_filing import MailFiling
from app.mail_server import LARGEST_HEADER, LONGEST_LINE, MailDoor
from app.setting_values import Bind, MailBind
from app.settings import read_settings
from app.wiring import make_parts
from claims import Intake
from claims.submissions import stored_submission
from foundation.clock import system_clock
from foundation.database import Database, DatabaseAway
from foundation.tokens import Tokens
from notify.references import delivery_reference
from tests.support.claimants import a_customer, an_incident, partition, resolve
from tests.support.mails import mail
from tests.support.outbox import a_dispatch
from tests.support.ports import free_port
from tests.support.reports import told

INBOX = "updates@example.com"


class Client:
    """A client that says what it is told and gives back the replies, one line each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def reply(self) -> str:
        while (line := (await self._reader.readline()).decode()) and line[3:4] == "-":
            pass
        return line.strip()

    async def say(self, *lines: str) -> str:
        for line in lines:
            self._writer.write(line.encode() + b"\r\n")
            await self._writer.drain()
            last = await self.reply()
        return last

    async def body(self, raw: bytes, answers: int = 1) -> list[str]:
        assert (await self.say("DATA"))[:3] == "354"
        self._writer.write(raw.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        return [await self.reply() for _ in range(answers)]

    async def secure(self) -> None:
        assert (await self.say("STARTTLS"))[:3] == "220"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self._writer.start_tls(context)

    async def at_end(self) -> bool:
        return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


Connect = Callable[[], Awaitable[Client]]


@asynccontextmanager
async def listening(
    database: Database, tokens: Tokens, *, at: MailBind | None = None, **how: object
) -> AsyncIterator[Connect]:
    """A listener on `database`; connects clients that have said hello."""
    bind = at or MailBind("smtp", Bind("127.0.0.1", free_port()))
    async with Intake(database, patience=2).running() as intake:
        filing = MailFiling(database, intake, tokens, system_clock, inboxes=frozenset({INBOX}))
        door = MailDoor(filing, bind.protocol, name="mail.example.com", **how)  # type: ignore[arg-type]  # as it takes them
        server = await open_door(door, bind)
        assert server is not None
        clients: list[Client] = []

        async def connect() -> Client:
            if isinstance(bind.at, Bind):
                streams = await asyncio.open_connection(bind.at.host, bind.at.port)
            else:
                streams = await asyncio.open_unix_connection(str(bind.at))
            client = Client(*streams)
            clients.append(client)
            assert (await client.reply()).startswith("220")
            await client.say("LHLO me" if bind.protocol == "lmtp" else "EHLO me")
            return client

        try:
            yield connect
        finally:
            server.close()
            await door.close(5)
            for one in clients:
                one.close()


async def post(connect: Connect, raw: bytes, recipient: str, *, sender: str = "") -> str:
    client = await connect()
    assert (await client.say(f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"))[:3] == "250"
    [answer] = await client.body(raw)
    return answer


def bounce_address(tokens: Tokens, delivery: int) -> str:
    return f"updates+bounce-{delivery_reference(tokens, delivery)}@example.com"


def reply_address(tokens: Tokens, delivery: int) -> str:
    return f"updates+{delivery_reference(tokens, delivery)}@example.com"


async def until(fact: Callable[[], bool]) -> None:
    """Return once `fact` holds; pytest's own limit ends the wait for what never comes."""
    while not fact():
        await _pause()


async def _pause() -> None:
    await asyncio.sleep(0.02)


async def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await tx.execute(text(query))]


async def anna_was_told(database: Database) -> int:
    async with database.transaction() as tx:
        return (await told(tx, ("C1", "anna@example.org")))["C1"]


async def test_a_bounce_reaches_its_delivery_and_is_kept_as_it_came(database: Database, tokens: Tokens) -> None:
    delivery = await anna_was_told(database)
    raw = mail("postfix-unknown-user", tokens, delivery)
    async with listening(database, tokens) as connect:
        assert (await post(connect, raw, bounce_address(tokens, delivery)))[:3] == "250"
        assert (await post(connect, raw, bounce_address(tokens, delivery)))[:3] == "250", "the same again"
    assert await rows(database, "SELECT state, reason FROM deliveries") == [("bounced", "hard_bounce")]
    assert await rows(database, "SELECT suppressed_because FROM addresses") == [("hard_bounce",)]
    [(kept, status, words)] = await rows(database, "SELECT raw, status, text FROM reports")
    assert isinstance(kept, bytes)
    assert kept.rstrip() == raw.rstrip()
    assert status == "5.1.1"
    assert "User unknown" in str(words)


async def test_the_address_may_come_back_in_capitals(database: Database, tokens: Tokens) -> None:
    delivery = await anna_was_told(database)
    async with listening(database, tokens) as connect:
        raw = mail("qmail-no-mailbox", tokens, delivery)
        assert (await post(connect, raw, bounce_address(tokens, delivery).upper()))[:3] == "250"
    assert await rows(database, "SELECT state FROM deliveries") == [("bounced",)]


@pytest.mark.parametrize(
    "recipient",
    [
        "anna@example.org",
        "updates+bounce-1-aaaaaaaaaaaaaaaaaaaaaaaa@example.com",
        "updates+bounce-@example.com",
        "somebody@example.com",
        '"updates@example.com"@elsewhere.example',
        "updates@example.com@elsewhere.example",
        "",
    ],
)
async def test_it_relays_nothing_and_takes_no_forged_address(
    database: Database, tokens: Tokens, recipient: str
) -> None:
    async with listening(database, tokens) as connect:
        client = await connect()
        assert (await client.say("MAIL FROM:<a@b.example>", f"RCPT TO:<{recipient}>"))[0] == "5"
        assert (await client.say("DATA"))[:3] == "503"


async def test_a_place_that_cannot_be_had_is_tried_again_and_stops_nothing_else(
    database: Database, database_url: str, tokens: Tokens, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    settings = replace(
        read_settings({"STORMDESK_SECRET_KEY": "a signing key that only tests use"}),
        mail_listen=(MailBind("lmtp", folder / "lmtp.sock"), MailBind("smtp", Bind("127.0.0.1", free_port()))),
    )
    parts, stop = make_parts(settings, database_url), asyncio.Event()
    listener = asyncio.create_task(listen(parts, stop))
    with capture_logs() as logs:
        await until(lambda: any(entry["event"] == "cannot take in mail, trying again" for entry in logs))
        folder.mkdir()
        await until((folder / "lmtp.sock").exists)
    stop.set()
    await listener
    await parts.database.close()


async def test_what_is_turned_away_is_counted(database: Database, tokens: Tokens) -> None:
    def refused() -> float:
        return REGISTRY.get_sample_value("stormdesk_mail_refused_total", {"reason": "unknown_recipient"}) or 0

    def bounces() -> float:
        labels = {"source": "mail", "kind": "hard_bounce"}
        return REGISTRY.get_sample_value("stormdesk_reports_received_total", labels) or 0

    before = refused(), bounces()
    async with listening(database, tokens) as connect:
        client = await connect()
        await client.say("MAIL FROM:<a@b.example>", "RCPT TO:<nobody@example.com>")
        for _ in range(2):
            await post(connect, mail("qmail-no-mailbox", tokens, 1), bounce_address(tokens, 1))
    assert (refused(), bounces()) == (before[0] + 1, before[1] + 1), "a repeat is no second report"


async def test_who_keeps_asking_for_strangers_is_let_go(database: Database, tokens: Tokens) -> None:
    async with listening(database, tokens) as connect:
        client = await connect()
        await client.say("MAIL FROM:<a@b.example>")
        answers = [await client.say(f"RCPT TO:<user{n}@example.com>") for n in range(21)]
        assert [answer[:3] for answer in answers] == ["550"] * 20 + ["421"]
        assert await client.at_end()


async def test_a_reply_lands_in_the_case_of_the_customer_it_was_sent_to(database: Database, tokens: Tokens) -> None:
    """Also from another mailbox and under another name: the address proves whose answer it is."""
    incident, deliveries = await two_told(database)
    async with listening(database, tokens) as connect:
        raw = mail("reply-gmail", tokens, deliveries["T1"])
        for _ in range(2):
            answer = await post(connect, raw, reply_address(tokens, deliveries["T1"]), sender="zoe@mail.example")
            assert answer[:3] == "250"
    await resolve(database)
    [(_, customer)] = (await partition(database)).values()
    assert (await rows(database, f"SELECT number FROM customers WHERE id = {customer}")) == [("T1",)]
    found = await rows(database, "SELECT incident_id, matched_by, channel, raw FROM contacts")
    assert [row[:3] for row in found] == [(incident, "answered", "mail")]
    assert isinstance(found[0][3], bytes)
    assert found[0][3].rstrip() == raw.rstrip()
    assert await rows(database, "SELECT count(*) FROM reports") == [(0,)]


async def test_a_reply_to_the_plain_address_is_known_by_what_it_answers(database: Database, tokens: Tokens) -> None:
    _, deliveries = await two_told(database)
    async with listening(database, tokens) as connect:
        await post(connect, mail("reply-gmail", tokens, deliveries["T2"]), INBOX, sender="zoe@mail.example")
    await resolve(database)
    assert await rows(
        database, "SELECT c.number, k.matched_by FROM contacts k JOIN customers c ON c.id = k.customer_id"
    ) == [("T2", "answered")]


async def test_a_forged_in_reply_to_proves_nothing(database: Database, tokens: Tokens) -> None:
    _, deliveries = await two_told(database)
    forger = Tokens([b"the signing key of somebody else, who forges"])
    async with listening(database, tokens) as connect:
        await post(connect, mail("reply-gmail", forger, deliveries["T2"]), INBOX, sender="zoe@mail.example")
    await resolve(database)
    assert await rows(database, "SELECT customer_id, delivery_id FROM contacts") == [(None, None)]


async def test_the_sender_of_a_mail_is_a_clue_and_its_words_are_read(database: Database, tokens: Tokens) -> None:
    await two_told(database)
    raw = mail("reply-outlook-html-only", tokens, 1).replace(b"anna@contoso.example", b"t1@example.org")
    raw = raw.replace(b'"Jansen, Anna"', b"Person T1")
    async with listening(database, tokens) as connect:
        await post(connect, raw, INBOX, sender="t1@example.org")
    await resolve(database)
    assert await rows(
        database, "SELECT c.number, k.matched_by FROM contacts k JOIN customers c ON c.id = k.customer_id"
    ) == [("T1", "mail")]
    said = stored_submission("mail", raw)
    assert said is not None
    assert said.email == "t1@example.org"
    assert said.message == (
        "RE: Vlucht DL 1117 vervalt\n\nGraag mijn geld terug, café op Schiphol: € 12.\n\nGroet, Anna"
    )


@pytest.mark.parametrize(
    ("name", "sender", "kind"),
    [
        ("away-nl", "anna@example.org", "auto_reply"),
        ("list-digest", "talk-bounces@lists.example.org", "unreadable"),
        ("reply-gmail", "", "unreadable"),
        ("arf-provider-one", "", "complaint"),
    ],
)
async def test_a_machines_mail_is_kept_and_makes_no_contact(
    database: Database, tokens: Tokens, name: str, sender: str, kind: str
) -> None:
    delivery = await anna_was_told(database)
    async with listening(database, tokens) as connect:
        await post(connect, mail(name, tokens, delivery), reply_address(tokens, delivery), sender=sender)
    assert await rows(database, "SELECT kind, delivery_id FROM reports") == [(kind, delivery)]
    assert await rows(database, "SELECT count(*) FROM contacts") == [(0,)]
    assert await rows(database, "SELECT count(*) FROM deliveries") == [(1,)], "nothing was answered"


async def test_lmtp_answers_for_each_recipient(database: Database, tokens: Tokens) -> None:
    delivery = await anna_was_told(database)
    at = MailBind("lmtp", Bind("127.0.0.1", free_port()))
    async with listening(database, tokens, at=at, largest=200_000) as connect:
        client = await connect()
        assert (await client.say("EHLO me"))[:3] == "500"
        envelope = (
            *("MAIL FROM:<>", f"RCPT TO:<{bounce_address(tokens, delivery)}>"),
            *("RCPT TO:<updates@example.com>",),
        )
        await client.say(*envelope)
        assert [one[:3] for one in await client.body(mail("qmail-no-mailbox", tokens, delivery), 2)] == ["250", "250"]
        await client.say(*envelope)
        assert [one[:3] for one in await client.body(b"X: y\r\n\r\n" + b"z\r\n" * 100_000, 2)] == ["552", "552"]
        await client.say(*envelope)
        assert [one[:3] for one in await client.body(b"X: y\r\n" * 21_000, 2)] == ["554", "554"]
        assert (await client.say("NOOP"))[:3] == "250", "in step all the while"
    assert await rows(database, "SELECT kind, outcome FROM reports ORDER BY id") == [
        ("hard_bounce", "applied"),
        ("hard_bounce", "no_change"),
    ]


async def test_it_listens_at_a_unix_socket_also_after_a_kill(
    database: Database, tokens: Tokens, tmp_path: Path
) -> None:
    delivery = await anna_was_told(database)
    path = tmp_path / "lmtp.sock"
    for _ in range(2):
        async with listening(database, tokens, at=MailBind("lmtp", path)) as connect:
            raw = mail("qmail-no-mailbox", tokens, delivery)
            assert (await post(connect, raw, bounce_address(tokens, delivery)))[:3] == "250"
            assert path.stat().st_mode & 0o777 == 0o660


async def test_workers_share_a_port_and_take_turns_at_a_socket_file(
    database: Database, tokens: Tokens, tmp_path: Path
) -> None:
    port, path = MailBind("smtp", Bind("127.0.0.1", free_port())), MailBind("lmtp", tmp_path / "lmtp.sock")
    async with listening(database, tokens, at=port), listening(database, tokens, at=port) as connect:
        await connect()
    async with listening(database, tokens, at=path) as connect:
        await connect()
        async with Intake(database).running() as intake:
            other = MailDoor(MailFiling(database, intake, tokens, system_clock), "lmtp", name="mail.example.com")
            assert await open_door(other, path) is None
        await connect()


async def test_what_is_too_large_is_refused_before_and_while_it_comes(database: Database, tokens: Tokens) -> None:
    async with listening(database, tokens, largest=100_000) as connect:
        client = await connect()
        assert (await client.say("MAIL FROM:<> SIZE=100001"))[:3] == "552"
        await client.say("MAIL FROM:<>", f"RCPT TO:<{INBOX}>")
        assert (await client.body(b"X: y\r\n\r\n" + b"z\r\n" * 50_000))[0][:3] == "552"
        await client.say("MAIL FROM:<>", f"RCPT TO:<{INBOX}>")
        assert (await client.body(b"X: y\r\n\r\n" + b"z" * (LONGEST_LINE + 1)))[0][:3] == "500"
        await client.say("MAIL FROM:<>", f"RCPT TO:<{INBOX}>")
        assert (await client.body(b"X: " + b"y\r\n " * (LARGEST_HEADER // 3)))[0][:3] in ("552", "554")
    assert await rows(database, "SELECT count(*) FROM reports") == [(0,)]


async def test_clients_that_idle_and_clients_too_many_are_let_go(database: Database, tokens: Tokens) -> None:
    async with listening(database, tokens, most=2, patience=0.5) as connect:
        first, second = await connect(), await connect()
        with pytest.raises(AssertionError):  # 421 instead of a greeting
            await connect()
        await first.say("MAIL FROM:<>", f"RCPT TO:<{INBOX}>", "DATA")
        assert await first.at_end(), "a body that never comes"
        assert await second.at_end()
        await connect()


async def test_the_database_away_is_451_and_nothing_is_lost(database: Database, tokens: Tokens) -> None:
    delivery = await anna_was_told(database)

    class Away(Database):
        """Whether it is away is up to us."""

        away = True

        @asynccontextmanager
        async def transaction(self):  # type: ignore[no-untyped-def]  # as its parent's
            if self.away:
                raise DatabaseAway("away")
            async with super().transaction() as tx:
                yield tx

    flaky = Away("postgresql://nowhere.invalid/x")
    flaky.engine = database.engine
    async with listening(flaky, tokens) as connect:
        bounce, reply = (mail(name, tokens, delivery) for name in ("qmail-no-mailbox", "reply-gmail"))
        for expected in ("451", "250"):
            answers: Sequence[str] = [
                await post(connect, bounce, bounce_address(tokens, delivery)),
                await post(connect, reply, reply_address(tokens, delivery), sender="zoe@mail.example"),
            ]
            assert [answer[:3] for answer in answers] == [expected, expected]
            flaky.away = False
    assert await rows(database, "SELECT (SELECT count(*) FROM reports), (SELECT count(*) FROM contacts)") == [(1, 1)]


async def test_a_mail_can_come_encrypted(database: Database, tokens: Tokens, tmp_path: Path) -> None:
    delivery = await anna_was_told(database)
    async with listening(database, tokens, tls=certificate(tmp_path)) as connect:
        client = await connect()
        await client.secure()
        await client.say("EHLO me", "MAIL FROM:<>", f"RCPT TO:<{bounce_address(tokens, delivery)}>")
        assert (await client.body(mail("qmail-no-mailbox", tokens, delivery)))[0][:3] == "250"
    assert await rows(database, "SELECT state FROM deliveries") == [("bounced",)]


def test_it_can_under_the_loop_that_workers_run_too(tmp_path: Path) -> None:
    """The library reaches into the loop to encrypt; uvloop's is another."""
    taken = []

    class Everything:
        def is_ours(self, recipient: str) -> bool:
            return bool(recipient)

        async def file(self, raw: bytes, *, sender: str, recipient: str) -> None:
            taken.append((raw, sender, recipient))

    async def serve() -> None:
        port = free_port()
        door = MailDoor(Everything(), "smtp", name="mail.example.com", tls=certificate(tmp_path))
        server = await open_door(door, MailBind("smtp", Bind("127.0.0.1", port)))
        assert server is not None
        await asyncio.to_thread(post_encrypted, port)
        server.close()
        await door.close()

    def post_encrypted(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.starttls()
            client.sendmail("a@b.example", [INBOX], b"Subject: x\r\n\r\n" + b"word\r\n" * 10_000)

    uvloop.run(serve())
    assert [(len(raw), sender, recipient) for raw, sender, recipient in taken] == [(60_014, "a@b.example", INBOX)]


async def test_a_storm_of_bounces_is_taken_side_by_side(database: Database, tokens: Tokens) -> None:
    async with database.transaction() as tx:
        deliveries = await told(tx, *((f"C{n}", f"c{n}@example.org") for n in range(200)))
    async with listening(database, tokens) as connect:

        async def many(ids: Sequence[int]) -> None:
            client = await connect()
            for one in ids:
                await client.say("MAIL FROM:<>", f"RCPT TO:<{bounce_address(tokens, one)}>")
                assert (await client.body(mail("postfix-unknown-user", tokens, one)))[0][:3] == "250"

        ids = list(deliveries.values())
        await asyncio.gather(*(many(ids[n::20]) for n in range(20)))
    assert await rows(database, "SELECT state, count(*) FROM deliveries GROUP BY 1") == [("bounced", 200)]


async def two_told(database: Database) -> tuple[str, dict[str, int]]:
    """An open incident that T1 and T2 were told about; its id, and customer number → delivery id."""
    incident = await an_incident(database)
    for number in ("T1", "T2"):
        await a_customer(database, f"Person {number}", number=number, mails=[f"{number.lower()}@example.org"])
    async with database.transaction() as tx:
        await a_dispatch(tx, incident)
        found = await tx.execute(
            text("SELECT c.number, d.id FROM deliveries d JOIN customers c ON c.id = d.customer_id")
        )
        return incident, {row[0]: row[1] for row in found}


def certificate(folder: Path) -> ssl.SSLContext:
    path = folder / "mail.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=mail.example.com",
                "-days",
                "1",
            ),
            *("-keyout", str(path), "-out", str(folder / "chain.pem")),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + (folder / "chain.pem").read_text())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context
