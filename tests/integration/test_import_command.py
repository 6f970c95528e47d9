"""The terminal side of the import: the rejects file, the list of reasons, and when it fails."""

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import text

from app.imports import import_customers_file
from foundation.database import Database
from foundation.errors import Invalid
from tests.support.customer_files import HEADER, a_file, a_line


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_rejected_lines_can_be_mended_in_their_file_and_imported(
    database: Database, tmp_path: Path, console: Console
) -> None:
    path, rejects = tmp_path / "customers.csv", tmp_path / "customers.rejects.csv"
    latin = a_line(customer_number="C3", name="Zoë").encode("latin-1")
    path.write_bytes(a_file(a_line(), a_line(customer_number="C2", email="nope"), latin, end="\r\n"))
    result = await import_customers_file(database, path, console)
    assert (result.rows, result.rejected) == (1, 2)
    assert "line 3: email: This is not a mail address" in said(console)
    assert "line 4: not UTF-8" in said(console)

    header, second, third = rejects.read_bytes().splitlines()
    assert header == f"rejected_line,rejected_because,{HEADER}".encode()
    assert second.startswith(b'3,"email: This is not a mail address')
    assert third.endswith(latin)
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600

    mended = rejects.read_bytes().decode("latin-1").replace("nope", "yes@example.org")
    rejects.write_text(mended, encoding="utf-8")
    again = await import_customers_file(database, rejects, console)
    assert (again.rows, again.rejected, again.customers_new) == (2, 0, 2)
    assert again.ignored_columns == ("rejected_line", "rejected_because")


async def test_a_good_import_leaves_no_rejects_file(database: Database, tmp_path: Path, console: Console) -> None:
    path, rejects = tmp_path / "customers.csv", tmp_path / "customers.rejects.csv"
    rejects.write_text("from last week")
    path.write_bytes(a_file(a_line()))
    await import_customers_file(database, path, console)
    assert not rejects.exists()
    assert "Rows loaded: 1, in" in said(console)


async def test_many_bad_lines_are_summed_up_by_reason(database: Database, tmp_path: Path, console: Console) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(a_file(a_line(), *[a_line(language="??")] * 30))
    await import_customers_file(database, path, console)
    assert "30 × language must be a code of ISO 639" in said(console)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (a_file(), "no lines after the first"),
        (a_file("x", "y"), "none of its lines could be used"),
        (b"PK\x03\x04", "Save it as CSV"),
        (None, "No such file"),
    ],
)
async def test_an_import_that_loads_nothing_fails(
    content: bytes | None, reason: str, database: Database, tmp_path: Path, console: Console
) -> None:
    path = tmp_path / "customers.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Invalid, match=reason):
        await import_customers_file(database, path, console)
    async with database.transaction() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM customers"))).scalar_one() == 0


@pytest.mark.parametrize(("content", "code"), [(a_file(a_line(), "bad"), 0), (a_file("bad"), 1), (b"PK\x03\x04", 1)])
def test_the_command_fails_only_when_nothing_was_loaded(
    content: bytes, code: int, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "import", "customers", str(path)],
        env={**os.environ, "STORMDESK_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
