"""The permits of a read that sends several requests: each request has one of its own, one after another."""

from typing import Final

from balancekit.client.accounts import Account
from balancekit.client.leases import Leases
from balancekit.client.unread import cooldown_error
from balancekit.clock import Clock

_POLL_INTERVAL: Final = 1.0
"""After how many seconds, at most, a permit is asked for again: others may have given theirs back."""


class FurtherPermits:
    """Exchanges the permits that a flight holds, for its next request.

    `holder` is what the permits of this process are held by, and `shared` the id of the one in the store, or "".
    """

    def __init__(self, account: Account, holder: object, shared: str, leases: Leases | None, clock: Clock) -> None:
        self.shared: str = shared
        self._account = account
        self._holder = holder
        self._leases = leases
        self._clock = clock

    async def acquire_next(self) -> None:
        """Release the permits of the request before, and wait for those of the next.

        Raises RateLimitedError if the origin has responded 429 by then, to this account or to another.
        """
        await self._exchange()
        cooldown = self._account.origin.cooldown
        if cooldown.times and (wait := cooldown.remaining(self._clock.monotonic())) > 0:
            raise cooldown_error(self._account, wait)

    async def _exchange(self) -> None:
        origin, limit = self._account.origin, self._account.origin.limit
        if limit is None:
            return
        origin.permits.release(limit, self._holder, self._clock.monotonic())
        if self._leases is not None and self.shared:
            self._leases.release_permit(origin.name, limit, self.shared)
            self.shared = ""
        while (wait := origin.permits.acquire(limit, self._holder, self._clock.monotonic())) > 0:
            await self._clock.sleep(min(wait, _POLL_INTERVAL))
        while self._leases is not None:
            permit, wait = await self._leases.acquire_permit(origin.name, limit)
            if wait <= 0:
                self.shared = permit
                return
            await self._clock.sleep(min(wait, _POLL_INTERVAL))
