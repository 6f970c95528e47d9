"""Which folders the parts of a cluster lie in: found again, or chosen and made.

Only folders and the pointers to them; what goes into the data folder is not known here.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from app.postgres.account import Account, server_account, system_folder, user_name
from app.postgres.binaries import programs
from app.postgres.cluster import PORT, Cluster
from app.postgres.errors import PostgresUnavailable
from app.postgres.files import write

LONGEST_SOCKET_PATH = 107  # bytes, sun_path in unix(7)


def own_folder(data_dir: Path) -> Path:
    """`data_dir/postgres`, made if missing. Raises PostgresUnavailable when it cannot be, or is somebody else's."""
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
            f"The database in {folder} belongs to user {user_name(owner)}, and this is {user_name(os.geteuid())}. "
            "Run Stormdesk as the former, or set STORMDESK_DATA_DIR to another folder."
        )
    return folder


def find_or_place(folder: Path) -> Cluster:
    """The cluster of a folder of ours; only the folders are made here. Call it under start.lock."""
    account = server_account()
    home = _home(folder, account)
    room = home / "server"
    _make_private(room, account)
    return Cluster(folder, home, _socket_folder(folder, room, account), programs(account), account)


def _home(folder: Path, account: Account) -> Path:
    """Our folder, or one under the system folder when the server's account cannot reach ours."""
    if account.is_us:
        return folder
    pointer = folder / "home"
    if pointer.exists():
        return _existing_home(pointer)
    account.let_pass(folder)
    if (folder / "server" / "cluster").exists() or account.can_run("/bin/sh", "-c", 'cd "$0"', str(folder)):
        return folder
    prefix = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16] + "-"
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=system_folder()))
    account.let_pass(home)
    write(pointer, f"{home}\n")
    return home


def _existing_home(pointer: Path) -> Path:
    home = Path(pointer.read_text().strip())
    if not home.is_dir():
        raise PostgresUnavailable(
            f"The database of {pointer.parent} lay in {home}, which is gone. Put that folder back, "
            f"or delete {pointer.parent} to begin with an empty database."
        )
    return home


def _make_private(folder: Path, account: Account) -> None:
    if folder.exists():
        return
    fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    account.own(fresh)
    fresh.rename(folder)  # so that a crash never leaves a folder of the wrong owner


def _socket_folder(folder: Path, room: Path, account: Account) -> Path:
    near = room / "socket"
    # Drivers split a list of hosts at commas, and the server a list of folders at commas and quotes.
    plain = not set(str(near)) & set(',"')
    if plain and len(os.fsencode(near / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
        _make_private(near, account)
        return near
    return _remembered_socket_folder(folder / "socket", account)


def _remembered_socket_folder(pointer: Path, account: Account) -> Path:
    if pointer.exists() and _is_private(remembered := Path(pointer.read_text().strip()), account):
        return remembered
    # Not TMPDIR, which may be long itself, or closed to the server's account.
    fresh = Path(tempfile.mkdtemp(prefix="stormdesk-", dir="/tmp"))
    account.own(fresh)
    write(pointer, f"{fresh}\n")
    return fresh


def _is_private(folder: Path, owner: Account) -> bool:
    """Whether it is still the folder we made: after a clean-up of /tmp anybody can have made it."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner.uid and not stat.S_IMODE(found.st_mode) & 0o077
