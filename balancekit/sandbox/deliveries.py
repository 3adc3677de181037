"""The delivery of webhooks: attempts over HTTP, the provider's retries, and the log of deliveries."""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

import aiohttp
import attrs
from multidict import CIMultiDictProxy
from yarl import URL

from balancekit.http.messages import Request
from balancekit.http.transport import describe_failure
from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.event_loop import SandboxLoop
from balancekit.sandbox.holdings import Holding
from balancekit.sandbox.request_log import LOG_LENGTH
from balancekit.sandbox.webhooks import Event, SignedWebhook, Tamper


@attrs.frozen(kw_only=True)
class Attempt:
    """One attempt to deliver a webhook: what was sent, and the status of the response or the error instead of it.

    `at` is the sandbox's clock in Unix seconds. The repr omits headers and body, which hold signatures.
    """

    at: float
    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    status: int | None = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the receiver accepted it, with any 2xx status."""
        return self.status in range(200, 300)


class WebhookSender:
    """Delivers the webhooks of a sandbox while it is started."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        timeout: float,
        loop: SandboxLoop,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.sleep = sleep
        self.log: deque[Delivery] = deque(maxlen=LOG_LENGTH)
        self._timeout = timeout
        self._running = False
        self._session: aiohttp.ClientSession | None = None
        self._tasks = set[asyncio.Task[None]]()

    def start(self) -> None:
        """Begin to deliver."""
        self._running = True

    async def aclose(self) -> None:
        """End every delivery, whether it is being sent or waits for its next attempt."""
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
            raise RuntimeError(
                f"account {account.label!r} has no webhook_url: set the address of the receiver, or use write_webhook, "
                "which needs none"
            )

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
        """Create a delivery; raises what `Sandbox.settle` raises, where `send` requires that it can be sent now."""
        if copies < 1:
            raise ValueError("a webhook is delivered at least once")
        if tamper is not None and tamper not in account.tampers:
            raise ValueError(f"tamper must be one of {', '.join(sorted(account.tampers))}, not {tamper!r}")
        if send:
            self.check(account)
        # Random, so that a receiver does not mistake them for duplicates from an earlier sandbox.
        number = secrets.randbits(48) if transaction is None else transaction
        event = Event(number=number, event_id=f"msg_{secrets.token_hex(12)}", status=status, moved=moved)
        return Delivery(self, account, event, copies=copies, tamper=tamper)

    async def dispatch(self, delivery: "Delivery", *, send: bool) -> "Delivery":
        """Log a delivery, and send it if `send` is true."""
        self.log.append(delivery)
        if send:
            await delivery.send()
        return delivery

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run work in the background, at most until the sandbox closes."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def post(self, url: str, webhook: SignedWebhook) -> int:
        """Send a webhook and return the status of the response; the body is not read."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A new connection each time, so that no attempt fails because an old connection is dead.
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            )
        request = self._session.post(URL(url), data=webhook.body, headers=webhook.headers, allow_redirects=False)
        async with request as response:
            return response.status


class Delivery:
    """One event to deliver to an account's receiver, with its attempts; created by `settle` and `announce`."""

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
        """The number of the transaction, for its later events."""
        return self._event.number

    @property
    def status(self) -> str:
        """The provider's status of the transaction."""
        return self._event.status

    @property
    def tamper(self) -> Tamper | None:
        """The tamper that applies to every attempt."""
        return self._tamper

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts in the order in which they ended."""
        return tuple(self._attempts)

    @property
    def accepted(self) -> bool:
        """Whether the receiver accepted any of the attempts."""
        return any(attempt.accepted for attempt in self._attempts)

    async def send(self) -> None:
        """Send it and return when the first attempt of every copy has ended; the retries follow in the background.

        Sending again makes a duplicate: the same event, signed anew where the signature covers a time. Raises
        RuntimeError if the sandbox is not started or the account has no `webhook_url`.
        """
        self._sender.check(self._account)
        await self._sender.loop.call(self._send)

    async def done(self) -> bool:
        """Wait until every copy that was sent is accepted, given up or cancelled; return `accepted`."""
        return await self._sender.loop.call(self._done)

    def sign(self, at: float) -> SignedWebhook:
        """Return what an attempt at that moment, in Unix seconds, sends."""
        return self._account.write_webhook(self._event, now=int(at), tamper=self._tamper)

    async def _send(self) -> None:
        # All are started before any is awaited, so that the sandbox cannot close in between.
        for attempted in [self._start() for _ in range(self._copies)]:
            await attempted.wait()

    async def _done(self) -> bool:
        while pending := [run for run in self._runs if not run.done()]:
            await asyncio.wait(pending)
        for run in self._runs:
            if not run.cancelled():
                # Raise what the given `sleep` raised.
                run.result()
        return self.accepted

    def _start(self) -> asyncio.Event:
        attempted = asyncio.Event()
        # In a task of its own, since a provider continues when the caller of `settle` is cancelled.
        run = self._sender.spawn(self._run(attempted))
        # A task that is cancelled before its first step cannot set it.
        run.add_done_callback(lambda _: attempted.set())
        self._runs.append(run)
        return attempted

    async def _run(self, attempted: asyncio.Event) -> None:
        accepted = await self._attempt()
        attempted.set()
        for delay in self._account.retry_delays:
            if accepted:
                return
            await self._sender.sleep(delay)
            accepted = await self._attempt()

    async def _attempt(self) -> bool:
        # Read before each attempt, since it can be changed; without a receiver nothing is sent.
        url = self._account.webhook_url
        if url is None:
            return False
        at = self._sender.clock()
        webhook = self.sign(at)
        status, error = None, None
        try:
            status = await self._sender.post(url, webhook)
        except Exception as raised:
            error = describe_failure(raised, Request("POST", url, webhook.headers, webhook.body))
            if error is None:
                raise
        except asyncio.CancelledError:
            error = "the sandbox closed"
            raise
        finally:
            self._attempts.append(
                Attempt(at=at, headers=webhook.headers, body=webhook.body, status=status, error=error)
            )
        return self._attempts[-1].accepted
