"""What decoded JSON is made of, and what to call it in a message."""

from typing import Final


class NumberText(str):
    """A JSON number that `int` and `str` cannot hold as it was sent: its digits, never a float."""

    __slots__ = ()


_NAMES: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    NumberText: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def describe(value: object) -> str:
    """Name the JSON type of a decoded value, for error messages: the value itself may be anything."""
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)
