"""One server, many users of it: the first to come starts it, the last to leave stops it, and neither needs to know.

Who uses it is counted by locks alone, so a killed process counts no more. How it starts and stops is not known here.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.postgres import server
from app.postgres.cluster import ensure_database
from app.postgres.errors import PostgresUnavailable
from app.postgres.files import held_alone, lock_file, nobody_else, share
from app.postgres.folders import find_or_place, own_folder


@contextmanager
def embedded_postgres(data_dir: Path, *, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run, or join, the server of `data_dir`; yield a `postgresql://` URL for asyncpg. The last to leave stops it.

    `settings` override ours in postgresql.conf terms; they count for the process that starts the server.
    Blocks while the server starts (about a second the first time). Raises PostgresUnavailable.
    """
    folder = own_folder(data_dir)
    with lock_file(folder / "users.lock") as users:
        with _alone(folder):
            share(users)
            cluster = find_or_place(folder)
        try:
            with _alone(folder):
                server.ensure_running(cluster, settings or {})
                ensure_database(cluster)
            yield cluster.url
        finally:
            with _alone(folder):
                if nobody_else(users):
                    server.stop(cluster, "fast")


def application_url(data_dir: Path) -> str:
    """The URL for the role that serves and works; the server of `data_dir` must be in use by us."""
    folder = own_folder(data_dir)
    with _alone(folder):
        return find_or_place(folder).application_url


def start_server(data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
    """Start the server whoever uses it, for tests that stopped it underneath. Raises PostgresUnavailable."""
    folder = own_folder(data_dir)
    with _alone(folder):
        server.ensure_running(find_or_place(folder), settings or {})


def stop_server(data_dir: Path, mode: server.StopMode = "fast") -> None:
    """Stop the server whoever uses it; `immediate` is a crash: the next start recovers. No server, nothing done."""
    folder = own_folder(data_dir)
    with _alone(folder):
        server.stop(find_or_place(folder), mode)


def server_pid(data_dir: Path) -> int | None:
    """The process id of the running postmaster, or None."""
    folder = own_folder(data_dir)
    with _alone(folder):
        return server.pid(find_or_place(folder))


def remove_cluster(data_dir: Path) -> None:
    """Delete the data of `data_dir` for good, wherever it lies. Raises PostgresUnavailable while anybody uses it."""
    folder = own_folder(data_dir)
    with lock_file(folder / "users.lock") as users, _alone(folder):
        if not nobody_else(users):
            raise PostgresUnavailable(f"The database in {data_dir} is in use; stop Stormdesk before removing it.")
        cluster = find_or_place(folder)
        server.stop(cluster, "immediate")
        shutil.rmtree(cluster.socket)
        shutil.rmtree(cluster.room)
        if cluster.home != folder:
            shutil.rmtree(cluster.home)
        # The lock files stay: somebody may be waiting for one, and would then hold a lock that nobody else can see.
        for name in ("home", "socket", "password", "app-password", "settings.conf", "server.log", "server.log.1"):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with held_alone(folder / "start.lock"):
        try:
            yield
        except OSError as error:
            raise PostgresUnavailable(
                f"The embedded PostgreSQL in {folder} cannot be used: {error}. Set that right (disk, permissions) and "
                "start again, or set STORMDESK_DATABASE_URL; the data is kept."
            ) from error
