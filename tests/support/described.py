"""Holds answers of the API against its own document: status, media type, header fields and every field of the body.

Every client of `tests.support.web` does it with every answer, so a route is tried by whatever test asks it anything.
"""

import copy
import json
import re
from functools import lru_cache
from typing import Any

import httpx2
import jsonschema_rs

Json = dict[str, Any]
_REF = "#/components/schemas/"


class NotAsDescribed(AssertionError):
    """An answer is not what the document says; the message says where."""


class Described:
    """`document`, in which answers may hold nothing that is not described."""

    def __init__(self, document: Json) -> None:
        self.document = closed(document)
        self._paths = [
            (re.compile(re.sub(r"\{[^}]*\}", "[^/]+", re.escape(path).replace(r"\{", "{").replace(r"\}", "}"))), item)
            for path, item in sorted(self.document["paths"].items(), key=lambda one: "{" in one[0])
        ]
        self._validator = lru_cache(None)(self._make)

    def check(self, method: str, path: str, answer: httpx2.Response) -> None:
        """Raises `NotAsDescribed`."""
        if not path.startswith("/api/") or method in ("HEAD", "OPTIONS"):
            return
        item = next((item for pattern, item in self._paths if pattern.fullmatch(path)), None)
        said = None if item is None else item.get(method.lower())
        where = f"{method} {path} → {answer.status_code}"
        media = answer.headers.get("content-type", "").partition(";")[0]
        if said is None:
            if answer.status_code not in (404, 405, 413, 414, 429, 431) or media != "application/problem+json":
                raise NotAsDescribed(f"{where}, {media}: nobody says that there is such a call")
            return
        response = said["responses"].get(str(answer.status_code))
        if response is None:
            raise NotAsDescribed(f"{where}: its document knows {', '.join(said['responses'])}: {answer.text[:300]}")
        response = self._resolved(response)
        if not (content := response.get("content", {})):
            return
        if media not in content:
            raise NotAsDescribed(f"{where}: is {media}, not {', '.join(content)}")
        if missing := response.get("headers", {}).keys() - {name.title() for name in answer.headers}:
            raise NotAsDescribed(f"{where}: without {', '.join(missing)}")
        if not media.endswith("json") or media.endswith("ndjson"):
            return
        schema = content[media]["schema"]
        for error in self._validator(json.dumps(schema)).iter_errors(answer.json()):
            raise NotAsDescribed(f"{where}: {'/'.join(map(str, error.instance_path))}: {error.message[:500]}")

    def _resolved(self, response: Json) -> Json:
        if "$ref" not in response:
            return response
        found: Json = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        return found

    def _make(self, schema: str) -> Any:
        # By its text, for a dict has no hash.
        root = {**json.loads(schema), "components": {"schemas": self.document["components"]["schemas"]}}
        return jsonschema_rs.Draft202012Validator(root, validate_formats=True)


def closed(document: Json) -> Json:
    """The document with every object that only we send shut to fields it does not name, to notice those we forgot."""
    made = copy.deepcopy(document)
    schemas = made["components"]["schemas"]
    taken: set[str] = set()
    waiting = [
        name for item in made["paths"].values() for said in item.values() for name in _refs(said.get("requestBody"))
    ]
    while waiting:
        if (name := waiting.pop()) not in taken:
            taken.add(name)
            waiting += _refs(schemas[name])
    for name, schema in schemas.items():
        if name not in taken and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return made


def _refs(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"].removeprefix(_REF)] if isinstance(schema.get("$ref"), str) else []
        return own + [name for one in schema.values() for name in _refs(one)]
    if isinstance(schema, list):
        return [name for one in schema for name in _refs(one)]
    return []
