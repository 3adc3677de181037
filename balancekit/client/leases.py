"""Sharing the work with other processes: one at a time reads an account, and one rate limit holds for all of them."""

import secrets
from typing import Final

from balancekit.client.account_state import Moment, delay_of, elapsed, next_question
from balancekit.client.flights import Flight
from balancekit.client.shared_failures import SharedFailures
from balancekit.clock import Clock
from balancekit.errors import BalancekitError
from balancekit.http.rate_limit import RateLimit
from balancekit.money.balances import AccountBalances
from balancekit.stores.fail_open import FailOpenStore

# How many seconds longer than an attempt a lease and a permit are held: a request may end a little after its timeout.
PERMIT_MARGIN: Final = 0.5


class Leases:
    """The leases and permits that this process holds in a shared store; `attempt_seconds` is the longest attempt."""

    def __init__(
        self, store: FailOpenStore, clock: Clock, failures: SharedFailures | None, *, attempt_seconds: float
    ) -> None:
        self._store = store
        self._failures = failures
        self._clock = clock
        self._hold = attempt_seconds + PERMIT_MARGIN
        self._owner = secrets.token_hex(8)
        self._permits = 0
        # The process holds a lease for all of its flights, so it is released with the last of them.
        self._holders: dict[str, set[Flight]] = {}

    async def acquire(self, flight: Flight) -> tuple[AccountBalances | BalancekitError | None, float]:
        """Take the lease of the flight's account, unless another process has just read the account.

        Returns what that process has read or failed with, if there is such, and for how many seconds at most another
        process holds the lease, 0 if none does.
        """
        key = flight.account.key
        # Count the lease as ours before asking: if we are cancelled, the store may have granted it all the same, and
        # `release` must give it back. It lasts as long as one attempt, so a process that dies delays others by no more.
        self._holders.setdefault(key, set()).add(flight)
        wait = await self._store.lease(key, self._owner, seconds=self._hold)
        if wait > 0:
            self._drop(flight)
            await self._store.listen()
        # Look after acquiring the lease: its last holder stored a snapshot before releasing it.
        account, question, asked = flight.account, next_question(), Moment.of(self._clock)
        stored, *of_origin = await self._store.get([key] if self._failures is None else [key, account.origin.key])
        # Counted from before the call: neither a slow store nor a suspension makes a snapshot younger than it is.
        moment, state = Moment.of(self._clock), account.state
        age = stored.age + elapsed(asked.now, asked.ahead, moment)
        sent_at = moment.now - age
        state.learn_version(stored.version, question=question)
        snapshot = account.accept(stored, age=age, moment=moment)
        if (
            stored.valid
            and snapshot is not None
            and state.is_current(stored.version, sent_at)
            and state.is_last(snapshot, age, moment)
            and sent_at - delay_of(snapshot) >= flight.since
        ):
            flight.version = stored.version
            flight.mark_read_elsewhere(sent_at, moment)
            return snapshot, 0.0
        if self._failures is not None:
            self._failures.learn_cooldown(account.origin, of_origin[0], moment)
            if self._failures.learn(account, stored, moment):
                return state.remembered_failure(moment), wait
        return None, wait

    def release(self, flight: Flight) -> None:
        """Release the lease, if this is the last flight that holds it."""
        key = flight.account.key
        if self._drop(flight):
            self._store.run_in_background(self._store.release(key, self._owner))

    async def acquire_permit(self, origin: str, limit: RateLimit) -> tuple[str, float]:
        """Request a permit for an origin; returns its id, and 0 if it is granted or the seconds to wait."""
        self._permits += 1
        permit = f"{self._owner}.{self._permits}"
        try:
            return permit, await self._store.acquire_permit(origin, limit, permit, hold=self._hold)
        except BaseException:
            # The store may have granted it all the same.
            self.release_permit(origin, limit, permit)
            raise

    def release_permit(self, origin: str, limit: RateLimit, permit: str) -> None:
        """Release a permit: its request has ended, or will not be sent."""
        self._store.run_in_background(self._store.release_permit(origin, limit, permit))

    def _drop(self, flight: Flight) -> bool:
        """Take the lease from a flight; returns whether it was the last that held it."""
        holders = self._holders.get(flight.account.key)
        if holders is None or flight not in holders:
            return False
        holders.discard(flight)
        if holders:
            return False
        del self._holders[flight.account.key]
        return True
