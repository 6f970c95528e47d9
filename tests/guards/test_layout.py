"""What reviewers would keep repeating about where things stand."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")


def test_the_foundation_is_a_closed_list() -> None:
    """What is shared but belongs to somebody drifts here until everything depends on everything."""
    assert {path.name for path in (ROOT / "foundation").glob("*.py")} == {
        *("__init__.py", "access.py", "actors.py", "calls.py", "clock.py", "database.py", "errors.py"),
        *("languages.py", "tokens.py"),
    }


def test_the_folder_of_migrations_is_no_package() -> None:
    """With an `__init__.py` it shadows the library of that name, and no migration runs."""
    assert not (ROOT / "alembic/__init__.py").exists()


@pytest.mark.parametrize("package", ["app", "incidents", "claims", "notify", "metrics", "foundation"])
def test_no_module_is_named_for_nothing(package: str) -> None:
    """In a module of such a name nothing is ever out of place, so it grows."""
    vague = {"utils", "common", "helpers", "core", "shared", "misc", "service", "models", "types"}
    assert not {path.stem for path in (ROOT / package).rglob("*.py")} & vague


@pytest.mark.parametrize("path", sorted((ROOT / "metrics").glob("*.py")), ids=lambda path: path.name)
def test_metrics_names_no_relation_outside_facts(path: Path) -> None:
    """Figures come from the views that packages publish; a query on their tables would break with every change."""
    if path.name == "facts.py":
        return
    tree = ast.parse(path.read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    assert not imported & {"text", "table", "Table", "TextClause", "MetaData", "metadata"}
    for written in _texts(tree):
        assert not re.search(r"\b(FROM|JOIN|INTO|UPDATE|TABLE)\s+\w|\w_facts\b", written), written


def _texts(tree: ast.Module) -> Iterator[str]:
    """Every string of a module that is not a docstring."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_host(lock: str) -> None:
    """Where packages come from is the installer's choice; a lock that names a registry works only in reach of it."""
    content = (ROOT / lock).read_text()
    assert "://" not in content
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links|--trusted-host)\b", content, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_has_one_version_and_a_hash(lock: str) -> None:
    content = re.sub(r"\\\n", " ", (ROOT / lock).read_text())
    lines = [line for line in content.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 20
    for line in lines:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+", line), line
        assert "--hash=sha256:" in line, line


@pytest.mark.parametrize(("wanted", "lock"), [("requirements.in", LOCKS[0]), ("requirements-dev.in", LOCKS[1])])
def test_everything_asked_for_is_locked(wanted: str, lock: str) -> None:
    locked = {name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)", (ROOT / lock).read_text(), re.MULTILINE)}
    asked = re.findall(r"^([A-Za-z0-9._-]+)", (ROOT / wanted).read_text(), re.MULTILINE)
    assert {name.lower() for name in asked if not name.startswith("-")} <= locked


def test_every_decision_has_a_number_of_its_own_and_says_it() -> None:
    """References name the number; two of one number are what branches beside each other bring."""
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in files]
    assert len(numbers) == len(set(numbers))
    for number, path in zip(numbers, files, strict=True):
        assert path.read_text().startswith(f"# {number}. "), path.name
