"""The JSON Schema of results, and how pydantic reads and writes them: FastAPI takes a result as a response model.

Nothing of pydantic is imported: it asks a class by name, and its schemas are plain dicts.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

_PATH: Final = "schemas/balances.schema.json"
_REFERENCE: Final = "#/$defs/"

_Result = TypeVar("_Result")


def read_schema() -> dict[str, Any]:
    """Return the JSON Schema of the format of results."""
    # Most programs never ask for it, and it imports twenty modules.
    from importlib import resources

    return cast("dict[str, Any]", json.loads(resources.files("balancekit").joinpath(_PATH).read_text("utf-8")))


def read_inline_schema() -> dict[str, Any]:
    """Return the same without references, since those lead elsewhere within a description of an API."""
    schema = read_schema()
    definitions = schema.pop("$defs")
    for name in ("$schema", "$id"):
        del schema[name]
    return cast("dict[str, Any]", _inline(schema, definitions))


def pydantic_schema(
    kind: type[_Result], read: Callable[[Mapping[str, Any]], _Result], write: Callable[[_Result], dict[str, Any]]
) -> dict[str, Any]:
    """Return the schema by which pydantic reads and writes values of a class."""

    def validate(value: object) -> _Result:
        # `read` raises ValueError for what is no result, whatever that is.
        return value if isinstance(value, kind) else read(cast("Mapping[str, Any]", value))

    written = {"type": "function-plain", "function": write, "when_used": "json"}
    return {"type": "function-plain", "function": {"type": "no-info", "function": validate}, "serialization": written}


def _inline(node: object, definitions: Mapping[str, object]) -> object:
    match node:
        case {"$ref": str(reference)}:
            return _inline(definitions[reference.removeprefix(_REFERENCE)], definitions)
        case dict():
            fields = cast("dict[str, object]", node)
            return {name: _inline(value, definitions) for name, value in fields.items()}
        case list():
            return [_inline(value, definitions) for value in cast("list[object]", node)]
        case _:
            return node
