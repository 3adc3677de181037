"""What a fork leaves to a store in the child: nothing that works, or ends, in the parent alone."""

import os
from typing import Final, Protocol
from weakref import WeakSet


class _Forked(Protocol):
    def leave_parent(self) -> object:
        """Forget, in a child process, what is the parent's; returns what must not be released there."""
        ...


_stores: Final[WeakSet[_Forked]] = WeakSet()

_inherited: Final[list[object]] = []
"""What is never released here: closing the copy of a connection, or of a loop, would end the parent's as well."""


def part_at_fork(store: _Forked) -> None:
    """Have a store leave its parent in each child that is forked while it exists."""
    _stores.add(store)


def _leave_parent() -> None:
    _inherited.extend([store.leave_parent() for store in _stores])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_parent)
