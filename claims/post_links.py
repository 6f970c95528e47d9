"""The link in the answer to a public post: it names the post's contact, and nobody can make one. Pure.

Whoever opens it tells us who they are by themselves; the post, and its author's name, prove nothing.
"""

from claims.receipts import LENGTH
from foundation.tokens import BadToken, Tokens

_PURPOSE = "post"


def post_token(tokens: Tokens, receipt: str) -> str:
    """What stands in the link."""
    return tokens.sign(_PURPOSE, receipt.encode())


def read_post_token(tokens: Tokens, token: str) -> str | None:
    """The receipt of the post's contact; None when we did not make this."""
    try:
        receipt = tokens.read(_PURPOSE, token)
    except BadToken:
        return None
    return receipt.decode() if len(receipt) == LENGTH else None
