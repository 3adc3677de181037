"""From decoded JSON to instances of attrs classes; what does not fit is named by its path."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_origin

import attrs

from balancekit.money.exact_json import ShapeError, json_type_name

if TYPE_CHECKING:
    import cattrs

_Shape = TypeVar("_Shape")
_Hook = Callable[[Any, Any], Any]
Reader = Callable[[Any], Any]
"""Turns one decoded value into what a field holds; raises ValueError or TypeError, saying what is wrong with it."""


class _ItemError(Exception):
    """One item of a list does not fit, for the reason that is its cause."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Structurer:
    """Checks decoded JSON against attrs classes; `readers` say how a field of a type is read.

    Fields of other attrs classes, lists, tuples and optional fields need no reader. Unknown fields are ignored. A list
    or tuple of more than `most_items` is refused.
    """

    def __init__(self, readers: Mapping[Any, Reader], *, most_items: float = math.inf) -> None:
        self._fast = _make_converter(readers, most_items, detailed=False)
        self._detailed = _make_converter(readers, most_items, detailed=True)

    def structure(self, data: object, shape: type[_Shape]) -> _Shape:
        """Return an instance of the class.

        Raises ShapeError with the path of the first datum that does not fit, for example `data[3].balance: missing`.
        """
        try:
            return self._fast.structure(data, shape)
        except Exception:  # noqa: BLE001, S110 - whatever it is, the second reading says where
            pass
        # Keeping track of names costs most of the time of a reading, and only data that does not fit needs it.
        try:
            return self._detailed.structure(data, shape)
        except Exception as error:  # noqa: BLE001 - named by its path below
            path, reason = _first_misfit(error)
        raise ShapeError(f"{path}: {reason}" if path else reason)


def _make_converter(readers: Mapping[Any, Reader], most_items: float, *, detailed: bool) -> "cattrs.Converter":
    # Imported here, since a program whose answers are all well-formed never needs it.
    import cattrs
    from cattrs.gen import make_dict_structure_fn

    converter = cattrs.Converter(detailed_validation=detailed)

    def list_hook(kind: Any) -> _Hook:  # noqa: ANN401 - a type form, such as list[X]
        return _list_hook(converter, kind, most_items)

    def object_hook(kind: type[Any]) -> _Hook:
        return _object_hook(make_dict_structure_fn(kind, converter))

    converter.register_structure_hook_factory(_is_list, list_hook)
    converter.register_structure_hook_factory(attrs.has, object_hook)
    for kind, reader in readers.items():
        converter.register_structure_hook(kind, _value_hook(reader))
    return converter


def _is_list(kind: Any) -> bool:  # noqa: ANN401 - a type form, such as list[X]
    origin: object = get_origin(kind)
    return origin is list or origin is tuple


def _value_hook(reader: Reader) -> _Hook:
    return lambda value, _: reader(value)


def _object_hook(read: _Hook) -> _Hook:
    def hook(value: object, kind: object) -> object:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {json_type_name(value)}")
        return read(value, kind)

    return hook


def _list_hook(
    converter: "cattrs.Converter",
    kind: Any,  # noqa: ANN401 - a type form, such as list[X]
    most_items: float,
) -> _Hook:
    item_kind = get_args(kind)[0]
    read = converter.get_structure_hook(item_kind)
    frozen = get_origin(kind) is tuple

    # cattrs' own would read an object's keys, or a string's letters, as a list, so that `{"data": {}}` would be an
    # account that holds nothing; and it would collect the misfits of a million items where the first is enough.
    def hook(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, got {json_type_name(value)}")
        listed = cast("list[object]", value)
        if len(listed) > most_items:
            raise ValueError(f"more than {most_items} entries")
        items: list[object] = []
        for index, item in enumerate(listed):
            try:
                items.append(read(item, item_kind))
            except Exception as error:
                raise _ItemError(index) from error
        return tuple(items) if frozen else items

    return hook


def _first_misfit(error: BaseException) -> tuple[str, str]:
    from cattrs import ClassValidationError

    path = ""
    while True:
        match error:
            case _ItemError(__cause__=BaseException() as cause):
                path += f"[{error.index}]"
                error = cause
            case ClassValidationError():
                named, plain = error.group_exceptions()
                if not named:
                    # Every field fits, but the class itself refuses them together.
                    return path.lstrip("."), str(plain[0])
                error, note = named[0]
                path += f".{note.name}"
            case KeyError():
                return path.lstrip("."), "missing"
            case _:
                return path.lstrip("."), str(error)
