"""The client that reads many accounts at once: its accounts, its session, its event loop and its life."""

import warnings
from collections.abc import AsyncGenerator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

import aiohttp
import attrs

from balancekit.client.account_book import AccountBook
from balancekit.client.accounts import Outcome
from balancekit.client.core import ClientCore
from balancekit.client.flights import CallOptions
from balancekit.client.known import AccountStatus, status_of
from balancekit.client.options import (
    MAX_CONCURRENCY,
    ReadOptions,
    checked_aliases,
    checked_origins,
    checked_proxy,
    checked_retry,
    checked_session,
    checked_store,
    checked_time,
    interval,
)
from balancekit.client.origins import Origins
from balancekit.client.retry import RetryPolicy
from balancekit.client.settling import SETTLE_DELAY
from balancekit.client.watch import Watch, WatchOptions
from balancekit.clock import Clock
from balancekit.errors import ConfigError, WebhookVerificationError, without_frames
from balancekit.http.durations import age, positive_int, positive_seconds
from balancekit.http.rate_limit import RateLimit
from balancekit.http.secret import Secret
from balancekit.money.amounts import isolated_context
from balancekit.money.merged import MergedBalances
from balancekit.providers.base import BalanceProvider
from balancekit.stores.base import SnapshotStore

if TYPE_CHECKING:
    from balancekit.webhooks.events import RawHeaders, WebhookEvent


_MIN_INTERVAL: Final = 60.0
"""The least value of `every`, in seconds: both providers ask not to be polled."""


