"""The contract of adapters that send several requests: pages and tokens."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiohttp
import pytest

from balancekit.errors import AuthenticationError, ProviderError, ServiceUnavailableError, TransportError
from balancekit.money.balances import AccountFailure
from balancekit.providers.base import BalanceProvider, HttpProvider
from balancekit.testing.contract.harness import LABEL, Harness, always, on_request, reported, with_status
from balancekit.testing.contract.server import Api

_CUT: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n["

_MANY: Final = 250
"""How many balances there are of which an API with pages needs several."""


class SeveralTests(Harness):
    """A read of several requests is whole, or fails."""

    def test_every_page_is_read(self) -> None:
        """The first and the last too, each once."""
        self._need("has_pages")

        read = self._read(self._many(_MANY))

        assert reported(read.balances) == reported(self._many(_MANY))
        assert len(read.requests) > 1 + self.has_token, f"play has to give {_MANY} balances in several pages"

    @pytest.mark.parametrize(("status", "kind"), [(503, ServiceUnavailableError), (401, AuthenticationError)])
    def test_a_page_that_fails_fails_the_account(self, status: int, kind: type[ProviderError]) -> None:
        """A sum without it would not show that it is missing."""
        self._need("has_pages")
        for index in range(len(self._read(self._many(_MANY)).requests)):
            change = on_request(index, with_status(status), and_later=True)

            self._check_error(self._read(self._many(_MANY), change=change), kind)

    def test_a_page_that_is_cut_fails_the_account(self) -> None:
        """The connection ends in the middle of it."""
        self._need("has_pages")
        for index in range(len(self._read(self._many(_MANY)).requests)):
            read = self._read(self._many(_MANY), change=on_request(index, always(_CUT)))

            self._check_error(read, TransportError)

    def test_pages_that_never_end_fail_the_account(self) -> None:
        """A server that sends the first page again and again keeps nobody busy for ever."""
        self._need("has_pages")
        first = self._read(self._many(_MANY)).responses[int(self.has_token)]
        change = on_request(int(self.has_token), always(first), and_later=True)

        self._check_error(self._read(self._many(_MANY), change=change, seconds=2))

    def test_a_token_is_kept(self) -> None:
        """The second read does not fetch it again."""

        async def steps(api: Api, provider: BalanceProvider) -> None:
            first, second = [await self._read_from(api, provider) for _ in range(2)]
            assert reported(second.balances) == reported(first.balances)
            assert len(second.requests) == len(first.requests) - 1

        self._run_with_token(steps)

    def test_a_token_is_fetched_once_for_reads_at_the_same_time(self) -> None:
        """All of them wait for it."""

        async def steps(api: Api, provider: BalanceProvider) -> None:
            async with aiohttp.ClientSession() as session:
                await asyncio.gather(*(provider.fetch_balances(session) for _ in range(5)))
                together = len(api.requests)
                await provider.fetch_balances(session)
            assert together == 5 * (len(api.requests) - together) + 1

        self._run_with_token(steps)

    def test_a_token_that_has_expired_is_fetched_again(self) -> None:
        """`token_lifetime` is what `play` says, in seconds."""

        async def steps(api: Api, provider: BalanceProvider) -> None:
            if not isinstance(provider, HttpProvider):
                pytest.skip("no HttpProvider, so that its clock cannot be moved")
            first = await self._read_from(api, provider)
            provider.clock = lambda: time.time() + self.token_lifetime
            second = await self._read_from(api, provider)
            assert second.balances
            assert len(second.requests) == len(first.requests)

        self._run_with_token(steps)

    def test_a_token_that_is_refused_is_fetched_again(self) -> None:
        """At once, or by the next read: a provider may end it at any time."""

        async def steps(api: Api, provider: BalanceProvider) -> None:
            first = await self._read_from(api, provider)
            api.change = on_request(len(api.requests), with_status(401))
            refused = await self._read_from(api, provider)
            if isinstance(refused.outcome, AccountFailure):
                self._check_error(refused, AuthenticationError)
            third = await self._read_from(api, provider)
            assert reported(third.balances) == reported(first.balances)
            assert len(refused.requests) + len(third.requests) >= 2 * len(first.requests)

        self._run_with_token(steps)

    @pytest.mark.parametrize(("status", "kind"), [(503, ServiceUnavailableError), (401, AuthenticationError)])
    def test_a_token_that_cannot_be_fetched_is_a_typed_error(self, status: int, kind: type[ProviderError]) -> None:
        """No request goes out without it, and the next read fetches it."""

        async def steps(api: Api, provider: BalanceProvider) -> None:
            api.change = with_status(status)
            failed = await self._read_from(api, provider)
            self._check_error(failed, kind)
            assert len(failed.requests) == 1
            api.change = None
            assert (await self._read_from(api, provider)).balances

        self._run_with_token(steps)

    def _run_with_token(self, steps: Callable[[Api, BalanceProvider], Coroutine[Any, Any, None]]) -> None:
        self._need("has_token")

        async def run() -> None:
            async with self._api(self._some()) as api:
                await steps(api, self.make_provider(LABEL, api.base_url))

        self._run(run)
