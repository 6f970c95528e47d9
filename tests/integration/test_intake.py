"""A contact that was acknowledged is on disk, once; one that could not be stored is never acknowledged."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import claims.intake
from app.migrations import migrate
from app.postgres import embedded_postgres, start_server, stop_server
from claims.intake import Arrival, Intake, KeyReused
from claims.receipts import read_receipt
from foundation.database import Database, driver
from foundation.errors import Busy
from tests.support.claimants import send
from tests.support.site import site
from tests.support.web import open_client, parts_for


async def rows(database: Database, query: str, *values: object) -> list[tuple[object, ...]]:
    async with database.transaction() as tx:
        return [tuple(row) for row in await (await driver(tx)).fetch(query, *values)]


async def test_the_bytes_are_kept_as_they_came(database: Database) -> None:
    raw = '{"message": "NUL \\u0000, bell \a, \\ud83d\\ude00, \u200bünseen"}'.encode() + b" \xff\x00 not even text"
    async with Intake(database).running() as intake:
        receipt = await intake.accept(Arrival("api", "nl", raw))
    assert await rows(database, "SELECT receipt, raw, state, channel, language FROM contacts") == [
        (receipt, raw, "received", "api", "nl")
    ]
    assert read_receipt(receipt) == receipt


async def test_the_same_key_and_words_give_the_same_receipt(database: Database) -> None:
    async with Intake(database).running() as intake:
        first = await send(intake, "key", message="Help")
        again = await asyncio.gather(*(send(intake, "key", message="Help") for _ in range(20)))
    assert set(again) == {first}
    assert await rows(database, "SELECT count(*) FROM contacts") == [(1,)]


async def test_a_crowd_with_the_same_key_makes_one_contact(database: Database) -> None:
    async with Intake(database, batch=3, writers=4).running() as intake:
        receipts = await asyncio.gather(*(send(intake, f"key {n % 5}", message=f"Help {n % 5}") for n in range(200)))
    assert len(set(receipts)) == 5
    assert await rows(database, "SELECT count(*) FROM contacts") == [(5,)]


async def test_the_same_key_with_other_words_is_refused_and_changes_nothing(database: Database) -> None:
    async with Intake(database).running() as intake:
        receipt = await send(intake, "key", message="Help")
        others = await asyncio.gather(
            send(intake, "key", message="Something else"), send(intake, message="No key"), return_exceptions=True
        )
    assert isinstance(others[0], KeyReused)
    assert others[0].code == "idempotency_key_reused"
    assert isinstance(others[1], str)
    assert await rows(database, "SELECT receipt FROM contacts WHERE idempotency_key = 'key'") == [(receipt,)]


async def test_many_at_once_share_commits(database: Database) -> None:
    async with Intake(database).running() as intake:
        receipts = await asyncio.gather(*(send(intake, message=f"Help {n}") for n in range(1000)))
    assert len(set(receipts)) == 1000
    [(stored, commits)] = await rows(database, "SELECT count(*), count(DISTINCT xmin::text) FROM contacts")
    assert stored == 1000
    assert isinstance(commits, int)
    assert commits <= 20


async def test_a_full_queue_sends_people_away_with_a_time(database: Database) -> None:
    async with Intake(database, capacity=10, batch=2, writers=1).running() as intake:
        answers = await asyncio.gather(*(send(intake, message=f"Help {n}") for n in range(100)), return_exceptions=True)
    accepted = {answer for answer in answers if isinstance(answer, str)}
    refused = [answer for answer in answers if isinstance(answer, Busy)]
    assert len(accepted) + len(refused) == 100
    assert refused
    assert all(busy.retry_after > 0 for busy in refused)
    assert {row[0] for row in await rows(database, "SELECT receipt FROM contacts")} == accepted


async def test_who_is_inside_at_closing_time_is_served(database: Database) -> None:
    async with Intake(database, batch=5, writers=1).running() as intake:
        waiting = [asyncio.create_task(send(intake, message=f"Help {n}")) for n in range(50)]
        await asyncio.sleep(0)
    receipts = set(await asyncio.gather(*waiting))
    assert {row[0] for row in await rows(database, "SELECT receipt FROM contacts")} == receipts
    with pytest.raises(Busy):
        await send(intake, message="Too late")


@pytest.fixture
def own_server() -> Iterator[Path]:
    """The data folder of a server nobody else uses, with durability on."""
    folder = Path(tempfile.mkdtemp(prefix="stormdesk-intake-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_who_only_asks_is_sent_away_before_who_has_something_to_tell(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims.intake, "_PRESSED", 1 / 4000)
    parts = parts_for(database_url, tmp_path)
    async with open_client(parts) as web:
        receipt = (await web.post("/api/v1/contacts", json={"message": "First"})).json()["receipt"]
        asked = f"/api/v1/contacts/{receipt}"
        assert (await web.get(asked)).status_code == 200
        async with parts.database.transaction() as tx:
            connection = await driver(tx)
            await connection.execute("LOCK TABLE contacts IN EXCLUSIVE MODE")  # reading goes on, storing waits
            crowd = []
            async with asyncio.timeout(20):
                while (answer := await web.get(asked)).status_code == 200:
                    crowd.append(asyncio.create_task(web.post("/api/v1/contacts", json={"message": "Help"})))
            assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "60")
        told = await asyncio.gather(*crowd)
        assert {one.status_code for one in told} == {202}
        # Pressed no more. Who asks without end about one receipt is slowed down, and may tell us things all the same.
        statuses = [(await web.get(asked)) for _ in range(61)]
        assert statuses[0].status_code == 200
        assert (statuses[-1].status_code, statuses[-1].json()["code"]) == (429, "too_many")
        assert int(statuses[-1].headers["retry-after"]) > 0
        assert (await web.post("/api/v1/contacts", json={"message": "More"})).status_code == 202
    await parts.database.close()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_pulling_the_plug_on_the_database_loses_no_acknowledged_contact(own_server: Path, mode: str) -> None:
    with embedded_postgres(own_server) as url:
        await asyncio.to_thread(migrate, url)
        database = Database(url, pool=4)
        acknowledged: set[str] = set()
        turned_away = 0
        stop = asyncio.Event()

        async def keep_sending(intake: Intake) -> None:
            nonlocal turned_away
            while not stop.is_set():
                try:
                    acknowledged.add(await send(intake, message="Help"))
                except Busy:
                    turned_away += 1
                    await asyncio.sleep(0.01)

        async with Intake(database, patience=5).running() as intake:
            crowd = [asyncio.create_task(keep_sending(intake)) for _ in range(40)]
            await _until(lambda: len(acknowledged) > 200)
            await asyncio.to_thread(stop_server, own_server, mode)  # type: ignore[arg-type]  # one of its modes
            await _until(lambda: turned_away > 40)
            before = len(acknowledged)
            await asyncio.to_thread(start_server, own_server)
            await _until(lambda: len(acknowledged) > before + 200)
            stop.set()
            await asyncio.gather(*crowd)
        stored = {row[0] for row in await rows(database, "SELECT receipt FROM contacts")}
        await database.close()
    assert acknowledged <= stored


async def test_without_the_database_people_are_asked_to_come_back_and_keep_their_text(
    own_server: Path, tmp_path: Path
) -> None:
    with embedded_postgres(own_server) as url:
        await asyncio.to_thread(migrate, url)
        parts = parts_for(url, tmp_path)
        async with site(parts) as address, httpx2.AsyncClient(base_url=address, timeout=30) as web:
            assert (await web.post("/api/v1/contacts", json={"message": "Before"})).status_code == 202
            await asyncio.to_thread(stop_server, own_server)
            refused = await web.post("/api/v1/contacts", json={"message": "Meanwhile"})
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            assert int(refused.headers["retry-after"]) > 0
            page = await web.post("/claim", data={"message": "My long story", "name": "Zoë"})
            assert page.status_code == 503
            assert int(page.headers["retry-after"]) > 0
            assert "My long story</textarea>" in page.text
            assert 'value="Zoë"' in page.text
            assert "We could not store your message just now" in page.text
            assert (await web.get("/claim")).status_code == 200
            await asyncio.to_thread(start_server, own_server)
            # A connection that died with the server is found out when it is next used.
            after = [(await web.post("/api/v1/contacts", json={"message": "After"})).status_code for _ in range(20)]
            assert set(after) <= {202, 503}
            assert after[-1] == 202
        raws = {raw for (raw,) in await rows(parts.database, "SELECT raw FROM contacts")}
        await parts.database.close()
    assert raws == {b'{"message":"Before"}', b'{"message":"After"}'}


async def _until(fact: object) -> None:
    assert callable(fact)
    async with asyncio.timeout(60):
        while not fact():  # noqa: ASYNC110 (what is waited for happens in another process)
            await asyncio.sleep(0.01)
