"""`stormdesk up` keeps one machine going: its database stops, and comes back by itself."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from app.postgres import remove_cluster, server_pid
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent


@asynccontextmanager
async def up(data_dir: Path, port: int) -> AsyncIterator[None]:
    ours = {
        "STORMDESK_DATA_DIR": str(data_dir),
        "STORMDESK_BIND": f"127.0.0.1:{port}",
        "STORMDESK_SMTP_URL": f"smtp://127.0.0.1:{free_port()}",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORMDESK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "up", cwd=ROOT, env={**environment, **ours}, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert server_pid(data_dir) is None
        remove_cluster(data_dir)


async def until_ready(port: int) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient() as client:
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


async def until_another_server(data_dir: Path, pid: int) -> None:
    async with asyncio.timeout(60):
        while True:
            if server_pid(data_dir) not in (None, pid):
                return
            await asyncio.sleep(0.05)


async def test_a_database_that_was_stopped_comes_back_by_itself(tmp_path: Path) -> None:
    port = free_port()
    async with up(tmp_path, port):
        await until_ready(port)
        pid = server_pid(tmp_path)
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        await until_another_server(tmp_path, pid)
        await until_ready(port)
