"""What a mail costs the sending process, in CPU seconds by part: `python -m app.bench.wire [MAILS] [ROUNDS]`.

Without outbox and database: a channel with its lanes against Postfix's smtp-sink. CPU seconds and not rates, so that it
says something on a busy machine too; the least of some rounds, because what others do only ever adds.
"""

import asyncio
import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import uvloop

from app.bench.machine import machine
from app.bench.ports import free_port, wait_until_open
from foundation.clock import system_clock
from foundation.tokens import Tokens
from notify.channels import Accepted, Lane, Outgoing
from notify.channels.email import MailChannel
from notify.mail import MailFactory, mail_date
from notify.messages import Message

# Makes a mail of some 4.4 kB: text, the same as HTML, and headers. smtp-source is told to send as much.
TEXT_BYTES = 1180
CONNECTIONS = 5
DEPTH = 50
_SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])


def bench_wire(mails: int, rounds: int) -> dict[str, object]:
    """The figures, in microseconds of CPU a mail."""
    making, sending, sink, source = [], [], [], []
    for _ in range(rounds):
        making.append(_cpu_of_making(_batches(mails)))
        with _sink() as (port, process):
            before = _cpu_of(process)
            sending.append(uvloop.run(_cpu_of_sending(port, _batches(mails))))
            sink.append(_cpu_of(process) - before)
            source.append(_cpu_of_source(port, mails))
    microseconds = {
        "sending_process": min(sending),
        "of_that_making_the_mail": min(making),
        "smtp_sink": min(sink),
        "smtp_source": min(source),
    }
    return {
        "bench": "wire",
        "n": mails,
        "microseconds_per_mail": {name: round(found / mails * 1e6, 1) for name, found in microseconds.items()},
        "mail_bytes": _mail_bytes(),
        "connections": CONNECTIONS,
        "depth": DEPTH,
        "machine": machine(),
    }


def _batches(mails: int) -> list[list[Outgoing]]:
    line = "What you read here fills the mail up to the size that the baseline sends as well.\n"
    filler = (line * (TEXT_BYTES // len(line) + 1))[:TEXT_BYTES]
    message = Message(1, "incident:bench", "en", "Update 1", f"{{name}},\n{filler}")
    not_after = system_clock() + timedelta(hours=1)
    everybody = [
        Outgoing(number, 1, message, f"p{number}@example.org", {"name": f"Passenger {number}"}, not_after)
        for number in range(mails)
    ]
    return [everybody[start : start + DEPTH] for start in range(0, mails, DEPTH)]


def _mail_bytes() -> int:
    return len(_channel(1).envelope(_batches(1)[0][0], mail_date(system_clock())).content)


def _channel(port: int) -> MailChannel:
    factory = MailFactory("updates@stormdesk.example", Tokens([b"a key that only the bench uses: it signs nothing"]))
    return MailChannel([f"smtp://127.0.0.1:{port}"], factory)


def _cpu_of_making(batches: Sequence[Sequence[Outgoing]]) -> float:
    channel = _channel(1)
    began = time.process_time()
    for batch in batches:
        date = mail_date(system_clock())
        for one in batch:
            channel.envelope(one, date)
    return time.process_time() - began


async def _cpu_of_sending(port: int, batches: Sequence[Sequence[Outgoing]]) -> float:
    channel, stop = _channel(port), asyncio.Event()
    lanes = [channel.lane() for _ in range(CONNECTIONS)]
    for lane in lanes:  # connections are opened once, and not part of the question
        await lane.send(batches[0][:1], stop)
    # The people of a sender come and go; here they all stand in memory, and must not be searched for garbage.
    gc.collect()
    gc.freeze()
    due = iter(batches)

    async def send(lane: Lane) -> None:
        for batch in due:
            for result in await lane.send(batch, stop):
                if not isinstance(result, Accepted):
                    raise TypeError(f"Not accepted: {result}")

    began = time.process_time()
    await asyncio.gather(*map(send, lanes))
    took = time.process_time() - began
    for lane in lanes:
        await lane.close()
    return took


@contextmanager
def _sink() -> Iterator[tuple[int, int]]:
    """Postfix's smtp-sink; yields its port and its process id."""
    program = shutil.which("smtp-sink", path=_SBIN)
    if program is None:
        raise SystemExit("smtp-sink is not installed (Debian: apt-get install postfix)")
    with tempfile.TemporaryDirectory(prefix="stormdesk-bench-") as folder:
        port = free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        process = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "1000"], cwd=folder)
        try:
            wait_until_open(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait()


def _cpu_of(process: int) -> float:
    """User and system seconds of a running process (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cpu_of_source(port: int, mails: int) -> float:
    program = shutil.which("smtp-source", path=_SBIN)
    assert program is not None  # it comes with smtp-sink
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        program,
        "-s",
        str(2 * CONNECTIONS),
        "-m",
        str(mails),
        "-l",
        str(_mail_bytes()),
        "-d",
        f"127.0.0.1:{port}",
    ]
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    mails, rounds = [*map(int, sys.argv[1:3]), *(30_000, 5)[len(sys.argv) - 1 :]]
    print(json.dumps(bench_wire(mails, rounds), indent=2))
