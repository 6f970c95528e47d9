"""Bench: mail from publication to the last recorded result, against Postfix's smtp-source and the same smtp-sink.

It uses the real outbox, senders and SMTP on a database of its own with every durability setting on; the directory is
the least that planning needs.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

import notify
from app.bench import outbox
from app.bench.machine import machine
from app.bench.ports import free_port, wait_until_open
from app.bench.processes import cpu_seconds, peak_memory_mib
from app.bench.scratch import bench_database
from app.bench.tunnels import tunnels
from foundation.clock import system_clock
from foundation.database import Database
from foundation.tokens import Tokens
from notify.mail import MailFactory, mail_date
from notify.messages import Message

# The whole of a mail, ours with its headers, text and HTML; what smtp-source sends by -l.
MESSAGE_BYTES = 4096
Dkim = Literal["none", "ed25519", "rsa"]
BASELINE_CONNECTIONS = 10
ROUNDS = 2
WORKERS = 2
CONNECTIONS = 5
DEPTH = 50
_SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])


def bench_mail(recipients: int, dkim: Dkim = "none", *, tls: bool = False) -> dict[str, object]:
    """Send an update to `recipients` people and give the figures: the best of some rounds, ours and the baseline's.

    `seconds` runs from the start of publication to the last result on disk, planning included. `dkim`: what signs each
    mail; the baseline's are never signed. `tls`: both sides reach the sink through TLS, smtp-source by a tunnel.
    Without Debian's package postfix there is no baseline, and the demo's mailbox receives.
    """
    sink, source = _program("smtp-sink"), _program("smtp-source")
    stunnel = _program("stunnel") if tls else None
    if tls and not (sink and source and stunnel):
        raise RuntimeError("TLS is measured through stunnel; install Debian's packages postfix and stunnel4.")
    rates: list[float] = []
    took: list[_Round] = []
    with (
        _sink(sink) as (port, receiver),
        _ways(stunnel, port) as (relay, way),
        bench_database() as url,
        _key(dkim) as key,
    ):
        asyncio.run(outbox.load_directory(url, recipients))
        for number in range(ROUNDS):
            if sink and source:
                rates.append(_baseline(source, way, recipients))
            took.append(uvloop.run(_ours(url, relay, recipients, number, key=key, receiver=receiver)))
    best = min(took, key=lambda one: one.seconds)
    baseline, baseline_name = max(rates, default=None), "smtp-source through stunnel" if tls else "smtp-source"
    return {
        "bench": "mail",
        "n": recipients,
        "seconds": round(best.seconds, 2),
        "per_second": round(recipients / best.seconds),
        "planning_seconds": round(best.planning, 2),
        "per_second_after_planning": round(recipients / (best.seconds - best.planning)),
        "baseline": {"name": baseline_name, "per_second": round(baseline)} if baseline else None,
        "ratio": round(recipients / best.seconds / baseline, 3) if baseline else None,
        # Far apart: the machine was busy.
        "rounds": {
            "ours": [round(recipients / one.seconds) for one in took],
            "baseline": [round(rate) for rate in rates],
        },
        **({} if baseline else {"note": "No baseline: smtp-source and smtp-sink (Debian: postfix) are not installed."}),
        "cpu_seconds_per_1000": {
            "senders": round(best.senders_cpu / recipients * 1000, 4),
            "receiver": round(best.receiver_cpu / recipients * 1000, 4),
        },
        "peak_memory_mib": best.peak_memory and round(best.peak_memory, 1),
        "dkim": dkim,
        "tls": tls,
        "message_bytes": MESSAGE_BYTES,
        "workers": WORKERS,
        "connections": CONNECTIONS,
        "depth": DEPTH,
        "machine": machine(),
    }


@dataclass(frozen=True, slots=True)
class _Round:
    """One round of ours. CPU in seconds; `peak_memory`: MiB of the largest sender, None where /proc does not tell."""

    seconds: float
    planning: float
    senders_cpu: float
    receiver_cpu: float
    peak_memory: float | None


@contextmanager
def _key(dkim: Dkim) -> Iterator[str]:
    """The setting that has mail signed with a fresh key of this kind; empty for none."""
    if dkim == "none":
        yield ""
        return
    key = ed25519.Ed25519PrivateKey.generate() if dkim == "ed25519" else rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        path = Path(folder, "key.pem")
        path.touch(mode=0o600)
        path.write_bytes(pem)
        yield f"bench:stormdesk.example:{path}"


# The other side


def _program(name: str) -> str | None:
    return shutil.which(name, path=_SBIN)


@contextmanager
def _ways(stunnel: str | None, sink: int) -> Iterator[tuple[str, int]]:
    """How to the sink: the relay's URL for ours, and the port for the baseline. With `stunnel` both go through TLS."""
    if stunnel is None:
        yield f"smtp://127.0.0.1:{sink}", sink
        return
    with (
        tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder,
        tunnels(stunnel, Path(folder), sink) as found,
    ):
        yield f"smtps://127.0.0.1:{found.secured}?fingerprint=sha256:{found.fingerprint}", found.plain


