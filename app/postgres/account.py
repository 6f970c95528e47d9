"""Whom the server runs as: PostgreSQL refuses to run as root, so for root an account of its own, else ourselves.

Also the folder where that account can reach what it needs. Nothing here knows what it runs.
"""

import os
import pwd
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.postgres.errors import PostgresUnavailable
from app.postgres.files import held_alone

ACCOUNT = "stormdesk-db"
SYSTEM_FOLDER = Path("/var/lib/stormdesk")

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Account:
    """A user and group of this machine: our own, or the one we use when we are root."""

    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()

    def own(self, file: Path | int) -> None:
        """Make a file, or an open one, this account's."""
        if not self.is_us:
            os.chown(file, self.uid, self.gid)

    def let_pass(self, folder: Path) -> None:
        """Let the account, and nobody else, go through a folder of root's."""
        os.chown(folder, 0, self.gid)
        folder.chmod(0o710)

    def can_run(self, *command: str) -> bool:
        """Whether the account can run this; asking the kernel beats working out permissions."""
        try:
            return self.run(*command).returncode == 0
        except PermissionError:
            return False

    def run(
        self, *command: str, stdin: str = "", log: IO[str] | None = None, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run a command in a session of its own (so no Ctrl-C), with none of our environment (secrets)."""
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
            user=None if self.is_us else self.uid,
            group=None if self.is_us else self.gid,
            extra_groups=None if self.is_us else [],
        )


def our_account() -> Account:
    return Account(os.geteuid(), os.getegid())


def server_account() -> Account:
    """The account that runs the server; for root it is made at the first call. Raises PostgresUnavailable."""
    if os.geteuid() != 0:
        return our_account()
    with suppress(KeyError):
        return _account_named(ACCOUNT)
    with held_alone(system_folder() / "lock"):
        with suppress(KeyError):  # made by the one we waited for
            return _account_named(ACCOUNT)
        _create_account()
        return _account_named(ACCOUNT)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def system_folder() -> Path:
    """The folder that every account can reach, for root to put things in. Raises PostgresUnavailable."""
    try:
        SYSTEM_FOLDER.mkdir(mode=0o755, exist_ok=True)
        SYSTEM_FOLDER.chmod(0o755)  # whatever the umask
    except OSError as error:
        raise PostgresUnavailable(
            f"Cannot use {SYSTEM_FOLDER}: {error.strerror}. Run Stormdesk as an ordinary user, or set "
            f"STORMDESK_DATA_DIR to a folder that the account {ACCOUNT} can reach, such as /srv/stormdesk."
        ) from error
    return SYSTEM_FOLDER


def _account_named(name: str) -> Account:
    entry = pwd.getpwnam(name)
    return Account(entry.pw_uid, entry.pw_gid)


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
