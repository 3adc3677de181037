"""The client that reads many accounts at once: concurrency, deadlines and retries, and nothing of any API."""

import asyncio
import itertools
import math
import warnings
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, cast

import aiohttp
import attrs

from balancekit.aliases import check_aliases
from balancekit.balances import AccountBalances, AccountFailure, Balance
from balancekit.errors import (
    BalancekitError,
    ConfigError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
)
from balancekit.merged import MergedBalances, merge
from balancekit.names import check_label
from balancekit.provider import BalanceProvider
from balancekit.retry import RetryPolicy
from balancekit.transport import Connector, translate

Outcome = AccountBalances | AccountFailure
"""What became of reading one account."""

# How long a cancelled request may take to end before it is left to itself.
_GRACE: Final = 0.05
_LATE_HINT: Final = "The provider is slow or out of reach. Try again later, or give it more time"


@attrs.frozen
class _Account:
    """One account and how to read it; its label and its provider's name are read once and checked."""

    label: str
    provider: str
    source: BalanceProvider

    def snapshot(self, balances: object, fetched_at: datetime) -> AccountBalances:
        """Make a snapshot of what the provider returned; MalformedResponseError if it is no balances of the account."""
        if isinstance(balances, Iterable):
            try:
                return AccountBalances(self.label, self.provider, cast("Iterable[Balance]", balances), fetched_at)
            except (TypeError, ValueError) as error:
                reason = str(error)
        else:
            reason = f"expected balances, got {type(balances).__name__}"
        raise MalformedResponseError(reason, account=self.label, provider=self.provider)

    def error(self, raised: BaseException) -> BalancekitError:
        """Return the error that reading the account ended with, whatever its provider raised."""
        if isinstance(raised, BalancekitError):
            return raised
        error = translate(raised, account=self.label, provider=self.provider)
        if error is None:
            error = ProviderError(
                f"the adapter raised {type(raised).__name__}", account=self.label, provider=self.provider
            )
            error.__cause__ = raised
        return error

    def late(self, message: str) -> ProviderTimeoutError:
        """Return the error of an account that gave no answer in time."""
        return ProviderTimeoutError(message, account=self.label, provider=self.provider, hint=_LATE_HINT)

    def failure(self, error: BalancekitError) -> AccountFailure:
        """Return the outcome of reading the account in vain."""
        return AccountFailure(self.label, self.provider, error)


