"""The commands as they are typed: their faults are one clear sentence, and they load only what they run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from app.tables import api_tokens
from foundation.database import Database

NOBODY = "postgresql://nobody@127.0.0.1:9/nothing"


def stormdesk(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORMDESK_")}
    named = {f"STORMDESK_{name}": value for name, value in {"DATA_DIR": str(folder), **settings}.items()}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**environment, **named},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_token_is_made_once_and_revoked(database: Database, database_url: str, tmp_path: Path) -> None:
    made = stormdesk(tmp_path, "token", "create", "ops", DATABASE_URL=database_url)
    assert (made.returncode, made.stdout[:3]) == (0, "sd_")
    again = stormdesk(tmp_path, "token", "create", "ops", DATABASE_URL=database_url)
    assert (again.returncode, again.stdout) == (1, "")
    assert "a token called ops. Choose another name" in again.stderr
    assert "Traceback" not in again.stderr

    assert stormdesk(tmp_path, "token", "revoke", "ops", DATABASE_URL=database_url).returncode == 0
    async with database.transaction() as tx:
        revoked = (await tx.execute(select(api_tokens.c.revoked_at))).scalar_one()
    assert revoked is not None
    unknown = stormdesk(tmp_path, "token", "revoke", "opps", DATABASE_URL=database_url)
    assert (unknown.returncode, unknown.stderr.strip()) == (1, "There is no token called opps.")


@pytest.mark.parametrize(
    "command",
    [("migrate",), ("token", "create", "ops"), ("export", "cases"), ("import", "customers", __file__), ("up",)],
)
def test_an_unreachable_database_is_one_clear_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    refused = stormdesk(tmp_path, *command, DATABASE_URL=NOBODY)
    assert refused.returncode == 1
    assert "The database cannot be reached" in refused.stderr
    assert "STORMDESK_DATABASE_URL" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_up_makes_a_key_only_when_none_is_given(tmp_path: Path) -> None:
    stormdesk(tmp_path / "given", "up", DATABASE_URL=NOBODY, SECRET_KEY="k" * 32)
    assert not (tmp_path / "given/secret-key").exists()
    none_given = stormdesk(tmp_path / "none", "up", DATABASE_URL=NOBODY)
    assert (tmp_path / "none/secret-key").exists()
    assert "SECRET_KEY" not in none_given.stderr


def test_serving_loads_neither_the_demo_nor_the_benches() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import app.cli, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "app.web" in loaded
    assert not [name for name in loaded if name.startswith(("app.demo", "app.bench", "faker"))]
