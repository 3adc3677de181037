"""Forgetting what is over, a little at a time, so that what comes and goes does not fill the memory."""

from collections.abc import Callable
from itertools import islice
from typing import TypeVar

_KeyT = TypeVar("_KeyT")
_EntryT = TypeVar("_EntryT")


def forget_some(entries: dict[_KeyT, _EntryT], is_over: Callable[[_EntryT], bool]) -> None:
    """Look at the two entries that were not looked at for longest, and drop those that are over.

    Called for each entry that is added, it keeps about as many that are over as there are others, in constant time.
    """
    for key in list(islice(entries, 2)):
        entry = entries.pop(key)
        if not is_over(entry):
            entries[key] = entry