class AggregateClient:
    """Reads the balances of many accounts at once and merges them by currency.

    `session` is used and left open; without one the client opens its own and closes it. `concurrency` is how many
    accounts are read at the same time. `timeout` bounds one attempt and `deadline` a whole fetch, in seconds;
    `attempts` is how often an account is tried, the first time included. `aliases` is passed to `merge`.

    Raises ConfigError for settings that cannot work, such as two accounts of one label.
    """

    def __init__(
        self,
        providers: Iterable[BalanceProvider],
        *,
        session: aiohttp.ClientSession | None = None,
        concurrency: int = 100,
        timeout: float = 10.0,
        deadline: float = 30.0,
        attempts: int = 3,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        # Set first: the finalizer runs for a client that could not be made, too.
        self._owned: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lent = session
        self._closed = False
        self._accounts = _by_label(providers)
        self._concurrency = _positive_int("concurrency", concurrency)
        self._timeout = _positive_seconds("timeout", timeout)
        self._deadline = _positive_seconds("deadline", deadline)
        self._retry = RetryPolicy(_positive_int("attempts", attempts))
        self._aliases = _checked_aliases(aliases)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The labels of all accounts, in the order in which they were given."""
        return tuple(self._accounts)

    async def fetch(self, accounts: Iterable[str] | None = None, *, strict: bool = False) -> MergedBalances:
        """Read the accounts (all, or those of the labels given) and merge their balances by currency.

        An account that cannot be read is in `failures` and makes the result not `complete`; with `strict` it raises
        IncompleteError, which carries the same result as `partial`. The deadline ends the fetch with what has arrived.

        Raises ConfigError for a label that no account has, RuntimeError if the client, or the session lent to it, is
        closed.
        """
        snapshots: list[AccountBalances] = []
        failures: list[AccountFailure] = []
        async for outcome in self.stream(accounts):
            if isinstance(outcome, AccountBalances):
                snapshots.append(outcome)
            else:
                failures.append(outcome)
        merged = merge(snapshots, failures, aliases=self._aliases)
        if strict:
            merged.raise_for_failures()
        return merged

    def stream(self, accounts: Iterable[str] | None = None) -> AsyncGenerator[Outcome, None]:
        """Read the accounts and give each outcome as it arrives; aliases are not applied.

        Leaving the loop early ends every request that is under way; `contextlib.aclosing` does so at once. Raises as
        `fetch` does, at the call.
        """
        return self._stream(self._select(accounts), self._session())

    async def aclose(self) -> None:
        """Close the client, and its session if it is its own; closing twice is fine."""
        self._closed = True
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.close()

    async def __aenter__(self) -> Self:
        self._refuse_closed()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._owned is not None and not self._owned.closed:
            warnings.warn(f"{self!r} was dropped without aclose()", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        return f"AggregateClient({len(self._accounts)} accounts{', closed' if self._closed else ''})"

    def _select(self, accounts: Iterable[str] | None) -> dict[str, _Account]:
        if accounts is None:
            return self._accounts
        if isinstance(accounts, str):
            raise ConfigError(f"accounts: expected a list of labels, got the string {accounts!r}")
        selected: dict[str, _Account] = {}
        for label in accounts:
            if label not in self._accounts:
                raise ConfigError(f"accounts: no account is labelled {label!r}")
            selected[label] = self._accounts[label]
        return selected

    def _session(self) -> aiohttp.ClientSession:
        self._refuse_closed()
        if self._lent is not None:
            if self._lent.closed:
                raise RuntimeError("the session lent to this client is closed")
            return self._lent
        loop = asyncio.get_running_loop()
        if self._owned is not None and self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("the client is in use in another event loop")
            # It died with its loop, and cannot be closed in this one.
            self._owned = None
        if self._owned is None:
            self._loop = loop
            self._owned = aiohttp.ClientSession(
                connector=Connector(limit=self._concurrency),
                # The provider's answers depend on the request alone.
                cookie_jar=aiohttp.DummyCookieJar(),
                # The client's own timeouts govern.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            )
        return self._owned

    def _refuse_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed")

    async def _stream(
        self, accounts: Mapping[str, _Account], session: aiohttp.ClientSession
    ) -> AsyncGenerator[Outcome, None]:
        ends_at = asyncio.get_running_loop().time() + self._deadline
        arrived: asyncio.Queue[Outcome] = asyncio.Queue()
        pending = dict(accounts)
        # A few workers on one iterator: a task for each account behind a semaphore costs more.
        turns = iter(accounts.values())
        workers = [
            asyncio.create_task(self._work(turns, session, ends_at, arrived))
            for _ in range(min(self._concurrency, len(accounts)))
        ]
        try:
            while pending:
                outcome = await _next(arrived, ends_at)
                if outcome is None:
                    break
                del pending[outcome.account]
                yield outcome
            for account in pending.values():
                yield self._too_late(account)
        finally:
            await _stop(workers)

    async def _work(
        self,
        turns: Iterator[_Account],
        session: aiohttp.ClientSession,
        ends_at: float,
        arrived: asyncio.Queue[Outcome],
    ) -> None:
        for account in turns:
            arrived.put_nowait(await self._read(account, session, ends_at))

    async def _read(self, account: _Account, session: aiohttp.ClientSession, ends_at: float) -> Outcome:
        """Try one account until it is read, trying again is in vain, or its time is up."""
        now = asyncio.get_running_loop().time
        for attempt in itertools.count(1):
            remaining = ends_at - now()
            if remaining <= 0:
                break
            fetched_at = datetime.now(UTC)
            scope = asyncio.timeout(min(self._timeout, remaining))
            try:
                async with scope:
                    balances = await account.source.fetch_balances(session)
                return account.snapshot(balances, fetched_at)
            except BaseException as raised:
                if _must_pass(raised):
                    raise
                if not scope.expired():
                    error = account.error(raised)
                elif remaining <= self._timeout:
                    break
                else:
                    error = account.late(f"no answer within {self._timeout:g} s")
            if not isinstance(error, ProviderError) or not error.retryable:
                return account.failure(error)
            wait = self._retry.delay(attempt, retry_after=error.retry_after, remaining=ends_at - now())
            if wait is None:
                return account.failure(error)
            await asyncio.sleep(wait)
        return self._too_late(account)

    def _too_late(self, account: _Account) -> AccountFailure:
        return account.failure(account.late(f"no answer before the deadline of {self._deadline:g} s"))


def _must_pass(raised: BaseException) -> bool:
    """Whether an exception is the caller's or the interpreter's, not the provider's."""
    if isinstance(raised, asyncio.CancelledError):
        # A provider may cancel itself, or await something that was cancelled; that is its own failure.
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(raised, KeyboardInterrupt | SystemExit | GeneratorExit)


async def _next(arrived: asyncio.Queue[Outcome], ends_at: float) -> Outcome | None:
    if not arrived.empty():
        return arrived.get_nowait()
    try:
        async with asyncio.timeout_at(ends_at):
            return await arrived.get()
    except TimeoutError:
        return None


async def _stop(workers: Collection[asyncio.Task[None]]) -> None:
    for worker in workers:
        worker.cancel()
    if workers:
        # Not for ever: a provider that refuses to be cancelled must not keep the caller.
        await asyncio.wait(workers, timeout=_GRACE)


def _by_label(providers: Iterable[object]) -> dict[str, _Account]:
    accounts: dict[str, _Account] = {}
    for index, source in enumerate(providers):
        if not isinstance(source, BalanceProvider):
            raise ConfigError(f"providers[{index}]: {type(source).__name__} is no BalanceProvider")
        try:
            account = _Account(check_label(source.account), check_label(source.provider), source)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"providers[{index}]: {error}") from None
        if account.label in accounts:
            raise ConfigError(f"providers[{index}]: a second account is labelled {account.label!r}")
        accounts[account.label] = account
    return accounts


def _positive_int(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ConfigError(f"{name}: expected a whole number above zero, got {value!r}")


def _positive_seconds(name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise ConfigError(f"{name}: expected seconds above zero, got {value!r}")


def _checked_aliases(aliases: Mapping[str, str] | None) -> dict[str, str]:
    try:
        return check_aliases(aliases or {})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"aliases: {error}") from None
