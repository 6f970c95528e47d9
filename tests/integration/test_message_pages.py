"""The pages behind the links in a message, over HTTP: reading changes nothing, and nobody learns about anybody."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import case, select, text
from sqlalchemy.dialects import postgresql

from app.wiring import Parts
from foundation.database import Database
from foundation.tokens import Tokens
from incidents import register_components
from notify import MessageText, enqueue, exposures
from notify.opt_outs import opted_out
from notify.references import References, check_code
from notify.tables import customers, deliveries, messages, opt_outs
from tests.support.directory import a_customer
from tests.support.incidents import NOW, a_draft, a_text, declared, say
from tests.support.web import client, parts_for

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One message that Zoë was sent, about an incident."""

    web: httpx2.AsyncClient
    parts: Parts
    delivery: int
    message: int
    customer: int
    topic: str

    @property
    def link(self) -> str:
        references = References(self.parts.tokens)
        return f"/u/{references.leave_token(references.reference(self.delivery))}"

    async def opted_out(self) -> list[tuple[str, str]]:
        async with self.parts.database.transaction() as tx:
            return [(row.topic, row.how) for row in await tx.execute(select(opt_outs).order_by(opt_outs.c.id))]

    async def wants(self, topic: str) -> bool:
        """Whether planning would send Zoë messages of `topic`."""
        query = select(customers.c.id).where(customers.c.number == "N-1", ~opted_out(customers.c.id, topic))
        async with self.parts.database.transaction() as tx:
            return (await tx.execute(query)).scalar_one_or_none() is not None


@pytest.fixture
async def sent(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Sent]:
    parts = parts_for(database_url, tmp_path)
    async with database.transaction() as tx:
        await register_components(tx, ["check-in"])
        incident = await declared(tx)
        await a_customer(tx, "N-0", "ben@example.org", exposures=[("check-in", "", None)])
        customer = await a_customer(tx, "N-1", "zoe@example.org", name="Zoë", exposures=[("check-in", "", None)])
        text = a_text(title="Check-in has stopped <b>", body="At {all} airports.")
        await say(tx, incident, a_draft(texts={"en": text, "nl": text}), now=NOW)
        query = select(deliveries.c.id, deliveries.c.message_id).where(deliveries.c.customer_id == customer)
        delivery, message = (await tx.execute(query)).one()
    async with client(parts) as web:
        yield Sent(web, parts, delivery, message, customer, f"incident:{incident}")


async def test_whoever_opens_the_link_is_asked_and_nothing_changes(sent: Sent) -> None:
    """Programs that look for harmful links open every one of them, again and again."""
    for _ in range(2):
        page = await sent.web.get(sent.link)
        assert page.status_code == 200
        assert "Stop this news?" in page.text
        assert "Check-in has stopped &lt;b&gt;" in page.text
    assert (await sent.web.head(sent.link)).status_code == 200
    assert await sent.opted_out() == []
    assert await sent.wants(sent.topic)


async def test_a_mail_program_stops_this_incident_with_one_click_however_often(sent: Sent) -> None:
    for _ in range(3):
        answer = await sent.web.post(sent.link, data=ONE_CLICK)
        assert (answer.status_code, answer.history) == (200, [])
        assert "set-cookie" not in answer.headers
    assert await sent.opted_out() == [(sent.topic, "one_click")]
    assert not await sent.wants(sent.topic)
    assert await sent.wants("incident:another")
    assert await sent.wants("case:C-1")


async def test_one_click_may_come_as_form_data(sent: Sent) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await sent.web.post(sent.link, content=body, headers=headers)).status_code == 200
    assert await sent.opted_out() == [(sent.topic, "one_click")]


async def test_all_news_can_be_stopped_and_cases_still_answer(sent: Sent) -> None:
    page = await sent.web.post(sent.link, data={"what": "all"})
    assert "You get no more news about disruptions" in page.text
    assert "still come" in page.text
    assert await sent.opted_out() == [("news", "page")]
    assert not await sent.wants(sent.topic)
    assert not await sent.wants("incident:another")
    assert await sent.wants("case:C-1")


async def test_there_is_a_way_back(sent: Sent) -> None:
    await sent.web.post(sent.link, data={"what": "topic"})
    assert "You get no more news about this disruption" in (await sent.web.get(sent.link)).text
    await sent.web.post(sent.link, data={"what": "all"})
    for _ in range(2):
        page = await sent.web.post(sent.link, data={"what": "back"})
        assert page.status_code == 200
        assert "You get this news again" in page.text
    assert await sent.opted_out() == []
    assert await sent.wants(sent.topic)


async def test_leaving_concerns_nobody_else(sent: Sent) -> None:
    await sent.web.post(sent.link, data={"what": "all"})
    query = select(customers.c.number).where(opted_out(customers.c.id, sent.topic))
    async with sent.parts.database.transaction() as tx:
        assert list((await tx.execute(query)).scalars()) == ["N-1"]


