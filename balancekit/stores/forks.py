"""Stores after a fork: the child forgets what works, or ends, only in its parent."""

import os
from typing import Final, Protocol
from weakref import WeakSet


class _Forked(Protocol):
    def forget_parent(self) -> object:
        """Forget, in a child process, what is the parent's; returns what must not be released there."""
        ...


_stores: Final[WeakSet[_Forked]] = WeakSet()

_inherited: Final[list[object]] = []
"""Kept so that nothing is closed in the child: connections and event loops share file descriptors with the parent's."""


def forget_parent_after_fork(store: _Forked) -> None:
    """Have a store forget its parent in each child that is forked while it exists."""
    _stores.add(store)


def _forget_parent() -> None:
    _inherited.extend([store.forget_parent() for store in _stores])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
