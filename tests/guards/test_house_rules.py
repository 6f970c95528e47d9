"""Style, types and import arrows are tests like any other, so that `make test` is the one command to trust."""

import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
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


def comments() -> Iterator[tuple[str, str]]:
    """Every comment in our code, with its file and line."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if not (ROOT / name).exists():  # being moved
            continue
        with (ROOT / name).open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type == tokenize.COMMENT:
                    yield f"{name}:{token.start[0]}", token.string


def test_whoever_silences_a_check_says_why() -> None:
    silenced = re.compile(r"# (noqa|type: ignore)")
    with_reason = re.compile(r"# noqa: [A-Z0-9, ]+ \(.+\)|# type: ignore\[[a-z, -]+\]  # \S")
    bare = [place for place, comment in comments() if silenced.search(comment) and not with_reason.search(comment)]
    assert not bare, "give the reason: `# noqa: CODE (why)`, `# type: ignore[code]  # why`"


def test_imports_follow_the_arrow() -> None:
    passes("lint-imports")
