"""Numbers of seconds that a program sets, checked alike wherever they are set."""

import math
import sys
from typing import TypeGuard

from balancekit.errors import ConfigError
from balancekit.money.exact_json import json_type_name


def positive_seconds(name: str, value: object, *, most: float = math.inf) -> float:
    """Return a finite duration above zero, of at most so many seconds; raises ConfigError for anything else."""
    if is_number(value) and 0 < value < math.inf and value <= most:
        return float(value)
    limit = "" if most == math.inf else f" and at most {most:_.0f}"
    raise ConfigError(f"{name}: expected seconds above zero{limit}, got {shown(value)}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a float, or a whole number that is not larger than any float; a bool is none."""
    is_int = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return is_int or isinstance(value, float)


def shown(value: object) -> str:
    """Return a number as it is, and of anything else its type: a setting may have been given a secret by mistake."""
    return repr(value) if type(value) in {bool, float} or is_number(value) else json_type_name(value)
