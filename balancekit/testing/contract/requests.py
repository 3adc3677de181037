"""The contract: what is sent, and that accounts, reads and event loops do not touch each other."""

import asyncio
import functools
import math
import time
from collections.abc import Coroutine, Generator
from typing import Any, Final, cast

import aiohttp
import pytest

from balancekit.client.aggregate import AggregateClient
from balancekit.http.messages import Request
from balancekit.money.balances import ReportedBalances
from balancekit.providers.base import BalanceProvider, HttpProvider
from balancekit.providers.settings import settings_of
from balancekit.testing.contract.harness import LABEL, Harness, on_request, reported, with_status
from balancekit.testing.contract.server import BASE_PATH

_AUTOMATIC: Final = frozenset({"host", "accept", "accept-encoding", "user-agent", "content-length", "content-type"})


_BLOCKED: Final = 0.05
"""How many seconds a step of a read may take."""

_TRIES: Final = 5


class _Timed:
    """Awaits a coroutine; `longest` is how many seconds its longest step has taken."""

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self.longest = 0.0
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        step = functools.partial(self._coroutine.send, None)
        while True:
            begun = time.perf_counter()
            try:
                waits_for = step()
            except StopIteration:
                return
            finally:
                self.longest = max(self.longest, time.perf_counter() - begun)
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever it is, the coroutine gets it
                step = functools.partial(self._coroutine.throw, error)
            else:
                step = functools.partial(self._coroutine.send, None)


