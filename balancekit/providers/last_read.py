"""The balances that were read last, for a response that is the same again: those of most accounts seldom change."""

from collections.abc import Sequence

import attrs

from balancekit.money.balances import Balance


@attrs.frozen
class LastRead:
    """The balances that a body was read into; the body itself, which may be of megabytes, is not kept.

    Its hash is one of 64 bits whose key is another one in each process: of 10^19 bodies that differ from the last by
    chance, one would be taken for it.
    """

    _hash: int | None = None
    _balances: Sequence[Balance] = ()

    @classmethod
    def of(cls, body: bytes, balances: Sequence[Balance]) -> "LastRead":
        """Keep what a body was read into."""
        return cls(hash(body), balances)

    def balances_in(self, body: bytes) -> Sequence[Balance] | None:
        """Return the balances if the body is the same, to the byte; None otherwise."""
        return self._balances if hash(body) == self._hash else None