async def test_planning_can_ask_within_its_one_statement(sent: Sent) -> None:
    """For a hundred thousand people: the table is read once, not once for each of them."""
    await sent.web.post(sent.link, data={"what": "all"})
    people = select(exposures.c.customer_id).group_by(exposures.c.customer_id).subquery("people")
    reason = case((opted_out(people.c.customer_id, sent.topic), "opted_out"))
    query = select(people.c.customer_id, reason).order_by(people.c.customer_id)
    async with sent.parts.database.transaction() as tx:
        assert [row[1] for row in await tx.execute(query)] == [None, "opted_out"]
        await tx.execute(
            text(
                "INSERT INTO customers (number, name, name_key, language, time_zone) "
                "SELECT 'X' || n, 'x', 'x', 'en', 'Etc/UTC' FROM generate_series(1, 20000) n"
            )
        )
        await tx.execute(
            text(
                "INSERT INTO exposures (customer_id, component_key) "
                "SELECT id, 'check-in' FROM customers WHERE number LIKE 'X%'"
            )
        )
        await tx.execute(text("ANALYZE customers, exposures, opt_outs"))
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's, without types
        compiled = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        plan = "\n".join((await tx.execute(text(f"EXPLAIN (VERBOSE) {compiled}"))).scalars())
    assert "hashed" in plan, plan


@pytest.mark.parametrize("data", [{}, {"what": "everything"}, {"List-Unsubscribe": "No"}])
async def test_a_post_that_asks_for_nothing_we_know_is_asked_back(sent: Sent, data: dict[str, str]) -> None:
    answer = await sent.web.post(sent.link, data=data)
    assert answer.status_code == 422
    assert "Stop this news?" in answer.text
    assert await sent.opted_out() == []


async def test_other_links_do_nothing(sent: Sent) -> None:
    foreign = References(Tokens([b"a key that somebody else made up"]))
    reference = References(sent.parts.tokens).reference(sent.delivery)
    references = References(sent.parts.tokens)
    unknown = references.leave_token(references.reference(10**9))
    for token in (reference, foreign.leave_token(reference), unknown, "x", "%00", "a" * 500):
        for answer in (await sent.web.get(f"/u/{token}"), await sent.web.post(f"/u/{token}", data=ONE_CLICK)):
            assert answer.status_code == 404
            assert "This link does not work" in answer.text
    assert (await sent.web.post(sent.link, content=b"x" * 9000)).status_code == 413
    assert await sent.opted_out() == []


async def test_a_message_for_one_person_cannot_be_stopped_and_is_not_shown(sent: Sent, database: Database) -> None:
    async with database.transaction() as tx:
        await enqueue(
            tx,
            key="answer:1",
            topic="case:C-1",
            number=1,
            messages=[MessageText("mail", "en", "Your refund", "Dear Zoë, here are 300 euros.")],
            audience=select(exposures.c.customer_id, exposures.c.needed_at).where(
                exposures.c.customer_id == sent.customer
            ),
        )
        query = select(deliveries.c.id, deliveries.c.message_id).order_by(deliveries.c.id.desc()).limit(1)
        delivery, message = (await tx.execute(query)).one()
    references = References(sent.parts.tokens)
    link = f"/u/{references.leave_token(references.reference(delivery))}"
    for answer in (await sent.web.get(link), await sent.web.post(link, data=ONE_CLICK)):
        assert answer.status_code == 200
        assert "This message was for you alone" in answer.text
    assert await sent.opted_out() == []
    checked = await sent.web.get("/check", params={"code": check_code(sent.parts.tokens, message)})
    assert "Yes, this message is ours" in checked.text
    assert "It was for one person" in checked.text
    assert "refund" not in checked.text
    assert "Zoë" not in checked.text


async def test_a_code_of_ours_shows_what_we_said_and_when_and_nobodys_name(sent: Sent) -> None:
    code = check_code(sent.parts.tokens, sent.message)
    for typed in (code, f" {code.lower().replace('-', ' ')} "):
        page = await sent.web.get("/check", params={"code": typed})
        assert page.status_code == 200
        assert "Yes, this message is ours" in page.text
        assert "It was sent from " in page.text
        assert "Check-in has stopped &lt;b&gt;" in page.text
        assert "At {all} airports." in page.text
        assert "Hello …," in page.text
        assert f'value="{typed.strip()}"' in page.text
        assert "Its code is" not in page.text
        assert "updates@stormdesk.example" in page.text
        assert not re.search(r"Zo[eë]|N-1|/u/[0-9a-f]", page.text)


@pytest.mark.parametrize("typed", ["C7KQ-F3MX", "nonsense", "<script>", "\x00", "9" * 300, "ＡＢ１"])
async def test_another_code_gets_a_warning_and_no_reason(sent: Sent, typed: str) -> None:
    page = await sent.web.get("/check", params={"code": typed})
    assert page.status_code == 200
    assert "We do not know this code" in page.text
    assert "<script>" not in page.text


async def test_a_code_without_its_message_is_unknown(sent: Sent) -> None:
    page = await sent.web.get("/check", params={"code": check_code(sent.parts.tokens, 10**9)})
    assert "We do not know this code" in page.text


async def test_the_pages_speak_the_language_of_the_message_unless_another_is_asked_for(
    sent: Sent, database: Database
) -> None:
    async with database.transaction() as tx:
        await tx.execute(messages.update().where(messages.c.id == sent.message).values(language="nl-BE"))
    english = {"accept-language": "en"}
    assert "Geen nieuws meer?" in (await sent.web.get(sent.link, headers=english)).text
    assert "Stop this news?" in (await sent.web.get(sent.link + "?lang=en", headers=english)).text
    assert "Komt een bericht echt van ons?" in (await sent.web.get("/check?lang=nl", headers=english)).text


async def test_nothing_of_them_is_kept_or_loads_anything(sent: Sent) -> None:
    for path in (sent.link, "/check?code=1", "/u/x"):
        headers = (await sent.web.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "noindex" in headers["x-robots-tag"]
        assert "default-src 'none'" in headers["content-security-policy"]
