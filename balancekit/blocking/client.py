"""The client for code without an event loop."""

import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import CancelledError, Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from balancekit.blocking.iteration import Iteration
from balancekit.blocking.loop_thread import ClosedError, EndedError, LoopThread, lock
from balancekit.client.aggregate import AggregateClient
from balancekit.client.known import AccountStatus
from balancekit.client.retry import RetryPolicy
from balancekit.client.settling import SETTLE_DELAY
from balancekit.client.watch import Watch
from balancekit.clock import Clock
from balancekit.errors import without_frames
from balancekit.http.rate_limit import RateLimit
from balancekit.http.secret import Secret
from balancekit.money.merged import MergedBalances
from balancekit.providers.base import BalanceProvider
from balancekit.stores.base import SnapshotStore

if TYPE_CHECKING:
    from balancekit.client.accounts import Outcome
    from balancekit.webhooks.events import RawHeaders, WebhookEvent

_T = TypeVar("_T")


class Client:
    """Reads the balances of many accounts at once and merges them by currency, as `AggregateClient` does.

    Its arguments and methods are those of `AggregateClient`, but that each call waits for its result; there are no
    `session` and no `origins`, which belong to one event loop. Any number of threads may use one client at the same
    time. Each call runs with the context variables of its caller, and raises in its caller's thread; one
    that is interrupted, as by Ctrl+C, is cancelled, and no other.

    The thread is started by the first call, and in a child process by the first call there, so that a client may be
    made before a server forks its workers. `close` ends it; so do dropping the client and the end of the program.

    Each call that waits raises RuntimeError if the client is closed, or if it is made in the client's own thread, as by
    an adapter.
    """

    @without_frames
    def __init__(
        self,
        providers: Iterable[BalanceProvider],
        *,
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
    ) -> None:
        self._thread: LoopThread | None = None
        self._closed = False
        self._client = AggregateClient(
            providers,
            concurrency=concurrency,
            timeout=timeout,
            deadline=deadline,
            attempts=attempts,
            retry=retry,
            rate_limits=rate_limits,
            proxy=proxy,
            trust_env=trust_env,
            store=store,
            aliases=aliases,
            settle_delay=settle_delay,
            clock=clock,
        )

    def __del__(self) -> None:
        # There is none if the constructor was called with wrong arguments.
        thread = vars(self).get("_thread")
        if thread is not None:
            thread.stop()

    @property
    def accounts(self) -> tuple[str, ...]:
        """The labels of all accounts, in the order in which they were given."""
        return self._client.accounts

    def fetch(
        self,
        accounts: Iterable[str] | None = None,
        *,
        max_age: float = 0.0,
        stale_if_error: float = 0.0,
        stale_while_revalidate: float = 0.0,
        deadline: float | None = None,
        strict: bool = False,
    ) -> MergedBalances:
        """Read the accounts and merge their balances: see `AggregateClient.fetch`."""
        return self._wait(
            self._client.fetch(
                accounts,
                max_age=max_age,
                stale_if_error=stale_if_error,
                stale_while_revalidate=stale_while_revalidate,
                deadline=deadline,
                strict=strict,
            )
        )

    def stream(
        self, accounts: Iterable[str] | None = None, *, max_age: float = 0.0, deadline: float | None = None
    ) -> "Iteration[Outcome]":
        """Read the accounts and give each outcome as it arrives: see `AggregateClient.stream`.

        A wait that is interrupted, as by a signal handler that raises, ends it; the next one raises RuntimeError.
        """
        return self._iterate(lambda: self._client.stream(accounts, max_age=max_age, deadline=deadline), is_watch=False)

    def watch(
        self,
        accounts: Iterable[str] | None = None,
        *,
        max_age: float = 0.0,
        every: float | None = None,
        min_interval: float = 1.0,
        stale_if_error: float = 0.0,
    ) -> "Iteration[MergedBalances]":
        """Give the state now and after each change: see `AggregateClient.watch`.

        It ends when it, or the client, is closed, by any thread. A wait that is interrupted does not end it, and loses
        nothing.
        """

        def watch() -> Watch:
            return self._client.watch(
                accounts, max_age=max_age, every=every, min_interval=min_interval, stale_if_error=stale_if_error
            )

        return self._iterate(watch, is_watch=True)

    def latest(self, accounts: Iterable[str] | None = None) -> MergedBalances:
        """Return what this client knows, at once: see `AggregateClient.latest`."""
        return self._client.latest(accounts)

    def status(self) -> dict[str, AccountStatus]:
        """Return whether each account can be read, by its label, at once: see `AggregateClient.status`."""
        return self._client.status()

    def invalidate(self, account: str) -> None:
        """Mark the account's balances as possibly changed: see `AggregateClient.invalidate`."""
        self._wait(self._client.invalidate(account))

    def handle_webhook(self, account: str, headers: "RawHeaders", body: bytes) -> "WebhookEvent":
        """Verify the delivery of a webhook and act on it: see `AggregateClient.handle_webhook`."""
        call = self._client.handle_webhook(account, headers, body)
        # Not for the frame of a traceback to keep: the headers hold a valid signature.
        del headers, body
        return self._wait(call)

    def add(self, provider: BalanceProvider) -> None:
        """Add an account: see `AggregateClient.add`."""
        call = self._client.add(provider)
        # As in `handle_webhook`: what was passed by mistake may be a secret.
        del provider
        self._wait(call)

    def remove(self, account: str) -> None:
        """Remove an account: see `AggregateClient.remove`."""
        self._wait(self._client.remove(account))

    def close(self) -> None:
        """Close the client and end its thread, within two seconds; closing twice is fine.

        What other threads wait for fails, and iterations end.
        """
        with lock:
            thread = self._thread
            if thread is not None:
                thread.check_not_current()
            self._closed = True
        if thread is not None:
            thread.stop()

    def __enter__(self) -> Self:
        if self._closed:
            raise ClosedError
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"blocking.{self._client!r}".replace("AggregateClient", "Client")

    def _iterate(self, begin: Callable[[], AsyncIterator[_T]], *, is_watch: bool) -> "Iteration[_T]":
        with lock:
            thread = self._running_thread()
        source = self._wait(_call(begin), thread)
        # The method refers to the client, which so is not dropped, and its thread goes on, while this is used.
        return Iteration(source, thread, partial(self._wait, thread=thread), is_watch=is_watch)

    def _submit(self, coroutine: Coroutine[Any, Any, _T], thread: LoopThread | None) -> tuple[Future[_T], LoopThread]:
        """Start a coroutine in the thread, by default the one that runs, in the context of the caller."""
        with lock:
            try:
                if thread is None:
                    thread = self._running_thread()
                else:
                    thread.check_takes_calls()
            except BaseException:
                coroutine.close()
                raise
            # If this is interrupted, it is not known whether the coroutine has begun.
            return thread.submit(coroutine), thread

    def _running_thread(self) -> LoopThread:
        if self._closed:
            raise ClosedError
        thread = self._thread
        if thread is not None:
            thread.check_not_current()
            if thread.is_running:
                return thread
        if sys.is_finalizing():
            # A thread does not begin any more, and Python 3.11 would wait for it.
            raise EndedError
        earlier = thread if thread is not None and thread.is_alive else None
        # Known before it is started, so that an interrupt leaves none that nobody stops.
        thread = self._thread = LoopThread(self._client, earlier)
        thread.start()
        return thread

    def _wait(self, coroutine: Coroutine[Any, Any, _T], thread: LoopThread | None = None) -> _T:
        future, thread = self._submit(coroutine, thread)
        try:
            return future.result()
        except CancelledError:
            raise thread.error() from None
        finally:
            # For a thread that is interrupted while it waits. Otherwise the call has ended.
            future.cancel()
            # The traceback of an error has this frame, and the future has the error.
            del future


async def _call(function: Callable[[], _T]) -> _T:
    return function()
