"""Brings a database to the newest schema. The migrations themselves are in `alembic/versions/`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_ROOT = Path(__file__).resolve().parent.parent


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the database at `url` (`postgresql://…`)."""
    config = Config(str(_ROOT / "alembic.ini"))
    config.attributes["url"] = url
    return config


def migrate(url: str) -> None:
    """Run every migration the database at `url` has not seen. Safe to call from several processes at once."""
    command.upgrade(alembic_config(url), "head")


def with_database(url: str, name: str) -> str:
    """`url` with its database replaced: `postgresql://user:password@/NAME?host=…`."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def newest_revision() -> str | None:
    """The revision `migrate` brings a database to."""
    return ScriptDirectory.from_config(alembic_config("")).get_current_head()
