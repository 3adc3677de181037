"""How webhooks are delivered: attempts over HTTP, the provider's retries, and the log of both."""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final

import aiohttp
import attrs
from multidict import CIMultiDictProxy
from yarl import URL

from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.holdings import Holding
from balancekit.sandbox.webhooks import Event, Message, Tamper

_MAX_ENTRIES: Final = 10_000
"""How many deliveries are kept: a sandbox that runs for days must not fill the memory."""

_CLOSED_ERROR: Final = "the sandbox closed"


@attrs.frozen(kw_only=True)
class Attempt:
    """One try to deliver a webhook: what was sent, and the status that came back or the error that came instead.

    `at` is the sandbox's clock in Unix seconds. The repr shows neither headers nor body, which hold signatures.
    """

    at: float
    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    status: int | None = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver took it: any status of success."""
        return self.status in range(200, 300)


class WebhookSender:
    """What delivers the webhooks of a sandbox, from its start until it closes."""

    def __init__(
        self, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]], timeout: float
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.log = deque["Delivery"](maxlen=_MAX_ENTRIES)
        self._timeout = timeout
        self._running = False
        self._session: aiohttp.ClientSession | None = None
        self._tasks = set[asyncio.Task[None]]()

    def start(self) -> None:
        """Begin to deliver."""
        self._running = True

    async def aclose(self) -> None:
        """End every delivery, attempts and waiting included."""
        self._running = False
        session, self._session = self._session, None
        for task in self._tasks:
            task.cancel()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            if session is not None:
                await session.close()

    def check(self, account: SandboxAccount) -> None:
        """Raise RuntimeError if nothing can be delivered now."""
        if not self._running:
            raise RuntimeError("the sandbox must be started to deliver webhooks")
        if account.webhook_url is None:
            raise RuntimeError(f"account {account.label!r} has no webhook_url")

    def prepare(
        self,
        account: SandboxAccount,
        moved: Holding,
        *,
        status: str,
        transaction: int | None,
        copies: int,
        tamper: Tamper | None,
        send: bool,
    ) -> "Delivery":
        """Make a delivery, if it can be made and, with `send`, be sent; see `Sandbox.settle` for what is raised."""
        if copies < 1:
            raise ValueError("a webhook is delivered at least once")
        if tamper is not None and tamper not in account.tampers:
            raise ValueError(f"tamper must be one of {', '.join(sorted(account.tampers))}, not {tamper!r}")
        if send:
            self.check(account)
        # Random, so that a receiver that remembers does not take them for those of an earlier sandbox.
        number = secrets.randbits(48) if transaction is None else transaction
        event = Event(number=number, event_id=f"msg_{secrets.token_hex(12)}", status=status, moved=moved)
        return Delivery(self, account, event, copies=copies, tamper=tamper)

    async def dispatch(self, delivery: "Delivery", *, send: bool) -> "Delivery":
        """Log a delivery, and send it unless it is held."""
        self.log.append(delivery)
        if send:
            await delivery.send()
        return delivery

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do something in the background, at the latest until the sandbox closes."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def post(self, url: str, message: Message) -> int:
        """Send a message and return the status of the answer, whose body is not read."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection each, so that no attempt fails for what became of an earlier one.
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            )
        request = self._session.post(URL(url), data=message.body, headers=message.headers, allow_redirects=False)
        async with request as response:
            return response.status


class Delivery:
    """One event on its way to an account's receiver: what was tried, and what became of it.

    It is made by a sandbox's `settle` and `announce`. `transaction` is the number of the transaction that it tells of,
    `status` the provider's word for that one's state.
    """

    def __init__(
        self, sender: WebhookSender, account: SandboxAccount, event: Event, *, copies: int, tamper: Tamper | None
    ) -> None:
        self._sender = sender
        self._account = account
        self._event = event
        self._copies = copies
        self._tamper: Tamper | None = tamper
        self._attempts: list[Attempt] = []
        self._runs: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        outcome = "accepted" if self.accepted else "not accepted"
        return f"<Delivery of {self.status!r} to {self.account!r}: {outcome}, attempts: {len(self._attempts)}>"

    @property
    def account(self) -> str:
        """The label of the account."""
        return self._account.label

    @property
    def transaction(self) -> int:
        """The number of the transaction, to be told of again."""
        return self._event.number

    @property
    def status(self) -> str:
        """The provider's word for the state of the transaction."""
        return self._event.status

    @property
    def tamper(self) -> Tamper | None:
        """What is done to every attempt."""
        return self._tamper

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was tried, in the order in which it ended."""
        return tuple(self._attempts)

    @property
    def accepted(self) -> bool:
        """Whether the receiver took any of the attempts."""
        return any(attempt.accepted for attempt in self._attempts)

    async def send(self) -> None:
        """Send it and return when the first attempt at every copy has ended; the retries follow in the background.

        Sent again, it is a duplicate: the same event, signed anew where the scheme has a time. Raises RuntimeError if
        the sandbox is not started or the account has no `webhook_url`.
        """
        self._sender.check(self._account)
        # All at once: the sandbox cannot close before the last of them has begun.
        tried = [self._begin() for _ in range(self._copies)]
        for first_attempt in tried:
            await first_attempt.wait()

    async def done(self) -> bool:
        """Wait until every copy that was sent is accepted, given up or ended by the close; return `accepted`."""
        while pending := [run for run in self._runs if not run.done()]:
            await asyncio.wait(pending)
        for run in self._runs:
            if not run.cancelled():
                # What a sleep that was passed in raised is not lost.
                run.result()
        return self.accepted

    def _begin(self) -> asyncio.Event:
        tried = asyncio.Event()
        # A task of its own: the provider goes on whatever becomes of the caller.
        run = self._sender.spawn(self._run(tried))
        # Not by the task itself, which does not come to anything if it is cancelled before it begins.
        run.add_done_callback(lambda _: tried.set())
        self._runs.append(run)
        return tried

    async def _run(self, tried: asyncio.Event) -> None:
        accepted = await self._attempt()
        tried.set()
        for delay in self._account.retry_delays:
            if accepted:
                return
            await self._sender.sleep(delay)
            accepted = await self._attempt()

    async def _attempt(self) -> bool:
        # Read each time, since it can be changed: where there is no receiver any more, nothing is sent.
        url = self._account.webhook_url
        if url is None:
            return False
        at = self._sender.clock()
        message = self._account.write_webhook(self._event, now=int(at), tamper=self._tamper)
        status, error = None, None
        try:
            status = await self._sender.post(url, message)
        except (aiohttp.ClientError, OSError) as failed:
            error = ": ".join(filter(None, (type(failed).__name__, str(failed))))
        except asyncio.CancelledError:
            error = _CLOSED_ERROR
            raise
        finally:
            self._attempts.append(
                Attempt(at=at, headers=message.headers, body=message.body, status=status, error=error)
            )
        return self._attempts[-1].accepted
