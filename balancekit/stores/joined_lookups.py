"""Lookups of accounts that are asked for at the same time, joined into few calls of a store."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from balancekit.stores.base import Stored

_Lookup: TypeAlias = tuple[Sequence[str], asyncio.Future[Sequence[Stored]]]

_BATCH_SIZE: Final = 100
"""How many accounts one call looks up: parsing many snapshots takes a while, in which nothing else is done."""

AT_ONCE: Final = 10 * _BATCH_SIZE
"""How many accounts are looked up at once: one call after another would wait for a distant store each time."""


class JoinedLookups:
    """Looks accounts up together; those that come while a call is under way are looked up by the next.

    `look_up` returns what is known of a batch of accounts, by key, and `unknown` what stands for an account
    of which nothing is known. `start` runs a coroutine in a task.
    """

    def __init__(
        self,
        look_up: Callable[[list[str]], Awaitable[Mapping[str, Stored]]],
        unknown: Callable[[str], Stored],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._look_up_batch = look_up
        self._unknown = unknown
        self._start = start
        self._waiting: list[_Lookup] = []
        self._unanswered: dict[object, _Lookup] = {}
        self._under_way, self._stopped = False, False

    async def get(self, keys: Sequence[str]) -> Sequence[Stored]:
        """Return what is known of each account."""
        if self._stopped:
            return [*map(self._unknown, keys)]
        known: asyncio.Future[Sequence[Stored]] = asyncio.get_running_loop().create_future()
        self._unanswered[known] = lookup = keys, known
        self._waiting.append(lookup)
        if not self._under_way:
            self._under_way = True
            self._start(self._look_up())
        try:
            return await known
        finally:
            del self._unanswered[known]

    def stop(self) -> None:
        """Answer every lookup at once, from now on and also those that are under way: nothing is known."""
        self._stopped, self._waiting = True, []
        self._resolve(self._unanswered.values(), {})

    async def _look_up(self) -> None:
        lookups, self._waiting = self._waiting, []
        keys = list(dict.fromkeys(key for keys, _ in lookups for key in keys))
        known: dict[str, Stored] = {}
        try:
            for start in range(0, len(keys), AT_ONCE):
                batches = [keys[first : first + _BATCH_SIZE] for first in range(start, start + AT_ONCE, _BATCH_SIZE)]
                for found in await asyncio.gather(*(self._look_up_batch(batch) for batch in batches if batch)):
                    known |= found
                if start == 0:
                    self._look_up_next()
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            if not known:
                self._look_up_next()
            self._resolve(lookups, known)

    def _look_up_next(self) -> None:
        # Lookups that came in the meantime wait no longer, however many accounts are still to be looked up.
        self._under_way = bool(self._waiting)
        if self._under_way:
            self._start(self._look_up())

    def _resolve(self, lookups: Iterable[_Lookup], known: Mapping[str, Stored]) -> None:
        for keys, waiting in lookups:
            if not waiting.done():
                waiting.set_result([known.get(key) or self._unknown(key) for key in keys])
