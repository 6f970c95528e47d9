"""Who did it, for every journal. It knows nothing of sign-in: `app` decides who somebody is."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["staff", "token", "system", "customer"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that acts; written to journals as `kind:name`."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


SYSTEM = Actor("system", "stormdesk")
