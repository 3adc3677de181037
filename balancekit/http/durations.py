"""Numbers that a program sets, most of them seconds, checked alike wherever they are set."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from balancekit.errors import ConfigError
from balancekit.money.exact_json import json_type_name

if TYPE_CHECKING:
    import attrs

LONGEST: Final = 10**9
"""How many seconds a duration may last: thirty years, which is less than Redis can count."""


def positive_seconds(name: str, value: object) -> float:
    """Return a duration above zero, of at most `LONGEST` seconds; raises ConfigError for anything else."""
    if is_number(value) and 0 < value <= LONGEST:
        return float(value)
    limit = f" and at most {LONGEST:_}" if is_number(value) and value > LONGEST else ""
    raise ConfigError(f"{name}: expected seconds above zero{limit}, got {shown(value)}")


def age(name: str, value: object) -> float:
    """Return seconds that may be zero or infinite; raises ConfigError for anything else."""
    if is_number(value) and value >= 0:
        return float(value)
    raise ConfigError(f"{name}: expected seconds, zero or more, got {shown(value)}")


def positive_int(name: str, value: object, *, most: int = sys.maxsize) -> int:
    """Return a count of at most so many; raises ConfigError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ConfigError(f"{name}: expected a whole number above zero, got {shown(value)}")
    if value > most:
        raise ConfigError(f"{name}: expected at most {most}, got {shown(value)}")
    return value


def checked_by(check: Callable[[str, object], object]) -> Callable[[object, "attrs.Attribute[Any]", object], None]:
    """Return what validates an attribute of an attrs class by one of these checks."""

    def validate(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        check(attribute.name, value)

    return validate


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a float, or a whole number that is not larger than any float; a bool is none."""
    is_int = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return is_int or isinstance(value, float)


def shown(value: object) -> str:
    """Return a number as it is, and of anything else its type: a setting may have been given a secret by mistake."""
    if type(value) in {bool, float} or is_number(value):
        return repr(value)
    return "a number that is too large" if isinstance(value, int) else json_type_name(value)
