"""The sandbox: its lifetime, its accounts and faults, and the way of a request through it."""

import asyncio
import contextlib
import secrets
import socket
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from email.utils import formatdate
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, cast
from weakref import WeakSet

from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from balancekit.http import is_loopback
from balancekit.sandbox.accounts import Holdings, SandboxAccount
from balancekit.sandbox.answers import Answer
from balancekit.sandbox.certificates import Authority, Certificate
from balancekit.sandbox.cryptoprocessing import CryptoprocessingAccount, CryptoprocessingApi
from balancekit.sandbox.faults import Fault, faulty
from balancekit.sandbox.getmany import GatewayAccount, GetManyApi, SignedAccount, new_signing_key
from balancekit.sandbox.playing import play, reset, respond
from balancekit.sandbox.requests import ReceivedRequest, RequestLog

if TYPE_CHECKING:
    import ssl

_SHUTDOWN_TIMEOUT: Final = 0.01
"""Seconds, since aiohttp takes zero for no limit; whatever was being answered has been cancelled by then."""


class _Api(Protocol):
    @property
    def provider(self) -> str | None: ...
    def serves(self, route: str) -> bool: ...
    def recognise(self, route: str, headers: CIMultiDictProxy[str]) -> SandboxAccount | None: ...
    def answer(self, request: ReceivedRequest) -> Answer: ...
    def documented(self, status: int) -> Answer | None: ...


class Sandbox:
    """A server on loopback that plays both provider APIs, for tests, demos and trying things out.

    It is started by `async with` or `start`. Accounts, holdings and faults can be set at any time, before the start
    too. `port` 0 means any that is free; `clock` gives Unix seconds, for the age of timestamps and the `Date` of
    answers. With a `certificate` it speaks TLS. Raises ValueError for a host that is not loopback.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        certificate: Certificate | None = None,
    ) -> None:
        if not is_loopback(host):
            raise ValueError(f"the sandbox serves loopback addresses only, not {host!r}")
        self._host = host
        self._port = port
        self._clock = clock
        self._authority = None if certificate is None else Authority()
        self._certificate = certificate
        self._runner: web.ServerRunner | None = None
        self._doomed = WeakSet[asyncio.Task[None]]()
        self._tasks: set[asyncio.Task[object]] = set()
        self._cryptoprocessing = CryptoprocessingApi()
        self._getmany = GetManyApi()
        self._apis: tuple[_Api, ...] = (self._cryptoprocessing, self._getmany, _Elsewhere())
        self._accounts: dict[str, SandboxAccount] = {}
        self._faults: dict[str | None, deque[Fault]] = {None: deque()}
        self._log = RequestLog()

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
        if self._runner is not None:
            raise RuntimeError("the sandbox is started already")
        server = web.Server(self._serve, handler_cancellation=True, access_log=None, auto_decompress=False)
        self._runner = runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        try:
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._server_context()).start()
        except BaseException:
            await self.aclose()
            raise
        self._port = runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop at once: requests that are being answered, or hang, are dropped. Closing twice does nothing."""
        runner, self._runner = self._runner, None
        if runner is not None:
            for task in self._tasks:
                task.cancel()
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncGenerator[None, None]:
        """Refuse connections, drop those that are open, and listen again on the same port when the block ends."""
        await self.aclose()
        try:
            yield
        finally:
            await self.start()

    @contextlib.asynccontextmanager
    async def deaf(self) -> AsyncGenerator[None, None]:
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
    ) -> SandboxAccount:
        """Add an account at Cryptoprocessing; credentials that are not given are random.

        `balances_as_numbers` sends bare JSON numbers, as the provider's page of March 2026 showed them. Raises
        ValueError if the label or the key is taken.
        """
        account = CryptoprocessingAccount(
            label=self._free(label),
            holdings=holdings,
            address=lambda: self.address,
            key=secrets.token_hex(16) if key is None else key,
            secret=secrets.token_hex(32) if secret is None else secret,
            balances_as_numbers=balances_as_numbers,
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
    ) -> SandboxAccount:
        """Add an account at getMany; credentials that are not given are random.

        `signing_key` is base64 of PKCS#8 DER. With `signed=False` the account is behind a gateway that signs: it takes
        unsigned requests, at a path of its own. Raises ValueError if the label or the key id is taken, or
        if the key is no such key.
        """
        account: SignedAccount | GatewayAccount
        if signed:
            account = SignedAccount(
                label=self._free(label),
                holdings=holdings,
                address=lambda: self.address,
                key_id=f"key_{secrets.token_hex(8)}" if key_id is None else key_id,
                signing_key=new_signing_key() if signing_key is None else signing_key,
            )
        elif key_id is None and signing_key is None:
            account = GatewayAccount(label=self._free(label), holdings=holdings, address=lambda: self.address)
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
        if http.task in self._doomed:
            return reset(http)
        body = await http.read()
        route = http.raw_path.partition("?")[0]
        api = next(api for api in self._apis if api.serves(route))
        account = api.recognise(route, http.headers)
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
        number = self._log.arrived(request)

        def answer() -> Answer:
            made = self._answer(request, api)
            self._log.answered(number, made)
            return made

        if request.fault is None:
            return respond(answer())
        if request.fault.ending == "reset-next":
            self._doomed.add(http.task)
        return await play(request.fault, http, answer)

    def _answer(self, request: ReceivedRequest, api: _Api) -> Answer:
        if request.fault is None:
            made = api.answer(request)
        else:
            made = faulty(request.fault, usual=lambda: api.answer(request), documented=api.documented)
        if "Date" in made.headers:
            return made
        return made.with_headers({"Date": formatdate(self._clock(), usegmt=True)})


class _Elsewhere:
    """What is asked for outside both APIs."""

    @property
    def provider(self) -> None:
        pass

    def serves(self, route: str) -> bool:  # noqa: ARG002 - whatever the APIs do not
        return True

    def recognise(self, route: str, headers: CIMultiDictProxy[str]) -> None:
        pass

    def answer(self, request: ReceivedRequest) -> Answer:  # noqa: ARG002 - always the same
        return Answer.of_status(HTTPStatus.NOT_FOUND)

    def documented(self, status: int) -> None:
        pass
