"""The names and links of subscriptions: tokens that confirm and stop them, and the secret that signs for them. Pure."""

from foundation.tokens import BadToken, Tokens

# Topic of the message that asks whether somebody wants to follow; followed by their number.
CONFIRMATION_TOPIC = "follow:"
_CONFIRM, _STOP = "follow-confirm", "follow-stop"


def confirm_token(tokens: Tokens, request_id: int) -> str:
    """What only the owner of the address gets to see: proof that they read what we sent there."""
    return tokens.sign(_CONFIRM, request_id.to_bytes(8, "big"))


def read_confirm_token(tokens: Tokens, token: str) -> int | None:
    """The request behind a token of `confirm_token`; None when it is not one."""
    try:
        return int.from_bytes(tokens.read(_CONFIRM, token), "big")
    except BadToken:
        return None


def stop_token(tokens: Tokens, number: str) -> str:
    """With this whoever has it can end what the subscriber `number` follows, and nothing else."""
    return tokens.sign(_STOP, number.encode())


def read_stop_token(tokens: Tokens, token: str) -> str | None:
    """The subscriber's number behind a token of `stop_token`; None when it is not one."""
    try:
        return tokens.read(_STOP, token).decode()
    except (BadToken, UnicodeDecodeError):
        return None


def secret_purpose(number: str) -> tuple[str, str]:
    """The arguments of `Tokens.name` (and `names`) that make a subscriber's signing secret."""
    return "webhook-secret", number
