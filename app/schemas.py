"""Types as JSON Schema, named once and referred to: msgspec describes them, and what it leaves open is added.

What we answer is always whole and its times carry their zone; msgspec says so only of what we would read.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

Json = dict[str, Any]
_REF = "#/components/schemas/"


class Schemas:
    """The schemas of a document. Add every type first, then `make`, then ask."""

    def __init__(self) -> None:
        self._kinds: dict[Any, bool] = {}
        self._made: dict[Any, Json] = {}
        self.components: dict[str, Json] = {}

    def add(self, kind: Any) -> None:
        """A type of something that is sent to us."""
        self._kinds[kind] = False

    def add_answer(self, kind: Any) -> None:
        """A type of something that we answer."""
        self._kinds.setdefault(kind, True)

    def make(self) -> None:
        """Describe them all."""
        kinds = list(self._kinds)
        found, components = msgspec.json.schema_components(kinds, ref_template=_REF + "{name}")
        self._made = dict(zip(kinds, found, strict=True))
        self.components = dict(sorted(components.items()))
        for one in self.components.values():
            if "description" in one:
                one["description"] = " ".join(one["description"].split())
        taken = {name for kind, answer in self._kinds.items() if not answer for name in self._reached(self._made[kind])}
        infos = dict(_named(inspect.multi_type_info(kinds)))
        for name, schema in self.components.items():
            if name not in taken and name in infos:
                _complete(schema, infos[name])

    def of(self, kind: Any) -> Json:
        """The schema of a type: a reference, where it has a name."""
        return self._made[kind]

    def _reached(self, schema: Any, seen: frozenset[str] = frozenset()) -> set[str]:
        """The names of every component that `schema` leads to."""
        found: set[str] = set()
        for ref in _refs(schema):
            if ref not in seen:
                found |= {ref, *self._reached(self.components[ref], seen | {ref})}
        return found


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(ref := schema.get("$ref"), str):
            yield ref.removeprefix(_REF)
        for one in schema.values():
            yield from _refs(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _refs(one)


def _named(found: Any, seen: set[str] | None = None) -> Iterator[tuple[str, Any]]:
    """Every type with fields that `found` (what msgspec says of types) leads to, by its name."""
    seen = set() if seen is None else seen
    if isinstance(found, list | tuple):
        for one in found:
            yield from _named(one, seen)
    elif isinstance(found, inspect.Field):
        yield from _named(found.type, seen)
    elif isinstance(found, inspect.Type):
        if (cls := getattr(found, "cls", None)) is not None and hasattr(found, "fields"):
            if cls.__name__ in seen:
                return
            seen.add(cls.__name__)
            yield cls.__name__, found
        for name in found.__struct_fields__:
            yield from _named(getattr(found, name), seen)


def _complete(schema: Json, found: Any) -> None:
    """Say of an answer that every field is there, and which are times."""
    omits = getattr(getattr(found.cls, "__struct_config__", None), "omit_defaults", False)
    for field in found.fields:
        described = schema["properties"][field.encode_name]
        described.pop("default", None)
        if isinstance(field.type, inspect.DateTimeType) and described.get("type") == "string":
            described["format"] = "date-time"
        if isinstance(field.type, inspect.UnionType):
            for one in described.get("anyOf", []):
                is_time = any(isinstance(kind, inspect.DateTimeType) for kind in field.type.types)
                if is_time and one.get("type") == "string":
                    one["format"] = "date-time"
    schema["required"] = [one.encode_name for one in found.fields if one.required or (_has_default(one) and not omits)]


def _has_default(field: inspect.Field) -> bool:
    # One whose default is UNSET has none here: it is left out of the answer.
    return field.default is not msgspec.NODEFAULT or field.default_factory is not msgspec.NODEFAULT
