"""One cluster: where its parts lie, how it is made, and what must hold before it is served.

`data_dir/postgres/` holds:

    password                 of the superuser, as a pgpass line, 0600
    app-password             of the role that serves and works, which owns nothing, 0600
    users.lock  start.lock   held shared while using the server; held alone while starting or stopping it
    server.log               what the server says
    settings.conf            what we ask of it, rewritten at each start
    server/                  0700, the server's own: cluster/ (the data) and socket/
    socket                   where the socket is, when the path above is too long for one
    home                     where settings.conf and server/ lie, when the server's account cannot reach them here

The only way in is the socket, in a private folder, with the password. Nothing here starts or stops the server.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from app.postgres.account import Account, Finished, our_account
from app.postgres.errors import PostgresUnavailable, last_lines
from app.postgres.files import sync, write

SUPERUSER = DATABASE = "stormdesk"
APPLICATION = "stormdesk_app"  # what it may do is granted by the migrations
PORT = 5432  # only names the socket; stated everywhere, so that a PGPORT in the environment changes nothing


@dataclass(frozen=True)
class Cluster:
    """Where the parts of one cluster lie. `folder` is ours alone, `home` is where the server may come."""

    folder: Path
    home: Path
    socket: Path
    programs: Path
    account: Account

    @property
    def room(self) -> Path:
        return self.home / "server"

    @property
    def data(self) -> Path:
        return self.room / "cluster"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def password(self) -> str:
        return self.password_file.read_text().strip().rpartition(":")[2]

    @property
    def url(self) -> str:
        return self._url(SUPERUSER, self.password)

    @property
    def application_password_file(self) -> Path:
        return self.folder / "app-password"

    @property
    def application_url(self) -> str:
        return self._url(APPLICATION, self.application_password_file.read_text().strip())

    def _url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@/{DATABASE}?host={quote(str(self.socket))}&port={PORT}"

    def run(self, program: str, *arguments: str, log: IO[str] | None = None) -> Finished:
        """Run a program of the server's, as its account."""
        # PGDATA and not -D: pg_ctl hands -D to a shell, which would expand a $ in it.
        environment = {"PGDATA": str(self.data)}
        return self.account.run(str(self.programs / program), *arguments, log=log, environment=environment)

    def ask(
        self, program: str, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run a client program on the socket, as ourselves."""
        place = (f"--host={self.socket}", f"--port={PORT}")
        command = (str(self.programs / program), *arguments, *place)
        return our_account().run(*command, stdin=stdin, environment=environment)


def create_cluster(cluster: Cluster) -> None:
    """Make the data folder, with a new password, in one step. Raises PostgresUnavailable."""
    for abandoned in cluster.room.glob("unfinished-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    # A name of its own: the initdb of a starter that was killed may still be writing to the one before.
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=cluster.room))
    cluster.account.own(unfinished)
    write(cluster.password_file, f"*:*:*:{SUPERUSER}:{secrets.token_urlsafe(32)}\n")
    _initdb(cluster, unfinished)
    with (unfinished / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude = '../../settings.conf'\n")  # relative, so that the folder can be moved
        conf.flush()
        os.fsync(conf.fileno())
    unfinished.rename(cluster.data)
    sync(cluster.room)


def check_cluster(cluster: Cluster) -> None:
    """Raise PostgresUnavailable when the data cannot be served by these programs, or entered without its password."""
    theirs = (cluster.data / "PG_VERSION").read_text().strip()
    ours = re.search(r"\d+", cluster.run("postgres", "--version").stdout)
    if ours and ours[0] != theirs:
        raise PostgresUnavailable(
            f"The database in {cluster.data} was made by PostgreSQL {theirs}, and this Stormdesk brings {ours[0]}. "
            f"Start it with the Stormdesk release that made it and save it with pg_dump; then move {cluster.folder} "
            "aside, start this release and load the dump. Or serve it with a PostgreSQL "
            f"{theirs} of your own and set STORMDESK_DATABASE_URL."
        )
    if not cluster.password_file.exists():
        raise PostgresUnavailable(
            f"The password of the database in {cluster.data} is gone from {cluster.password_file}. Put the file "
            f"back from a backup, or move {cluster.folder} aside to begin with an empty database."
        )


def ensure_database(cluster: Cluster) -> None:
    """Make our database and the application's role if the running server lacks them.

    Raises PostgresUnavailable when it refuses us.
    """
    # At every entrance: whoever started the server may have been killed just before this.
    sql = "SELECT 'CREATE DATABASE stormdesk' WHERE 'stormdesk' NOT IN (SELECT datname FROM pg_database) \\gexec\n"
    sql += _application_role(cluster)
    options = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1")
    whom = (f"--username={SUPERUSER}", "--dbname=postgres")
    result = cluster.ask("psql", *options, *whom, stdin=sql, environment={"PGPASSFILE": str(cluster.password_file)})
    if result.returncode:
        raise PostgresUnavailable(
            f"The embedded PostgreSQL runs but refused us: {last_lines(result.stderr)}\n"
            f"Its log is {cluster.log}. If {cluster.password_file} was changed, put the old one back."
        )


def _application_role(cluster: Cluster) -> str:
    """SQL that lets the application's role in with its password, and says nothing when it may come in already."""
    if lost := not cluster.application_password_file.exists():
        write(cluster.application_password_file, secrets.token_urlsafe(32) + "\n")
    password = cluster.application_password_file.read_text().strip()
    found = f"SELECT FROM pg_roles WHERE rolname = '{APPLICATION}'"
    what = f"ROLE {APPLICATION} LOGIN PASSWORD ''{password}''"
    return (
        f"SELECT 'CREATE {what}' WHERE NOT EXISTS ({found}) \\gexec\n"
        f"SELECT 'ALTER {what}' WHERE EXISTS ({found} AND ({'true' if lost else 'NOT rolcanlogin'})) \\gexec\n"
    )


def _initdb(cluster: Cluster, data: Path) -> None:
    with tempfile.NamedTemporaryFile("w", dir=cluster.home, prefix="initdb-") as password:
        password.write(cluster.password)
        password.flush()
        cluster.account.own(password.fileno())
        result = cluster.run(
            "initdb",
            f"--pgdata={data}",
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
            f"PostgreSQL could not create a database in {cluster.room}: {last_lines(result.stderr)}\n"
            "Free what it asks for (disk, permissions) and start again, or set STORMDESK_DATABASE_URL."
        )
