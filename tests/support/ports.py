"""Ports for what a test starts: one that is free, and a wait until somebody listens there."""

import asyncio
import socket
import time


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def wait_until_open(port: int, *, seconds: float = 20) -> None:
    """Return once somebody listens on `port`. For a server in another process; see `until_open` for one in ours."""
    deadline = time.monotonic() + seconds
    while not _is_open(port):
        assert time.monotonic() < deadline, f"nobody listens on port {port}"
        time.sleep(0.01)


async def until_open(port: int) -> None:
    """As `wait_until_open`, while this process goes on."""
    await asyncio.to_thread(wait_until_open, port)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
