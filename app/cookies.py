"""The cookies we set, and nobody else sees: a session's, a visitor's (before sign-in), a known device's.

Named `__Host-…` and Secure, so that no other host and no plain connection can set or read them. Only where the desk is
opened on this very machine over plain http (`stormdesk up` and `demo` before there is a certificate) they have a plain
name and no Secure: some browsers keep no Secure cookie from there, and nothing goes over a wire.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.responses import Response

_YEAR = 365 * 24 * 3600


class Cookies:
    """`desk_url`: the address at which people open the desk."""

    def __init__(self, desk_url: str) -> None:
        parts = urlsplit(desk_url)
        self.secure = not (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        prefix = "__Host-" if self.secure else ""
        self._session = f"{prefix}stormdesk-session"
        self._visitor = f"{prefix}stormdesk-visitor"
        self._device = f"{prefix}stormdesk-device"
        self._journey = f"{prefix}stormdesk-journey"
        self._proof = f"{prefix}stormdesk-proof"

    @property
    def session_name(self) -> str:
        """What the session's cookie is called."""
        return self._session

    def session(self, sent: Mapping[str, str]) -> str:
        """The session's token; empty when there is none."""
        return sent.get(self._session, "")

    @property
    def proof_name(self) -> str:
        """What the cookie with the proof is called (`app.proof`)."""
        return self._proof

    def proof(self, sent: Mapping[str, str]) -> str:
        """The proof that they have just shown who they are; empty when there is none."""
        return sent.get(self._proof, "")

    def set_proof(self, response: Response, value: str, seconds: int) -> None:
        """They have just shown who they are."""
        self._set(response, self._proof, value, seconds)

    def visitor(self, sent: Mapping[str, str]) -> str:
        """What the sign-in form is bound to; empty when there is none."""
        return sent.get(self._visitor, "")

    def device(self, sent: Mapping[str, str]) -> str:
        """The proof that this browser signed in before; empty when there is none."""
        return sent.get(self._device, "")

    def journey(self, sent: Mapping[str, str]) -> str:
        """What we must remember while somebody is at their identity provider; empty when there is nothing."""
        return sent.get(self._journey, "")

    def set_journey(self, response: Response, value: str, seconds: int) -> None:
        """Somebody goes to their identity provider."""
        self._set(response, self._journey, value, seconds)

    def end_journey(self, response: Response) -> None:
        """They are back."""
        self._drop(response, self._journey)

    def begin_session(self, response: Response, token: str, device: str) -> None:
        """Signed in: the session lasts until the browser closes (and ends here sooner), the device is known a year.

        `device` may be empty: who comes through a provider types no password here.
        """
        self._set(response, self._session, token, None)
        if device:
            self._set(response, self._device, device, _YEAR)
        self._drop(response, self._visitor)

    def end_session(self, response: Response) -> None:
        """Signed out."""
        self._drop(response, self._session)
        self._drop(response, self._proof)

    def set_visitor(self, response: Response, value: str) -> None:
        """A visitor whose sign-in form we shall recognise."""
        self._set(response, self._visitor, value, None)

    def _set(self, response: Response, name: str, value: str, age: int | None) -> None:
        # Lax, not Strict: a link to the console in a chat message must find its reader signed in, and so must the way
        # back from an identity provider. Changes need more than the cookie (`app.forms`).
        response.set_cookie(name, value, max_age=age, path="/", secure=self.secure, httponly=True, samesite="lax")

    def _drop(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


def is_loopback(host: str) -> bool:
    """Whether only this machine can open `host`."""
    return host in ("localhost", "127.0.0.1", "::1")
