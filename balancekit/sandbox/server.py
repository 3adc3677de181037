"""The sandbox: its lifetime, its accounts and faults, and the way of a request through it."""

import asyncio
import contextlib
import secrets
import socket
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from decimal import Decimal
from email.utils import formatdate
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast
from weakref import WeakSet

from aiohttp import web
from yarl import URL

from balancekit.http.messages import is_loopback
from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.apis import Api, NotFoundApi
from balancekit.sandbox.certificates import Authority, Certificate
from balancekit.sandbox.cryptoprocessing import CryptoprocessingAccount, CryptoprocessingApi
from balancekit.sandbox.deliveries import Delivery, WebhookSender
from balancekit.sandbox.fault_injection import inject_fault, reset_connection, to_aiohttp
from balancekit.sandbox.faults import Fault, apply_fault
from balancekit.sandbox.getmany import GatewayAccount, GetManyApi, SignedAccount, new_signing_key
from balancekit.sandbox.holdings import Holdings
from balancekit.sandbox.request_log import ReceivedRequest, RequestLog
from balancekit.sandbox.responses import SandboxResponse
from balancekit.sandbox.webhooks import Tamper

if TYPE_CHECKING:
    import ssl

_SHUTDOWN_TIMEOUT: Final = 0.01
"""Seconds, since aiohttp takes zero for no limit; whatever was being answered has been cancelled by then."""


