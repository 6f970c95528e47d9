"""The settings of the embedded PostgreSQL: sized for the machine, and never at the price of a commit."""

import pytest

from app.postgres.tuning import settings_text, tuned

MIB = 1 << 20


@pytest.mark.parametrize(
    ("memory", "shared_buffers", "work_mem"),
    [(128 * MIB, "32MB", "4MB"), (2048 * MIB, "512MB", "4MB"), (65536 * MIB, "1024MB", "32MB")],
)
def test_memory_is_shared_with_our_own_processes(memory: int, shared_buffers: str, work_mem: str) -> None:
    settings = tuned(memory)
    assert settings["shared_buffers"] == shared_buffers
    assert settings["work_mem"] == work_mem


def test_no_safeguard_is_given_up_for_speed() -> None:
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & set(tuned(2048 * MIB))


def test_a_value_stays_one_value_on_one_line() -> None:
    comment, line = settings_text({"log_line_prefix": "it's \\ \n%p"}).splitlines()
    assert comment.startswith("#")
    assert line == "log_line_prefix = 'it''s \\\\ \\n%p'"
