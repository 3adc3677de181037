"""Versions that stand for accounts of which a store says nothing."""

from typing import Final

from balancekit.stores.base import Change

_UNKNOWN: Final = "unknown "


class UnknownVersions:
    """The version that stands for each account since the store last said something of it.

    Another one each time, so that no flight is joined that was begun before: other processes may invalidate what they
    see in between.
    """

    def __init__(self) -> None:
        self._versions: dict[str, str] = {}
        self._count = 0

    def version_of(self, key: str) -> str:
        """Return the version of an account from now until the store says something of it."""
        version = self._versions.get(key)
        if version is None:
            self._count += 1
            version = self._versions[key] = f"{_UNKNOWN}{self._count}"
        return version

    def forget(self, *keys: str) -> None:
        """Note that the store has said something of accounts, or that they may have changed."""
        for key in self._versions.keys() & keys:
            del self._versions[key]

    def forget_all(self) -> None:
        """Note that anything may have happened to any account."""
        self._versions.clear()

    def on_change(self, change: Change) -> None:
        """Note a change that the store has reported."""
        if change.key is None:
            self.forget_all()
        elif change.invalidated:
            self.forget(change.key)


def is_known(version: str) -> bool:
    """Return whether a version is a store's own."""
    return not version.startswith(_UNKNOWN)
