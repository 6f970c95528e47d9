"""Answers of the staff API, and who asks. For the pages of this package, and the desk's and the API's in `app`."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from foundation.actors import Actor


def actor_of(request: Request) -> Actor:
    """Who asks; the door has let them in."""
    actor = request.user.actor
    assert isinstance(actor, Actor)
    return actor


def json_response(value: Any, status: int = 200, *, location: str | None = None) -> Response:
    """`value` as JSON that nobody keeps."""
    headers = {"Cache-Control": "no-store", **({} if location is None else {"Location": location})}
    return Response(msgspec.json.encode(value), status, headers=headers, media_type="application/json")
