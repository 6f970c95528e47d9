"""The running server of a cluster: asked how it is, started and stopped. Every call needs start.lock held.

It does not know who uses the server, or how many.
"""

import enum
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from app.postgres.cluster import PORT, Cluster, check_cluster, create_cluster
from app.postgres.errors import PostgresUnavailable, last_lines
from app.postgres.files import write
from app.postgres.tuning import machine_memory, settings_text, tuned

PATIENCE = 300  # seconds: recovery after a crash replays up to max_wal_size
# A killed postmaster leaves children that need a moment to notice, and itself until its parent reaps it.
LAST_RITES = 15  # seconds
STILL_DYING = re.compile(r'pre-existing shared memory|"postmaster\.pid" already exists')
LARGEST_LOG = 16 << 20  # bytes

StopMode = Literal["fast", "immediate"]


class _Answer(enum.IntEnum):
    """What the socket says; the values are pg_isready's exit codes."""

    ACCEPTING = 0
    BUSY = 1  # starting up, recovering, or shutting down
    SILENT = 2


def ensure_running(cluster: Cluster, settings: Mapping[str, str]) -> None:
    """Start the server unless it runs, making the cluster first if there is none. Raises PostgresUnavailable."""
    if _settled(cluster) is _Answer.ACCEPTING:
        return
    if not cluster.data.exists():
        create_cluster(cluster)
    check_cluster(cluster)
    _write_settings(cluster, settings)
    _launch(cluster)


def stop(cluster: Cluster, mode: StopMode) -> None:
    """Stop the server if it runs. Raises PostgresUnavailable."""
    # Asked by its socket: after a crash, the pid in postmaster.pid may by now be some other process.
    if _probe(cluster) is _Answer.SILENT:
        return
    stopped = cluster.run("pg_ctl", "stop", "--silent", f"--mode={mode}", "--wait", f"--timeout={PATIENCE}")
    if stopped.returncode and _probe(cluster) is not _Answer.SILENT:
        raise PostgresUnavailable(
            f"The embedded PostgreSQL in {cluster.data} did not stop: {last_lines(stopped.stderr)}\n"
            f"Its log is {cluster.log}. It is safe to leave it running: the next Stormdesk will use it."
        )


def pid(cluster: Cluster) -> int | None:
    """The process id of the running postmaster, or None."""
    if _probe(cluster) is _Answer.SILENT:
        return None
    return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])


def _probe(cluster: Cluster) -> _Answer:
    code = cluster.ask("pg_isready", "--quiet").returncode
    return _Answer(code) if code in (_Answer.ACCEPTING, _Answer.BUSY) else _Answer.SILENT


def _settled(cluster: Cluster) -> _Answer:
    """Wait out a start or stop that somebody began and was killed in."""
    deadline = time.monotonic() + PATIENCE
    while (answer := _probe(cluster)) is _Answer.BUSY:
        if time.monotonic() > deadline:
            raise _did_not_start(cluster, f"is still starting or stopping after {PATIENCE} seconds", 0)
        time.sleep(0.02)
    return answer


def _write_settings(cluster: Cluster, wanted: Mapping[str, str]) -> None:
    way_in = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(cluster.socket),
        "unix_socket_permissions": "0700",
        "allow_alter_system": "off",  # a second source of settings would outlive and override this one
    }
    text = settings_text(tuned(machine_memory()) | dict(wanted) | way_in)
    write(cluster.home / "settings.conf", text, group=None if cluster.account.is_us else cluster.account.gid)


def _launch(cluster: Cluster) -> None:
    _turn_log(cluster.log)
    deadline = time.monotonic() + LAST_RITES
    while True:
        already_said = cluster.log.stat().st_size
        with cluster.log.open("a") as log:
            started = cluster.run("pg_ctl", "start", "--silent", "--wait", f"--timeout={PATIENCE}", log=log)
        if started.returncode == 0 or _settled(cluster) is _Answer.ACCEPTING:
            return
        if time.monotonic() > deadline or not STILL_DYING.search(_log_since(cluster, already_said)):
            raise _did_not_start(cluster, "did not start", already_said)
        time.sleep(0.1)


def _did_not_start(cluster: Cluster, what: str, said_before: int) -> PostgresUnavailable:
    return PostgresUnavailable(
        f"The embedded PostgreSQL {what}. The end of its log, {cluster.log}:\n"
        f"{last_lines(_log_since(cluster, said_before))}\n"
        "Set right what it complains of (disk, memory, permissions) and start again; the data is kept. If it believes "
        f"another server is running and none is, delete {cluster.data / 'postmaster.pid'}."
    )


def _log_since(cluster: Cluster, position: int) -> str:
    with cluster.log.open("rb") as log:
        log.seek(position)
        return log.read().decode(errors="replace")


def _turn_log(log: Path) -> None:
    log.touch(mode=0o600)
    if log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(log.name + ".1"))
        log.touch(mode=0o600)