class Sandbox:
    """A server on loopback that plays both provider APIs, for tests, demos and trying things out.

    It is started by `async with` or `start`. Accounts, holdings and faults can be set at any time, before the start
    too. `port` 0 means any that is free; `clock` gives Unix seconds, for the age of timestamps and the `Date` of
    answers and of webhooks. With a `certificate` it speaks TLS. `sleep` waits for so many seconds before a webhook is
    tried again, and `webhook_timeout` is how many seconds a receiver has to answer. Raises ValueError for a host that
    is not loopback.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        certificate: Certificate | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        webhook_timeout: float = 5.0,
    ) -> None:
        if not is_loopback(host):
            raise ValueError(f"the sandbox serves loopback addresses only, not {host!r}")
        self._host = host
        self._port = port
        self._clock = clock
        self._authority = None if certificate is None else Authority()
        self._certificate = certificate
        self._runner: web.ServerRunner | None = None
        self._reset_on_next_request = WeakSet[asyncio.Task[None]]()
        self._tasks: set[asyncio.Task[object]] = set()
        self._cryptoprocessing = CryptoprocessingApi()
        self._getmany = GetManyApi()
        self._apis: tuple[Api, ...] = (self._cryptoprocessing, self._getmany, NotFoundApi())
        self._accounts: dict[str, SandboxAccount] = {}
        self._faults: dict[str | None, deque[Fault]] = {None: deque()}
        self._log = RequestLog()
        self._webhooks = WebhookSender(clock=clock, sleep=sleep, timeout=webhook_timeout)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Begin to listen: RuntimeError if it does already, OSError if the port cannot be had.

        After `aclose` it can be started again and comes back on the same port, as a provider does after an outage.
        """
        await self._listen()
        self._webhooks.start()

    async def aclose(self) -> None:
        """Stop at once: what is being answered, hangs or is being delivered is dropped. Closing twice does nothing."""
        try:
            await self._webhooks.aclose()
        finally:
            await self._stop_listening()

    async def _listen(self) -> None:
        if self._runner is not None:
            raise RuntimeError("the sandbox is started already")
        server = web.Server(self._serve, handler_cancellation=True, access_log=None, auto_decompress=False)
        self._runner = runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        try:
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._server_context()).start()
        except BaseException:
            await self._stop_listening()
            raise
        self._port = runner.addresses[0][1]

    async def _stop_listening(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            for task in self._tasks:
                task.cancel()
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncGenerator[None, None]:
        """Refuse connections, drop those that are open, and listen again on the same port when the block ends.

        Webhooks go on.
        """
        await self._stop_listening()
        try:
            yield
        finally:
            await self._listen()

    @contextlib.asynccontextmanager
    async def not_reading(self) -> AsyncGenerator[None, None]:
        """Accept connections and never read from them, until the block ends; those that are open are dropped."""
        async with self.refusing():
            # It is the kernel that accepts.
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            with socket.create_server((self._host, self._port), family=family):
                yield

    @property
    def client_context(self) -> "ssl.SSLContext":
        """The settings of a TLS client that trusts the sandbox's authority; RuntimeError without a certificate."""
        if self._authority is None:
            raise RuntimeError("the sandbox was given no certificate: it does not speak TLS")
        return self._authority.client_context()

    @property
    def address(self) -> str:
        """The sandbox's origin, for example "http://127.0.0.1:8080"; RuntimeError before the port is known."""
        if not self._port:
            raise RuntimeError("the sandbox must be started first: its port is not known yet")
        scheme = "http" if self._certificate is None else "https"
        return str(URL.build(scheme=scheme, host=self._host, port=self._port))

    @property
    def accounts(self) -> tuple[SandboxAccount, ...]:
        """The accounts in the order in which they were added."""
        return tuple(self._accounts.values())

    def add_cryptoprocessing(
        self,
        label: str,
        holdings: Holdings = (),
        *,
        key: str | None = None,
        secret: str | None = None,
        balances_as_numbers: bool = False,
        webhook_url: str | None = None,
    ) -> SandboxAccount:
        """Add an account at Cryptoprocessing; credentials that are not given are random.

        `balances_as_numbers` sends bare JSON numbers, as the provider's page of March 2026 showed them.
        `webhook_url` can be set later too. Raises ValueError if the label or the key is taken, or for a URL that is not
        of this machine.
        """
        account = CryptoprocessingAccount(
            label=self._free(label),
            holdings=holdings,
            address=lambda: self.address,
            key=secrets.token_hex(16) if key is None else key,
            secret=secrets.token_hex(32) if secret is None else secret,
            balances_as_numbers=balances_as_numbers,
            webhook_url=webhook_url,
        )
        self._cryptoprocessing.add(account)
        self._accounts[label] = account
        return account

    def add_getmany(
        self,
        label: str,
        holdings: Holdings = (),
        *,
        key_id: str | None = None,
        signing_key: str | None = None,
        signed: bool = True,
        webhook_url: str | None = None,
    ) -> SandboxAccount:
        """Add an account at getMany; credentials that are not given are random.

        `signing_key` is base64 of PKCS#8 DER. With `signed=False` the account is behind a gateway that signs: it takes
        unsigned requests, at a path of its own. `webhook_url` can be set later too; its webhooks have a random key pair
        of their own. Raises ValueError if the label or the key id is taken, if the key is no such key, or for a URL
        that is not of this machine.
        """
        account: SignedAccount | GatewayAccount
        if signed:
            account = SignedAccount(
                label=self._free(label),
                holdings=holdings,
                address=lambda: self.address,
                key_id=f"key_{secrets.token_hex(8)}" if key_id is None else key_id,
                signing_key=new_signing_key() if signing_key is None else signing_key,
                webhook_url=webhook_url,
            )
        elif key_id is None and signing_key is None:
            account = GatewayAccount(
                label=self._free(label), holdings=holdings, address=lambda: self.address, webhook_url=webhook_url
            )
        else:
            raise ValueError("an account behind a gateway has no credentials")
        self._getmany.add(account)
        self._accounts[label] = account
        return account

    def fail(self, account: str | None, fault: Fault, *, times: int = 1) -> None:
        """Play a fault on the next requests of an account, after those that were set before: first in, first out.

        None stands for whichever request comes next, to any path and with any credentials; it waits behind the faults
        of the request's own account. Raises ValueError for a label that no account has.
        """
        if account is not None and account not in self._accounts:
            raise ValueError(f"no account is labelled {account!r}")
        if times < 1:
            raise ValueError("a fault is played at least once")
        self._faults.setdefault(account, deque()).extend([fault] * times)

    def clear_faults(self) -> None:
        """Drop the faults that have not been played."""
        self._faults = {None: deque()}

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """What was received, in order of arrival: the latest 10 000 requests."""
        return self._log.entries

    def clear_requests(self) -> None:
        """Forget what was received."""
        self._log.clear()

    async def settle(
        self,
        account: str | SandboxAccount,
        currency: str,
        amount: str | int | Decimal,
        *,
        chain: str | None = None,
        transaction: int | None = None,
        copies: int = 1,
        tamper: Tamper | None = None,
        send: bool = True,
    ) -> Delivery:
        """Add an amount to what an account holds, and deliver the webhook that tells it, as the provider would.

        Returns when the receiver has answered or failed the first time; the provider's retries follow in the
        background. A negative amount is one that leaves the account. `transaction` is the number of one that was
        announced before; `copies` are delivered at once; `tamper` is done to every attempt; without `send` the delivery
        is held until its `send()`. Raises TypeError for a float, ValueError for a label that no account has, for what
        cannot be added, or for what cannot be done to a webhook of the provider, RuntimeError if there is nowhere to
        send it; nothing is changed then.
        """
        found = self._account(account)
        delivery = self._webhooks.prepare(
            found,
            found.movement(currency, amount, chain=chain),
            status=found.settled_status,
            transaction=transaction,
            copies=copies,
            tamper=tamper,
            send=send,
        )
        found.add(currency, amount, chain=chain)
        return await self._webhooks.dispatch(delivery, send=send)

    async def announce(
        self,
        account: str | SandboxAccount,
        currency: str,
        amount: str | int | Decimal,
        *,
        chain: str | None = None,
        status: str | None = None,
        transaction: int | None = None,
        copies: int = 1,
        tamper: Tamper | None = None,
        send: bool = True,
    ) -> Delivery:
        """Deliver the webhook of a transaction that changes nothing: pending, unless another `status` is given.

        `status` is the provider's word, such as "FAILED" or "cancelled"; everything else is as in `settle`.
        """
        found = self._account(account)
        delivery = self._webhooks.prepare(
            found,
            found.movement(currency, amount, chain=chain),
            status=found.pending_status if status is None else status,
            transaction=transaction,
            copies=copies,
            tamper=tamper,
            send=send,
        )
        return await self._webhooks.dispatch(delivery, send=send)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """What `settle` and `announce` made, oldest first, what is held included: the latest 10 000 deliveries."""
        return tuple(self._webhooks.log)

    def clear_deliveries(self) -> None:
        """Forget the deliveries; those that are under way go on."""
        self._webhooks.log.clear()

    def _account(self, account: str | SandboxAccount) -> SandboxAccount:
        label = account if isinstance(account, str) else account.label
        found = self._accounts.get(label)
        if found is None or account not in (label, found):
            raise ValueError(f"no account is labelled {label!r}")
        return found

    def _server_context(self) -> "ssl.SSLContext | None":
        if self._authority is None or self._certificate is None:
            return None
        return self._authority.server_context(self._certificate, self._host)

    def _free(self, label: str) -> str:
        if label in self._accounts:
            raise ValueError(f"two accounts are labelled {label!r}")
        return label

    def _next_fault(self, account: SandboxAccount | None) -> Fault | None:
        own = self._faults.get(account.label) if account is not None else None
        queue = own or self._faults[None]
        return queue.popleft() if queue else None

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One task of aiohttp's serves all requests of a connection.
        if http.task in self._reset_on_next_request:
            return reset_connection(http)
        body = await http.read()
        route = http.raw_path.partition("?")[0]
        api = next(api for api in self._apis if api.serves(route))
        account = api.identify(route, http.headers)
        request = ReceivedRequest(
            at=self._clock(),
            provider=api.provider,
            account=None if account is None else account.label,
            method=http.method,
            path=http.raw_path,
            headers=http.headers,
            body=body,
            fault=self._next_fault(account),
        )
        number = self._log.add(request)

        def build_response() -> SandboxResponse:
            response = self._respond(request, api)
            self._log.complete(number, response)
            return response

        if request.fault is None:
            return to_aiohttp(build_response())
        if request.fault.ending == "reset-next":
            self._reset_on_next_request.add(http.task)
        return await inject_fault(request.fault, http, build_response)

    def _respond(self, request: ReceivedRequest, api: Api) -> SandboxResponse:
        if request.fault is None:
            response = api.respond(request)
        else:
            response = apply_fault(
                request.fault, usual=lambda: api.respond(request), documented_error=api.documented_error
            )
        if "Date" in response.headers:
            return response
        return response.with_headers({"Date": formatdate(self._clock(), usegmt=True)})
