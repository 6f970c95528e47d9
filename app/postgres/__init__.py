"""One PostgreSQL of our own per data folder, shared by all our processes on this machine.

The front door: what others may use stands here. Nothing in this package knows what is kept in the database.
"""

from app.postgres.account import SYSTEM_FOLDER
from app.postgres.errors import PostgresUnavailable
from app.postgres.server import StopMode
from app.postgres.sharing import (
    application_url,
    embedded_postgres,
    remove_cluster,
    server_pid,
    start_server,
    stop_server,
)

__all__ = [
    "SYSTEM_FOLDER",
    "PostgresUnavailable",
    "StopMode",
    "application_url",
    "embedded_postgres",
    "remove_cluster",
    "server_pid",
    "start_server",
    "stop_server",
]
