"""Ports for what a bench starts: one that is free, and a wait until somebody listens there. Measures nothing."""

import socket
import time

HOST = "127.0.0.1"


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server((HOST, 0)) as found:
        port: int = found.getsockname()[1]
        return port


def wait_until_open(port: int, *, seconds: float = 60) -> None:
    """Return once somebody listens on `port`; OSError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