class AggregateClient:
    """Reads the balances of many accounts at once and merges them by currency.

    `session` is used and left open; without one the client opens its own and closes it. `concurrency` is how many
    accounts are read at the same time. `timeout` bounds one attempt and `deadline` a whole fetch, in seconds;
    `attempts` is how often an account is tried, the first time included; `retry` replaces it, and sets the delays too.
    `rate_limits` limits the requests to an origin, which is given by a URL, over all accounts at it.
    The client's own session sends requests to `https://` through `proxy`, a URL that may have a user and a password, or
    with `trust_env` through the proxy of the environment. `store` keeps the snapshots, and is left open; by default
    they are kept in the memory of this client, and with a `RedisStore` all replicas share them.
    `aliases` is passed to `merge`. `settle_delay` is how many seconds after an event of a webhook the account is looked
    at again, for a balance that the provider books after it has sent the event: such a delay is usually below a second,
    and each burst of events costs one more request. Zero switches that off. Everything is dated and waits by `clock`.
    Clients that are given the same `origins` keep rate limits, retry budgets and the cooldowns after a 429 together.

    Without accounts, until some are added, every result is empty and `complete`: nothing is missing.

    Raises ConfigError for settings that cannot work, such as two accounts of one label.
    """

    @without_frames
    def __init__(
        self,
        providers: Iterable[BalanceProvider],
        *,
        session: aiohttp.ClientSession | None = None,
        concurrency: int = 100,
        timeout: float = 10.0,
        deadline: float = 30.0,
        attempts: int = 3,
        retry: RetryPolicy | None = None,
        rate_limits: Mapping[str, RateLimit] | None = None,
        proxy: str | Secret | None = None,
        trust_env: bool = False,
        store: SnapshotStore | None = None,
        aliases: Mapping[str, str] | None = None,
        settle_delay: float = SETTLE_DELAY,
        clock: Clock | None = None,
        origins: Origins | None = None,
    ) -> None:
        if rate_limits is not None and origins is not None:
            raise ConfigError("rate_limits: give them to Origins, if the client is given one")
        own = Origins(rate_limits)
        time = checked_time(clock)
        book = AccountBook(providers, own if origins is None else checked_origins(origins), time)
        own.check_all_limits_used()
        self._core = ClientCore(
            book,
            ReadOptions(
                concurrency=positive_int("concurrency", concurrency, most=MAX_CONCURRENCY),
                timeout=positive_seconds("timeout", timeout),
                deadline=positive_seconds("deadline", deadline),
                retry=checked_retry(retry, attempts),
                clock=time,
            ),
            lent=checked_session(session),
            proxy=checked_proxy(proxy, trust_env, session),
            store=checked_store(store),
            aliases=checked_aliases(aliases),
            settle_delay=interval("settle_delay", settle_delay, least=0.0),
        )
        self._deadline = deadline
        self._concurrency = concurrency

    @property
    def accounts(self) -> tuple[str, ...]:
        """The labels of all accounts, in the order in which they were given."""
        return tuple(self._core.book)

    async def fetch(
        self,
        accounts: Iterable[str] | None = None,
        *,
        max_age: float = 0.0,
        stale_if_error: float = 0.0,
        stale_while_revalidate: float = 0.0,
        deadline: float | None = None,
        strict: bool = False,
    ) -> MergedBalances:
        """Read the accounts (all, or those of the labels given) and merge their balances by currency.

        A snapshot that is no older than `max_age` seconds, and that no webhook has invalidated, is used as it is; one
        that is no older than `stale_while_revalidate` is used as well, marked as `stale`, and read again in the
        background. Callers with a `max_age` share a request that is under way. They are also given the failure of an
        account that has just failed, without a request, until its cooldown is over: a second, up to a minute if it goes
        on failing. No caller's request goes to an origin that has responded 429 before the time that it asked for.

        An account that cannot be read is in `failures` and makes the result not `complete`, as does a snapshot that is
        `stale`; with `strict` that raises IncompleteError, which carries the same result as `partial`. If the last
        snapshot of one that failed is no older than `stale_if_error` seconds, the totals hold that one instead, marked
        as `stale`; it stays a failure.

        After `deadline` seconds (those of the client at most, and by default) the call ends with what has arrived. What
        was asked by then goes on for later callers until the client's own deadline.

        Raises ConfigError for a label that no account has, an invalid age or deadline, RuntimeError if the client, or
        the session lent to it, is closed.
        """
        self._core.check_open()
        selected = self._core.book.select(accounts)
        options = self._call_options(max_age, deadline, stale_while_revalidate)
        stale_for = max(age("stale_if_error", stale_if_error), options.stale_while_revalidate)
        merged = await self._core.fetch(selected, options, is_all=accounts is None, stale_for=stale_for)
        if strict:
            merged.raise_for_failures()
        return merged

    def stream(
        self, accounts: Iterable[str] | None = None, *, max_age: float = 0.0, deadline: float | None = None
    ) -> AsyncGenerator[Outcome, None]:
        """Read the accounts and give each outcome as it arrives; aliases are not applied.

        Leaving the loop early ends every request that no other caller waits for; `contextlib.aclosing` does so at once.
        A wait that is cancelled, as by a timeout around `anext`, ends the stream, as it does any async generator: what
        follows looks like the end of a complete one. Give it a `deadline` instead, which makes failures of the rest.
        A consumer that is slow slows down the reading. `max_age` and `deadline` are those of `fetch`; without `max_age`
        no snapshot is kept, so that any number of accounts takes little memory. Raises as `fetch` does, at the call.
        """
        self._core.check_open()
        options = self._call_options(max_age, deadline)
        options = attrs.evolve(options, store_result=options.max_age > 0, buffer=2 * self._concurrency)
        return self._core.stream(self._core.book.select(accounts), options)

    def latest(self, accounts: Iterable[str] | None = None) -> MergedBalances:
        """Return what this client knows without asking anybody: the last snapshot of each account.

        An account whose last read failed is in `failures`, and its snapshot, if there is one, is marked as `stale`, as
        is one whose balances may have changed since. An account that was never read is a failure with NotReadError.
        What other processes learn through a shared store this client knows after its own calls, and while it watches.

        Raises ConfigError for a label that no account has.
        """
        return self._core.latest(self._core.book.select(accounts), is_all=accounts is None)

    def status(self) -> dict[str, AccountStatus]:
        """Return whether each account can be read, by its label, without asking anybody."""
        moment = self._core.moment()
        return {label: status_of(account, moment) for label, account in self._core.book.select(None).items()}

    def watch(
        self,
        accounts: Iterable[str] | None = None,
        *,
        max_age: float = 0.0,
        every: float | None = None,
        min_interval: float = 1.0,
        stale_if_error: float = 0.0,
    ) -> Watch:
        """Watch what the accounts hold: an async iterator of the state now and after each change.

        An account is read when a webhook, or `invalidate`, says that its balances may have changed, here or in another
        process with the same store; when `min_interval` seconds have passed since the last request for it, so that a
        busy account is not read at each event. One that could not be read is tried again later. `every` reads all
        accounts that often, in seconds (60 at least), for those that have no webhook. Whatever else this client reads
        is shown, too. No account waits for another: one that is still to be read is shown as it was last known, marked
        as `stale`, or as a failure with NotReadError. One that was named here and is removed is a failure from then on.

        `max_age` is how old a snapshot may be that is shown at first without a request. Cancelling a wait for the next
        state does not end the watch; `aclose` does, and so does closing the client.

        Raises as `fetch` does, at the call.
        """
        self._core.check_open()
        options = WatchOptions(
            max_age=age("max_age", max_age),
            every=None if every is None else interval("every", every, least=_MIN_INTERVAL),
            min_interval=interval("min_interval", min_interval, least=0.0),
            stale_if_error=age("stale_if_error", stale_if_error),
        )
        return self._core.watch(None if accounts is None else self._core.book.select(accounts), options)

    def stop_watching(self) -> None:
        """End every watch, and each later one when it begins; all other calls go on.

        For a server that stops: it waits for open responses, and so for the watches that these come from, before it
        closes a client. Call it in the client's event loop; see docs/servers.md.
        """
        self._core.stop_watching()

    async def invalidate(self, account: str) -> None:
        """Mark the account's balances as possibly changed: for later calls no snapshot from before now counts as fresh.

        A call that is under way is given what is read for it.

        Raises ConfigError for a label that no account has.
        """
        self._core.check_open()
        (known,) = self._core.book.select([account]).values()
        await self._core.invalidate(known)

    async def handle_webhook(self, account: str, headers: "RawHeaders", body: bytes) -> "WebhookEvent":
        """Verify the delivery of a webhook and act on it; `headers` and `body` are exactly what was received.

        An event after which balances may have changed does what `invalidate` does, and again after `settle_delay`.
        Amounts in it are not used. Deliveries that come twice, late or out of order do no harm.

        Raises WebhookVerificationError, and nothing else, for a delivery that is rejected, also for a label that no
        account has; RuntimeError if the client is closed.
        """
        from balancekit.webhooks.replay import Delivery
        from balancekit.webhooks.verification import verify

        # No account has an empty label; a receiver of one's own may pass anything.
        label = account if isinstance(cast("object", account), str) else ""
        known = self._core.book.get(label)
        try:
            self._core.check_open()
            run = isolated_context().run
            event = run(verify, self._core.book.source_of(label), headers, body, stands_in=known is None)
            delivery = Delivery.of("" if known is None else known.key, event, body)
        except WebhookVerificationError as error:
            error.account = None if known is None else label
            raise
        finally:
            # An error keeps this frame, and the headers of a delivery may hold the account's key.
            del headers, body
        if known is None:
            return event
        if event.settled:
            await self._core.settle(known, delivery)
        else:
            self._core.deliveries.note(delivery)
        return event

    async def add(self, provider: BalanceProvider) -> None:
        """Add an account; watches of all accounts follow it.

        Raises ConfigError if it is no provider, or an account with its label or its credentials is there already.
        """
        try:
            await self._core.enter_loop()
            without_frames(self._core.add)(provider)
        finally:
            # As `without_frames` does.
            del provider

    async def remove(self, account: str) -> None:
        """Remove an account; what is being read of it is dropped, and callers that wait for it get a failure.

        Raises ConfigError for a label that no account has.
        """
        await self._core.remove(account)

    async def aclose(self) -> None:
        """Close the client, and its session if it is its own, within a second; closing twice is fine.

        What is being read fails, and watches end. Should this be cancelled, the rest is closed in the background.
        """
        await self._core.aclose()

    async def __aenter__(self) -> Self:
        self._core.check_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        core = vars(self).get("_core")
        if core and core.runtime and core.runtime.is_open:
            warnings.warn(f"{self!r} was dropped without aclose()", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        # Also of a client whose constructor raised, or never ran.
        core = vars(self).get("_core")
        return f"AggregateClient({len(core.book) if core else 0} accounts{', closed' if core and core.closed else ''})"

    def _call_options(self, max_age: float, deadline: float | None, stale_while_revalidate: float = 0.0) -> CallOptions:
        longest = self._deadline
        return CallOptions(
            max_age=age("max_age", max_age),
            deadline=longest if deadline is None else min(positive_seconds("deadline", deadline), longest),
            stale_while_revalidate=age("stale_while_revalidate", stale_while_revalidate),
        )
