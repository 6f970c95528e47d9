"""The ids of incidents, updates and what else the public sees: the shape of Statuspage's, and not to be guessed."""

import secrets
import string

_ALPHABET = string.ascii_lowercase + string.digits


def new_id() -> str:
    """Twelve random lower-case letters and digits: an address of something unpublished cannot be guessed."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))
