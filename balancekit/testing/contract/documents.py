"""JSON documents with every number as its text, and what becomes of them when one value is another."""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeAlias, cast

Path: TypeAlias = tuple[str | int, ...]

MISSING: Final = object()
"""In place of a value: leave out its key."""


class Token(str):
    """What stands in a document without quotes, such as a number."""

    __slots__ = ()


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Decode a document; ValueError if it is not JSON."""
    return json.loads(body, parse_float=Token, parse_int=Token, parse_constant=Token)


def write(value: object) -> bytes:
    """Encode a document."""
    return _text(value).encode()


def _text(value: object) -> str:
    if isinstance(value, Token):
        return value
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value).items()
        return f"{{{','.join(f'{json.dumps(key)}:{_text(held)}' for key, held in fields)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_text, cast('list[object]', value)))}]"
    return json.dumps(value)


def places(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Give the path and the value of everything in a document, of each list the last item alone."""
    yield path, value
    if isinstance(value, dict):
        for key, held in cast("dict[str, object]", value).items():
            yield from places(held, (*path, key))
    elif isinstance(value, list) and value:
        items = cast("list[object]", value)
        yield from places(items[-1], (*path, len(items) - 1))


def number_in(value: object) -> Decimal | None:
    """Return the number that a value is, or that it is the text of; None for any other."""
    if not isinstance(value, str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def replace(value: Any, path: Path, new: object) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Return a document with another value at a path, or without the key if that is `MISSING`."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    changed = value.copy()
    if not rest and new is MISSING:
        del changed[key]
    else:
        changed[key] = replace(value[key], rest, new)
    return changed


def with_field_twice(value: object, path: Path, new: object) -> bytes:
    """Return a document in which the object at a path has its key a second time, with another value."""
    mark = "\ue000mark"
    first = replace(value, path, mark)
    found = value
    for key in path:
        found = cast("Any", found)[key]
    key = json.dumps(path[-1])
    return _text(first).replace(json.dumps(mark), f"{_text(found)},{key}:{_text(new)}").encode()


def with_new_fields(value: object) -> object:
    """Return a document in which every object that has fixed keys has one more, which nobody knows."""
    if isinstance(value, dict):
        fields = {key: with_new_fields(held) for key, held in cast("dict[str, object]", value).items()}
        return {**fields, "balancekit_new_field": None}
    if isinstance(value, list):
        return [with_new_fields(item) for item in cast("list[object]", value)]
    return value