@contextmanager
def _sink(smtp_sink: str | None) -> Iterator[tuple[int, int]]:
    """Something that takes mail and throws it away; yields its port and process."""
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        port = free_port()
        if smtp_sink:
            user = ["-u", "nobody"] if os.geteuid() == 0 else []
            command = [smtp_sink, *user, f"127.0.0.1:{port}", "1000"]
        else:
            command = [sys.executable, "-m", "app.demo.mailbox", folder, str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=outbox.ROOT)
        try:
            wait_until_open(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def _baseline(program: str, port: int, messages: int) -> float:
    sessions = str(BASELINE_CONNECTIONS)
    command = [program, "-s", sessions, "-m", str(messages), "-l", str(MESSAGE_BYTES), "-d", f"127.0.0.1:{port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return messages / (time.perf_counter() - began)


# Ours


async def _ours(url: str, relay: str, recipients: int, number: int, *, key: str, receiver: int) -> _Round:
    arguments = (relay, CONNECTIONS, DEPTH, key)
    async with outbox.senders(url, "app.bench.mail_worker", *arguments, count=WORKERS) as senders:
        database = Database(url, pool=2)
        try:
            sent_before, received_before = cpu_seconds(senders), cpu_seconds([receiver])
            began = time.perf_counter()
            dispatch = await publish(database, number)
            planned = time.perf_counter()
            await outbox.everything_recorded(database, dispatch, recipients)
            ended = time.perf_counter()
            return _Round(
                ended - began,
                planned - began,
                cpu_seconds(senders) - sent_before,
                cpu_seconds([receiver]) - received_before,
                peak_memory_mib(senders),
            )
        finally:
            await database.close()


async def publish(database: Database, number: int) -> str:
    """Tell everybody in the directory, in two languages, by mails of `MESSAGE_BYTES`; the dispatch's key."""
    body = f"{{name}},\n{_filler()}"
    messages = [notify.MessageText("mail", language, "Update 1", body) for language in ("en", "nl")]
    return await outbox.publish(database, number, messages)


def _filler() -> str:
    """Text that makes a mail as large as the baseline's: it stands in it twice, as text and as HTML."""
    line = "What you read here fills the mail up to the size that the baseline sends as well.\n"
    factory = MailFactory(
        "updates@stormdesk.example", Tokens([bytes(32)]), public_url="https://status.stormdesk.example"
    )

    def size(text: str) -> int:
        template = factory.template(Message(1, "incident:bench-0", "en", "Update 1", f"{{name}},\n{text}"))
        slots = {"name": "Passenger 100000"}
        mail = template.build(
            to="p100000@example.org", reference=factory.reference(100_000), slots=slots, date=mail_date(system_clock())
        )
        return len(mail)

    text = line
    while size(text + line) <= MESSAGE_BYTES:
        text += line
    return text
