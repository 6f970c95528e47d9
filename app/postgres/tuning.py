"""What we ask of PostgreSQL on a machine of this size, and how postgresql.conf spells it.

It knows nothing of folders, sockets or who may come in.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

MIB = 1 << 20


def tuned(memory: int) -> dict[str, str]:
    """Settings for a machine with this much memory (bytes), shared with our own processes. A commit stays a commit."""
    return {
        "shared_buffers": f"{min(max(memory // 4 // MIB, 32), 1024)}MB",
        "effective_cache_size": f"{max(memory // 2 // MIB, 64)}MB",
        "maintenance_work_mem": f"{min(max(memory // 32 // MIB, 16), 512)}MB",
        "work_mem": f"{min(max(memory // 512 // MIB, 4), 32)}MB",
        "max_connections": "100",
        "jit": "off",  # our statements are short: compiling them costs more than it saves
        "random_page_cost": "1.1",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        # The outbox rewrites its rows within minutes; dead ones must go as fast.
        "autovacuum_naptime": "5s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.02",
        "autovacuum_vacuum_insert_scale_factor": "0.1",
        "autovacuum_vacuum_cost_limit": "2000",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "cluster_name": "stormdesk",
    }


def machine_memory() -> int:
    """Bytes we may use: the machine's, or the container's when that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # absent, or the word "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)


def settings_text(settings: Mapping[str, str]) -> str:
    """The settings as postgresql.conf has them."""
    lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
    return "# Written by Stormdesk at each start of the server; changes here are lost.\n" + "".join(lines)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n") + "'"
