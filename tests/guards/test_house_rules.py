"""Style, types and import arrows are tests like any other, so that `make test` is the one command to trust."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent


def passes(tool: str, *arguments: str) -> None:
    """Run `tool` of our environment at the root; its own words are the failure."""
    done = subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{tool} {' '.join(arguments)}\n{done.stdout}{done.stderr}", pytrace=False)


def test_the_code_keeps_to_the_rules_of_ruff() -> None:
    passes("ruff", "check", ".")


def test_the_code_has_the_house_format() -> None:
    passes("ruff", "format", "--check", ".")


@pytest.mark.timeout(600)
def test_every_type_fits() -> None:
    passes("mypy")


def test_imports_follow_the_arrow() -> None:
    passes("lint-imports")
