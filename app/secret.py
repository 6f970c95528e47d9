"""The signing key an installation on one machine makes for itself. It knows nothing of what is signed."""

import os
import secrets
from pathlib import Path


def own_secret(data_dir: Path) -> str:
    """The secret key kept in `data_dir/secret-key`, readable by the owner only; made on first use."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "secret-key"
    try:
        # O_EXCL: of two processes that start together one makes the key, and both use it.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))
    return path.read_text().strip()