class RequestTests(Harness):
    """Requests, repetition, isolation and settings."""

    def test_requests_go_to_the_base_url(self) -> None:
        """Its path belongs to it."""
        for request in self._read().requests:
            assert request.url.partition("127.0.0.1")[2].partition("/")[2].startswith(f"{BASE_PATH[1:]}/")

    def test_a_base_url_may_end_in_a_slash(self) -> None:
        """One that is copied from a browser has a slash there."""

        async def steps() -> tuple[Request, ...]:
            async with self._api(self._some()) as api:
                read = await self._read_from(api, self.make_provider(LABEL, f"{api.base_url}/"))
                assert reported(read.balances) == reported(self._some())
                return read.requests

        assert not [request.url for request in self._run(steps) if "//" in request.url.partition("://")[2]]

    def test_what_it_does_is_declared(self) -> None:
        """An adapter of several requests has pages, a token or both."""
        assert len(self._read().requests) == 1 or self.has_pages or self.has_token, "declare has_pages, or has_token"

    def test_nothing_of_a_lent_session_is_sent(self) -> None:
        """Neither its headers nor its cookies: they are credentials of others."""

        async def steps() -> tuple[Request, ...]:
            async with (
                self._api(self._some()) as api,
                aiohttp.ClientSession(
                    headers={"X-Contract": "lent"},
                    cookies={"contract": "lent"},
                    cookie_jar=aiohttp.CookieJar(unsafe=True),
                ) as session,
                AggregateClient([self.make_provider(LABEL, api.base_url)], session=session, attempts=1) as client,
            ):
                await client.fetch(strict=True)
                return tuple(api.requests)

        for request in self._run(steps):
            assert "lent" not in str(request.headers.items())

    def test_a_second_read_sees_what_is_new(self) -> None:
        """Nothing is kept from the first: a balance that has gone is gone, and another has another amount."""

        async def steps() -> None:
            async with self._api(self._some()) as first, self._api(self._some(digits="77")[:1]) as second:
                provider = self.make_provider(LABEL, first.base_url)
                await self._read_from(first, provider)
                first.play = second.play
                read = await self._read_from(first, provider)
            assert reported(read.balances) == reported(self._some(digits="77")[:1])

        self._run(steps)

    def test_a_read_succeeds_after_one_that_failed(self) -> None:
        """A failure leaves nothing behind."""

        async def steps() -> None:
            async with self._api(self._some(), with_status(500)) as api:
                provider = self.make_provider(LABEL, api.base_url)
                self._check_error(await self._read_from(api, provider))
                api.change = None
                read = await self._read_from(api, provider)
            assert reported(read.balances) == reported(self._some())

        self._run(steps)

    def test_a_failure_after_a_read_is_a_failure(self) -> None:
        """Balances of an earlier read are not passed off as new ones."""

        async def steps() -> None:
            async with self._api(self._some()) as api:
                provider = self.make_provider(LABEL, api.base_url)
                await self._read_from(api, provider)
                api.change = with_status(503)
                self._check_error(await self._read_from(api, provider))

        self._run(steps)

    def test_reads_at_the_same_time_do_not_mix(self) -> None:
        """An adapter may be asked again before it has responded."""

        async def steps() -> None:
            async with self._api(self._some()) as api:
                provider = self.make_provider(LABEL, api.base_url)
                reads = await asyncio.gather(*(self._read_from(api, provider) for _ in range(5)))
            for read in reads:
                assert reported(read.balances) == reported(self._some())

        self._run(steps)

    def test_two_accounts_do_not_mix(self) -> None:
        """Each is read from its own URL, with its own label."""

        async def steps() -> None:
            held = {LABEL: self._some(), "other": self._some("other", "99")}
            async with self._api(held[LABEL]) as one, self._api(held["other"]) as two:
                providers = [self.make_provider(LABEL, one.base_url), self.make_provider("other", two.base_url)]
                async with AggregateClient(providers, attempts=1) as client:
                    merged = await client.fetch(strict=True)
            for account in merged.accounts:
                assert reported(account.balances) == reported(held[account.account])
                assert {balance.account for balance in account.balances} == {account.account}

        self._run(steps)

    def test_an_adapter_works_in_one_event_loop_after_another(self) -> None:
        """It keeps nothing of a loop that has ended."""
        kept: list[tuple[int, BalanceProvider]] = []

        async def steps() -> None:
            port, provider = kept[0] if kept else (0, None)
            async with self._api(self._some(), port=port) as api:
                provider = provider or self.make_provider(LABEL, api.base_url)
                kept.append((api.port, provider))
                assert reported((await self._read_from(api, provider)).balances) == reported(self._some())

        for _ in range(3):
            self._run(steps)

    def test_a_retry_succeeds(self) -> None:
        """It is a request like the first, and signed anew where `signs_anew` is declared."""

        async def steps() -> tuple[Request, ...]:
            async with self._api(self._some(), on_request(0, with_status(503))) as api:
                provider = self.make_provider(LABEL, api.base_url)
                async with AggregateClient([provider], attempts=2) as client:
                    merged = await client.fetch(strict=True)
            assert reported(merged.accounts[0].balances) == reported(self._some())
            return tuple(api.requests[:2])

        first, second = self._run(steps)
        if self.signs_anew:
            assert _signed(first) != _signed(second), "the retry has the nonce of the first request"

    def test_every_request_is_signed_anew(self) -> None:
        """No nonce is used twice."""
        self._need("signs_anew")

        async def steps() -> list[Request]:
            async with self._api(self._some()) as api:
                provider = self.make_provider(LABEL, api.base_url)
                for _ in range(5):
                    await self._read_from(api, provider)
                return api.requests

        signed = [_signed(request) for request in self._run(steps)]
        assert len(set(signed)) == len(signed)

    def test_building_a_request_is_pure(self) -> None:
        """With the same time and nonce it has the same URL and body, and nothing of the adapter changes."""
        provider = self.make_provider(LABEL, "https://contract.example/base")
        if not isinstance(provider, HttpProvider):
            pytest.skip("no HttpProvider")
        before = {name: id(value) for name, value in vars(provider).items()}

        first, second = (provider.build_request(now=1_767_225_600, nonce="AAAAAAAAAAAAAAAAAAAAAA==") for _ in range(2))

        assert (first.method, first.url, first.body) == (second.method, second.url, second.body)
        assert {name: id(value) for name, value in vars(provider).items()} == before
        assert first.url.startswith("https://contract.example/base/")

    def test_the_event_loop_is_not_blocked(self) -> None:
        """A read never blocks the event loop, since nothing else in the program can run in the meantime."""

        async def steps() -> None:
            async with self._api(self._some()) as api, aiohttp.ClientSession() as session:
                provider = self.make_provider(LABEL, api.base_url)
                # A machine that is busy makes some reads slow, and an adapter that blocks makes all of them so.
                shortest = math.inf
                for _ in range(_TRIES):
                    read = _Timed(provider.fetch_balances(session))
                    await read
                    shortest = min(shortest, read.longest)
                    if shortest < _BLOCKED:
                        return
            pytest.fail(f"a read blocks the event loop for {shortest:.2f} s: nothing may sleep or do I/O there")

        self._run(steps)

    def test_its_settings_are_declared(self) -> None:
        """`accounts.toml` knows its settings by the constructor, and which are secrets."""
        settings = settings_of(cast("Any", type(self.make_provider(LABEL, "https://contract.example"))))

        assert not self.has_secrets or any(setting.is_secret for setting in settings.values()), (
            "annotate the settings that hold secrets with Secret, or name them in secret_settings"
        )

    def test_a_moment_of_the_provider_has_its_time_zone(self) -> None:
        """The age of balances counts from it."""

        async def steps() -> object:
            async with self._api(self._some()) as api, aiohttp.ClientSession() as session:
                return await self.make_provider(LABEL, api.base_url).fetch_balances(session)

        balances = self._run(steps)
        if isinstance(balances, ReportedBalances):
            assert balances.reported_at.tzinfo is not None

    def test_what_is_returned_is_a_sequence(self) -> None:
        """It may be looked at twice."""

        async def steps() -> object:
            async with self._api(self._some()) as api, aiohttp.ClientSession() as session:
                return await self.make_provider(LABEL, api.base_url).fetch_balances(session)

        assert isinstance(self._run(steps), list | tuple)


def _signed(request: Request) -> str:
    """Return where a nonce may be: in the query, in a header or in the body."""
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _AUTOMATIC}
    return str((request.url, headers, request.body))
