"""Context variables of this package: what they hold is of one request, so that the next may begin with it."""

from contextvars import ContextVar
from typing import Any, Final, TypeVar

_Value = TypeVar("_Value")

OWN_VARIABLES: Final[set[ContextVar[Any]]] = set()
"""All that were made here. A name proves nothing: an adapter may give its own any name."""


def own_variable(name: str, default: _Value) -> ContextVar[_Value]:
    """Make a context variable of this package."""
    variable = ContextVar(name, default=default)
    OWN_VARIABLES.add(variable)
    return variable
