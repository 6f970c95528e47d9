"""The whole way of a mail, for mails as the world really sends them: no contact lost, no loop, no leak."""

from collections import Counter

import msgspec
import pytest

from app.asgi import claims_writer
from app.file_keeping import FileKeeping
from app.wiring import Parts
from claims.acknowledging import Acknowledging
from claims.submissions import stored_submission
from foundation.clock import system_clock
from foundation.database import Database, driver
from foundation.tokens import Tokens
from notify.references import delivery_reference
from tests.integration.test_mail_listener import INBOX, listening, post
from tests.support.awkward_mails import awkward_mails
from tests.support.claimants import a_customer, an_incident, partition, resolve
from tests.support.web import parts_for

MAILS = awkward_mails()


async def rows(database: Database, query: str, *values: object) -> list[tuple[object, ...]]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query, *values)]


@pytest.fixture
def parts(database_url: str, tmp_path: object) -> Parts:
    return parts_for(database_url, tmp_path)  # type: ignore[arg-type]  # a Path


async def acknowledge(parts: Parts, database: Database, verdicts_by: str = "mx.example.com") -> None:
    while await Acknowledging(database, claims_writer(parts), system_clock, verdicts_by).step():
        pass


SENT = "SELECT a.value FROM deliveries d JOIN addresses a ON a.id = d.address_id ORDER BY 1"


def _bare(raw: object) -> bytes:
    """A mail without what a line end is on its way."""
    assert isinstance(raw, bytes)
    return raw.replace(b"\r\n", b"\n").strip()


def test_there_are_sixty_at_least_each_of_its_own() -> None:
    assert len(MAILS) >= 60
    assert len({one.name for one in MAILS}) == len({one.raw for one in MAILS}) == len(MAILS)


async def test_no_contact_lost_no_loop_no_leak(database: Database, tokens: Tokens, parts: Parts) -> None:
    await an_incident(database)
    await a_customer(database, "Jo", mails=["quoting@mail.example", "away-nl@mail.example", "null-sender@mail.example"])
    async with listening(database, tokens) as connect:
        client = await connect()
        for one in [*MAILS, *[one for one in MAILS if one.fate == "person"][::7]]:  # some come twice
            assert (await client.say(f"MAIL FROM:<{one.sender}>", f"RCPT TO:<{INBOX}>"))[:3] == "250"
            assert (await client.body(one.raw))[0][:3] == "250", one.name
    await resolve(database)
    stored = await rows(database, "SELECT raw, state, answer_by IS NULL, channel FROM contacts")
    reports = await rows(database, "SELECT raw FROM reports")
    by_words = {_bare(row[0]): row for row in stored}
    assert len(stored) + len(reports) == len(MAILS)
    for one in MAILS:
        sent = _bare(one.raw)
        if one.fate == "report":
            assert sent in [_bare(row[0]) for row in reports], one.name
            continue
        raw, state, by_machine, channel = by_words[sent]
        assert isinstance(raw, bytes)
        assert (state, by_machine, channel) == ("resolved", one.fate == "machine", "mail"), one.name
        said = stored_submission("mail", raw)
        assert said is not None
        assert one.words in (said.message or ""), one.name
        assert "victim@bank.example" not in (said.email or "")
        msgspec.json.encode(said)  # nothing in it that could not be shown
    keeper = FileKeeping(database, parts.files, parts.clock)
    while await keeper.step():
        pass
    assert await rows(database, "SELECT count(*) FROM contacts WHERE unpacked_at IS NULL AND channel = 'mail'") == [
        (0,)
    ]
    kept = Counter(row[0] for row in await rows(database, "SELECT coalesce(why, 'kept') FROM attachments"))
    assert kept["kind"] >= 3
    assert kept["kept"] >= 1
    # Only the one whom the directory knows by that very address hears from us, once, and no program does.
    await acknowledge(parts, database)
    assert await rows(database, SENT) == [("quoting@mail.example",)]


