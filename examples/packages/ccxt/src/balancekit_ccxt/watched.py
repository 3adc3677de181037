"""Tables and documents that know how they were looked at."""

from collections.abc import Iterator
from typing import Any, TypeAlias


class WatchedDict(dict[Any, Any]):
    """A table, or an object of a document."""

    looked_at = False
    """Whether it was looked at in any way."""

    listed = False
    """Whether all that is in it was looked at."""

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401 - of any type
        self.looked_at = True
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.looked_at = True
        return super().__contains__(key)

    def __iter__(self) -> Iterator[Any]:
        self.looked_at = self.listed = True
        return super().__iter__()

    def get(self, key: object, default: object = None) -> Any:  # noqa: ANN401 - of any type
        """Return the value of a key, or else the default."""
        self.looked_at = True
        return super().get(key, default)

    def keys(self) -> Any:  # noqa: ANN401 - as those of a dict
        """Return the keys."""
        self.looked_at = self.listed = True
        return super().keys()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return super().__len__() == 0


class WatchedList(list[Any]):
    """A list of a document."""

    listed = False
    """Whether all that is in it was looked at."""

    def __len__(self) -> int:
        self.listed = True
        return super().__len__()

    def __iter__(self) -> Iterator[Any]:
        self.listed = True
        return super().__iter__()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return super().__len__() == 0


Watched: TypeAlias = WatchedDict | WatchedList


def watch(document: Any, watched: list[Watched]) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Return a copy of a document, of which every object and list is watched, and added to a list."""
    copied: Watched
    if isinstance(document, dict):
        copied = WatchedDict({key: watch(value, watched) for key, value in document.items()})
    elif isinstance(document, list):
        copied = WatchedList([watch(value, watched) for value in document])
    else:
        return document
    watched.append(copied)
    return copied
