"""The sandbox: its accounts, faults and webhooks, and the path of a request through it."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from decimal import Decimal
from email.utils import formatdate
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from aiohttp import web

from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.apis import Api, NotFoundApi
from balancekit.sandbox.certificates import Authority, Certificate
from balancekit.sandbox.cryptoprocessing import CryptoprocessingAccount, CryptoprocessingApi
from balancekit.sandbox.deliveries import Delivery, WebhookSender
from balancekit.sandbox.event_loop import SandboxLoop, loop_in_thread
from balancekit.sandbox.fault_injection import FaultInjector, apply_fault, reset_connection, to_aiohttp
from balancekit.sandbox.faults import Fault
from balancekit.sandbox.getmany import GatewayAccount, GetManyApi, SignedAccount, new_signing_key
from balancekit.sandbox.holdings import Holdings
from balancekit.sandbox.listener import Listener
from balancekit.sandbox.request_log import ReceivedRequest, RequestLog
from balancekit.sandbox.responses import SandboxResponse
from balancekit.sandbox.webhooks import SignedWebhook, Tamper

if TYPE_CHECKING:
    import ssl

_Account = TypeVar("_Account", bound=SandboxAccount)


class Sandbox:
    """A server on loopback that simulates both provider APIs, for tests, demos and trying things out.

    It is started by `async with` or `start`, or in a thread of its own by `with`; any thread and any event loop may use
    it. Accounts, holdings and faults can be set at any time, before the start too. `port` 0 means any that is free;
    `clock` gives Unix seconds, for the age of timestamps and the `Date` of responses and of webhooks; clients allow for
    one that is up to a day off. With a `certificate` it speaks TLS. `sleep` waits for so many seconds before a webhook
    is sent again, and `webhook_timeout` is how many seconds a receiver has to respond. Raises ValueError for a host
    that is not loopback.
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
        self._clock = clock
        self._authority = None if certificate is None else Authority(certificate)
        self._loop = SandboxLoop()
        self._thread = ExitStack()
        self._listener = Listener(self._serve, host=host, port=port, authority=self._authority, loop=self._loop)
        self._cryptoprocessing = CryptoprocessingApi()
        self._getmany = GetManyApi()
        self._apis: tuple[Api, ...] = (self._cryptoprocessing, self._getmany, NotFoundApi())
        self._accounts: dict[str, SandboxAccount] = {}
        self._faults = FaultInjector()
        self._log = RequestLog()
        self._webhooks = WebhookSender(clock=clock, sleep=sleep, timeout=webhook_timeout, loop=self._loop)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            loop = stack.enter_context(loop_in_thread())
            asyncio.run_coroutine_threadsafe(self.start(), loop).result()
            stack.callback(lambda: asyncio.run_coroutine_threadsafe(self.aclose(), loop).result())
            self._thread = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.close()

    async def start(self) -> None:
        """Begin to listen: RuntimeError if it does already, OSError if the port is not available.

        After `aclose` it can be started again, on the same port, as a provider comes back after an outage.
        """
        await self._loop.call(self._start)

    async def _start(self) -> None:
        await self._listener.start()
        self._webhooks.start()
        self._loop.set_running()

    async def aclose(self) -> None:
        """Stop at once: requests, hanging ones too, and deliveries are cancelled. Closing twice does nothing."""
        await self._loop.call(self._aclose)

    async def _aclose(self) -> None:
        try:
            await self._webhooks.aclose()
        finally:
            await self._listener.stop()

    def refusing(self) -> AbstractAsyncContextManager[None]:
        """Refuse connections, drop those that are open, and listen again on the same port when the block ends.

        Webhooks are still delivered.
        """
        return self._listener.refusing()

    def not_reading(self) -> AbstractAsyncContextManager[None]:
        """Accept connections and never read from them, until the block ends; those that are open are dropped."""
        return self._listener.not_reading()

    @property
    def client_context(self) -> "ssl.SSLContext":
        """The settings of a TLS client that trusts the sandbox's authority; RuntimeError without a certificate."""
        if self._authority is None:
            raise RuntimeError("the sandbox was given no certificate: it does not speak TLS")
        return self._authority.client_context()

    @property
    def address(self) -> str:
        """The sandbox's origin, for example `http://127.0.0.1:8080`; RuntimeError before the port is known."""
        return self._listener.address()

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
        on this machine.
        """
        return self._register(
            self._cryptoprocessing.add,
            CryptoprocessingAccount(
                label=label,
                holdings=holdings,
                address=self._listener.address,
                key=secrets.token_hex(16) if key is None else key,
                secret=secrets.token_hex(32) if secret is None else secret,
                balances_as_numbers=balances_as_numbers,
                webhook_url=webhook_url,
            ),
        )

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
        of their own. Raises ValueError if the label or the key id is taken, if the key is not such a key, or for a URL
        that is not on this machine.
        """
        account: SignedAccount | GatewayAccount
        if signed:
            account = SignedAccount(
                label=label,
                holdings=holdings,
                address=self._listener.address,
                key_id=f"key_{secrets.token_hex(8)}" if key_id is None else key_id,
                signing_key=new_signing_key() if signing_key is None else signing_key,
                webhook_url=webhook_url,
            )
        elif key_id is None and signing_key is None:
            account = GatewayAccount(
                label=label, holdings=holdings, address=self._listener.address, webhook_url=webhook_url
            )
        else:
            raise ValueError("an account behind a gateway has no credentials")
        return self._register(self._getmany.add, account)

    def fail(self, account: str | None, fault: Fault, *, times: int = 1) -> None:
        """Inject a fault into the next requests of an account, after the faults set before: first in, first out.

        None stands for the next request of all, to any path and with any credentials; faults of the request's own
        account come first. Raises ValueError for a label that no account has.
        """
        if account is not None:
            self._account(account)
        if times < 1:
            raise ValueError("a fault is played at least once")
        self._faults.add(account, fault, times=times)

    def clear_faults(self) -> None:
        """Drop the faults that no request has met yet."""
        self._faults.clear()

    @property
    def requests(self) -> tuple[ReceivedRequest, ...]:
        """The requests in order of arrival: the latest 10 000."""
        return self._log.entries

    def clear_requests(self) -> None:
        """Remove every request from the log."""
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
        """Add an amount to the holdings of an account, and deliver the webhook for it, as the provider would.

        Returns when the receiver has responded or failed the first time; the provider's retries follow in the
        background. A negative amount leaves the account. `transaction` is the number of one that was announced before;
        `copies` are delivered at once; `tamper` applies to every attempt; without `send` the delivery waits for its
        `send()`. Raises TypeError for a float, ValueError for a label that no account has, an amount that cannot be
        added, or a tamper that does not fit the provider's webhooks, RuntimeError if there is nowhere to send it;
        nothing is changed then.
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
        """Deliver the webhook of a transaction that changes no holding: pending, unless another `status` is given.

        `status` is the provider's, such as "FAILED" or "cancelled"; everything else is as in `settle`.
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

    def write_webhook(
        self,
        account: str | SandboxAccount,
        currency: str,
        amount: str | int | Decimal,
        *,
        settled: bool = True,
        chain: str | None = None,
        transaction: int | None = None,
        tamper: Tamper | None = None,
    ) -> SignedWebhook:
        """Settle an amount as `settle` does, and return the webhook, signed now, to deliver without a socket.

        Its `headers` and `body` are for `AggregateClient.handle_webhook`, or for a framework's test client. With
        `settled=False` it is that of a pending transaction, as from `announce`. The arguments, and what it raises, are
        those of `settle`.
        """
        found = self._account(account)
        delivery = self._webhooks.prepare(
            found,
            found.movement(currency, amount, chain=chain),
            status=found.settled_status if settled else found.pending_status,
            transaction=transaction,
            copies=1,
            tamper=tamper,
            send=False,
        )
        if settled:
            found.add(currency, amount, chain=chain)
        return delivery.sign(self._clock())

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The deliveries of `settle` and `announce`, oldest first, those not sent yet included: the latest 10 000."""
        return tuple(self._webhooks.log)

    def clear_deliveries(self) -> None:
        """Remove every delivery from the log; those that are under way continue."""
        self._webhooks.log.clear()

    def _account(self, account: str | SandboxAccount) -> SandboxAccount:
        label = account if isinstance(account, str) else account.label
        found = self._accounts.get(label)
        if found is None or account not in (label, found):
            known = ", ".join(map(repr, self._accounts)) or "none"
            raise ValueError(f"no account is labelled {label!r}; there are {known}")
        return found

    def _register(self, add: Callable[[_Account], None], account: _Account) -> SandboxAccount:
        if account.label in self._accounts:
            raise ValueError(f"two accounts are labelled {account.label!r}")
        add(account)
        self._accounts[account.label] = account
        return account

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        if self._faults.resets(http):
            return reset_connection(http)
        body = await http.read()
        route = http.raw_path.partition("?")[0]
        api = next(api for api in self._apis if api.serves(route))
        account = api.identify(route, http.headers)
        label = None if account is None else account.label
        request = ReceivedRequest(
            at=self._clock(),
            provider=api.provider,
            account=label,
            method=http.method,
            path=http.raw_path,
            headers=http.headers,
            body=body,
            fault=self._faults.take(label),
        )
        number = self._log.add(request)

        def build_response() -> SandboxResponse:
            response = self._respond(request, api)
            self._log.complete(number, response)
            return response

        if request.fault is None:
            return to_aiohttp(build_response())
        return await self._faults.inject(request.fault, http, build_response)

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
