"""The balances that were read last, for a response that is the same again: those of most accounts seldom change."""

import weakref
from collections.abc import Sequence

import attrs

from balancekit.http.echoes import names_of
from balancekit.money.balances import AccountBalances, Balance


@attrs.frozen
class LastRead:
    """The balances that a body was read into; neither the body nor, once a snapshot has them, the balances are kept.

    The hash of the body has 64 bits, and a key that is another one in each process: of 10^19 bodies that differ from
    the last by chance, one would be taken for it.
    """

    _hash: int | None = None
    _balances: Sequence[Balance] = ()
    _snapshot: "weakref.ref[AccountBalances] | None" = None

    @classmethod
    def of(cls, body: bytes | None, balances: Sequence[Balance]) -> "LastRead":
        """Make it of the balances, and of the body that they were read from, if such a body would be read alike."""
        return cls(None if body is None else hash(body), balances)

    @property
    def names(self) -> list[str | None]:
        """The names of the balances, in which no credential was found; none once they are not kept."""
        return names_of(self._held or ())

    def balances_in(self, body: bytes) -> Sequence[Balance] | None:
        """Return the balances if the body is the same, to the byte, and they are still kept; None otherwise."""
        return self._held if hash(body) == self._hash else None

    def while_kept(self, snapshot: AccountBalances) -> "LastRead":
        """Return one that has the balances only as long as the snapshot is kept, if they are those of the snapshot."""
        return LastRead(self._hash, (), weakref.ref(snapshot)) if self._held is snapshot.balances else self

    def keep(self, adapter: object) -> None:
        """Have an adapter keep it; the adapter may be frozen."""
        vars(adapter)["_balancekit_last_read"] = self

    @property
    def _held(self) -> Sequence[Balance] | None:
        if self._snapshot is None:
            return self._balances
        snapshot = self._snapshot()
        return None if snapshot is None else snapshot.balances


def keep_no_longer_than(snapshot: AccountBalances, adapter: object) -> None:
    """Have an adapter keep the balances that it read last no longer than the snapshot made of them is kept."""
    last: LastRead | None = vars(adapter).get("_balancekit_last_read")
    if last is not None:
        last.while_kept(snapshot).keep(adapter)


def forget_last_read(adapter: object) -> None:
    """Have an adapter keep nothing of what it read last."""
    vars(adapter).pop("_balancekit_last_read", None)
