"""Bench: views of the status page per second, against nginx serving the same bytes with the same headers.

The page is that of the demonstration's worst hour: 1,614 flights, 865 of them cancelled, three updates.
"""

import asyncio
import multiprocessing
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import uvloop
from starlette.applications import Starlette

from app.answers import Answer
from app.bench.machine import machine
from app.bench.page_fan_out import fan_out
from app.bench.page_storm import say, status_page, storm
from app.bench.ports import free_port, wait_until_open
from app.migrations import migrate
from app.postgres import embedded_postgres
from app.public_page import PageRequest, PageStore, PublicPage
from app.setting_values import Bind
from app.web import public_server, run_until
from foundation.database import Database

CONNECTIONS = 64
ROUNDS = 3
# What a phone sends: parsing it is part of the work.
REQUEST = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB,en;q=0.9",
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1",
}


def bench_page(seconds: float = 5) -> dict[str, object]:
    """Measure for `seconds` a side, in turns, and give the figures; needs wrk, and nginx for the baseline (Debian)."""
    generator, nginx = shutil.which("wrk"), shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if generator is None:
        return {"bench": "page", "error": "wrk is not installed (Debian: package wrk)."}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        status_dir = Path(folder) / "status"
        render_seconds = _make_page(Path(folder), status_dir)
        page = PageStore(status_dir).answer(
            PageRequest("/", accept_encoding=REQUEST["Accept-Encoding"], accept_language="en")
        )
        assert page is not None
        ports = [running.enter_context(_ours(status_dir))]
        if nginx is not None:
            ports.append(running.enter_context(_nginx(nginx, Path(folder), page)))
        figures = _in_turns(generator, ports, seconds / ROUNDS)
    per_second = median(figures[0])
    baseline = median(figures[1]) if nginx is not None else None
    return {
        "bench": "page",
        "n": round(per_second * seconds),
        "seconds": seconds,
        "per_second": round(per_second),
        "baseline": {"name": "nginx", "per_second": round(baseline)} if baseline else None,
        "ratio": round(per_second / baseline, 3) if baseline else None,
        **({} if nginx else {"note": "nginx is not installed (Debian: package nginx)."}),
        "rounds": [[round(rate) for rate in of_one] for of_one in figures],  # far apart: the machine was busy
        "page_bytes": len(page.body),
        "encoding": dict(page.headers).get(b"content-encoding", b"none").decode(),
        "connections": CONNECTIONS,
        "load": "wrk, one thread, on the same machine",
        "render_seconds": round(render_seconds, 3),
        "fan_out": fan_out(generator, REQUEST),
        "machine": machine(),
    }


def _make_page(folder: Path, status_dir: Path) -> float:
    """Publish into a database of our own and render; seconds the rendering took."""
    with embedded_postgres(folder / "postgres") as url:
        migrate(url)
        return uvloop.run(_publish(url, status_dir))


async def _publish(url: str, status_dir: Path) -> float:
    database = Database(url)
    incident = await storm(database)
    for _ in range(3):
        await say(database, incident, "Flights are cancelled")
    began = time.perf_counter()
    await status_page(status_dir).refresh(database)
    took = time.perf_counter() - began
    await database.close()
    return took


@contextmanager
def _ours(status_dir: Path) -> Iterator[int]:
    """The page as `stormdesk serve` serves it, in a process of its own."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(status_dir, port), daemon=True)
    process.start()
    try:
        wait_until_open(port)
        yield port
    finally:
        process.terminate()
        process.join()


def _serve(status_dir: Path, port: int) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        app = PublicPage(PageStore(status_dir), Starlette())
        async with public_server(app, Bind("127.0.0.1", port), stop) as server:
            await run_until(stop, [server])

    uvloop.run(run())


@contextmanager
def _nginx(program: str, folder: Path, page: Answer) -> Iterator[int]:
    """One worker of nginx with the page as we pack it (br or gzip) as its file, and our headers, the encoding too."""
    port = free_port()
    root = folder / "www"
    root.mkdir()
    (root / "index.html").write_bytes(page.body)
    folder.chmod(0o755)
    own = ("content-type", "content-length", "etag")
    headers = [(name.decode(), value.decode()) for name, value in page.headers if name.decode() not in own]
    settings = folder / "nginx.conf"
    settings.write_text(_NGINX.format(
        folder=folder, root=root, port=port,
        headers="\n".join(f'add_header {name} "{value}";' for name, value in headers),
    ))  # fmt: skip
    process = subprocess.Popen([program, "-c", settings, "-e", folder / "error.log"])
    try:
        wait_until_open(port)
        yield port
    finally:
        process.terminate()
        process.wait()


_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off; types {{ text/html html; }} charset utf-8; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5; open_file_cache max=100;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {root}; gzip off; etag on;
    {headers}
  }}
}}
"""


def _in_turns(generator: str, ports: Sequence[int], seconds: float) -> list[list[float]]:
    """Requests per second of each port, measured in turns so that whatever else the machine does meets all alike."""
    for port in ports:
        _load(generator, port, 1)
    rounds = [[_load(generator, port, max(1, round(seconds))) for port in ports] for _ in range(ROUNDS)]
    return [list(of_one) for of_one in zip(*rounds, strict=True)]


def _load(generator: str, port: int, seconds: int) -> float:
    headers = [part for name, value in REQUEST.items() for part in ("-H", f"{name}: {value}")]
    command = [generator, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *headers, f"http://127.0.0.1:{port}/"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or (found := re.search(r"Requests/sec:\s+([0-9.]+)", said)) is None:
        raise RuntimeError(f"Not every request was answered:\n{said}")
    return float(found.group(1))