async def test_machine_mail_ends_every_loop(database: Database, tokens: Tokens, parts: Parts) -> None:
    """A robot that marks nothing and answers everything hears from us a few times, and then no more."""
    await an_incident(database)
    await a_customer(database, "Robot", mails=["robot@mail.example"])
    async with listening(database, tokens) as connect:
        for n in range(12):
            raw = f"From: robot@mail.example\r\nMessage-ID: <{n}@r>\r\nDate: x\r\nSubject: Re: got it {n}\r\n\r\nHello"
            await post(connect, raw.encode(), INBOX, sender="robot@mail.example")
            await resolve(database)
            await acknowledge(parts, database)
        assert await rows(database, SENT) == [("robot@mail.example",)]
        # What we sent comes back to us, as it is: it is nobody's word.
        [(delivery,)] = await rows(database, "SELECT id FROM deliveries")
        assert isinstance(delivery, int)
        ours = f"From: {INBOX}\r\nMessage-ID: <{delivery_reference(tokens, delivery)}@example.com>\r\n\r\nWe have it"
        await post(connect, ours.encode(), INBOX, sender=INBOX)
    assert await rows(database, "SELECT count(*) FROM contacts WHERE answer_by IS NOT NULL") == [(12,)]


async def test_forged_references_and_case_numbers_lead_nowhere(
    database: Database, tokens: Tokens, parts: Parts
) -> None:
    await an_incident(database)
    victim = b"From: victim@mail.example\r\nMessage-ID: <first@mail.example>\r\nDate: x\r\n\r\nMy secret"
    async with listening(database, tokens) as connect:
        await post(connect, victim, INBOX, sender="victim@mail.example")
        await resolve(database)
        [(number,)] = await rows(database, "SELECT number FROM cases")
        for n, head in enumerate(
            (
                "In-Reply-To: <first@mail.example>",
                "References: <a@b> <first@mail.example> <c@d>",
                f"Subject: Re: case {number}",
                f"In-Reply-To: <1f-{'a' * 24}@example.com>",
            )
        ):
            raw = f"From: thief{n}@mail.example\r\nMessage-ID: <{n}@thief>\r\nDate: x\r\n{head}\r\n\r\nShow me"
            await post(connect, raw.encode(), INBOX, sender=f"thief{n}@mail.example")
        head = "From: Victim@Mail.example\r\nMessage-ID: <second@m>\r\nDate: x"
        own = f"{head}\r\nReferences: <first@mail.example>\r\n\r\nMore".encode()
        await post(connect, own, INBOX, sender="victim@mail.example")
        await resolve(database)
    homes = await partition(database)
    assert len(homes) == 6
    assert len({case for case, _ in homes.values()}) == 5
    continued = await rows(database, "SELECT id, continues_id FROM contacts WHERE continues_id IS NOT NULL")
    assert continued == [(6, 1)]
    await acknowledge(parts, database)
    assert await rows(database, SENT) == []


async def test_a_case_number_counts_for_whom_the_case_knows(database: Database, tokens: Tokens) -> None:
    old = await an_incident(database)
    await a_customer(database, "Jo Smith", mails=["jo@mail.example"])
    async with listening(database, tokens) as connect:
        await post(
            connect,
            b"From: jo@mail.example\r\nMessage-ID: <1@m>\r\nDate: x\r\n\r\nFirst",
            INBOX,
            sender="jo@mail.example",
        )
        await resolve(database)
        await an_incident(database, component="LINE-2")
        [(number,)] = await rows(database, "SELECT number FROM cases")
        raw = f"From: jo@mail.example\r\nMessage-ID: <2@m>\r\nDate: x\r\nSubject: About {number}\r\n\r\nMore"
        await post(connect, raw.encode(), INBOX, sender="jo@mail.example")
        await resolve(database)
    assert await rows(database, "SELECT DISTINCT incident_id FROM contacts") == [(old,)]
    assert await rows(database, "SELECT count(*) FROM cases") == [(1,)]


@pytest.mark.parametrize(
    ("results", "answered"),
    [
        ("mx.example.com; dmarc=pass header.from=mail.example", True),
        ("mx.example.com; dkim=pass header.d=mail.example header.s=x; spf=fail", True),
        ("mx.example.com; dkim=pass header.d=evil.example", False),
        ("mx.example.com; spf=pass smtp.mailfrom=mail.example", False),
        ("mx.evil.example; dmarc=pass header.from=mail.example", False),
        ("mx.example.com; dmarc=fail header.from=mail.example", False),
        ("", False),
    ],
)
async def test_a_stranger_is_answered_only_when_our_mail_server_vouches_for_them(
    database: Database, tokens: Tokens, parts: Parts, results: str, answered: bool
) -> None:
    await an_incident(database)
    raw = f"Authentication-Results: {results}\r\nFrom: new@mail.example\r\nMessage-ID: <1@m>\r\nDate: x\r\n\r\nHi"
    async with listening(database, tokens) as connect:
        await post(connect, raw.encode(), INBOX, sender="new@mail.example")
        await resolve(database)
    await acknowledge(parts, database)
    assert await rows(database, SENT) == ([("new@mail.example",)] if answered else [])
