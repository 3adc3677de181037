"""The context variables of this package: what one request leaves in them does not matter to the next."""

from contextvars import ContextVar
from typing import Any, Final, TypeVar

_Value = TypeVar("_Value")

OWN_VARIABLES: Final[set[ContextVar[Any]]] = set()
"""All that `own_variable` has made. They are not known by name: an adapter may choose the same one."""


def own_variable(name: str, default: _Value) -> ContextVar[_Value]:
    """Make a context variable of this package."""
    variable = ContextVar(name, default=default)
    OWN_VARIABLES.add(variable)
    return variable
