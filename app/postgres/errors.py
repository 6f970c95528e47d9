"""The one error of this package, and how much of what PostgreSQL said goes into it.

It knows nothing of what can go wrong: each message is written where it does.
"""


class PostgresUnavailable(Exception):
    """The embedded server cannot be used. The message says what happened and what to do about it."""


def last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-15:])
