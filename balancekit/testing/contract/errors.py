"""The contract: every failure is a typed error of its account, with what to do about it."""

import asyncio
import functools
import math
import pickle
from datetime import UTC, datetime
from typing import Final

import aiohttp
import pytest

from balancekit.client.aggregate import AggregateClient
from balancekit.errors import (
    AuthenticationError,
    BadRequestError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)
from balancekit.http.messages import MAX_EXCERPT, Request, Response
from balancekit.testing.clock import ManualClock
from balancekit.testing.contract.harness import LABEL, NO_CODE, PATIENCE, Harness, always, reported, with_status

_SHORT: Final = 0.1
"""The timeout of a request that hangs, in seconds."""

_HOUR: Final = 3600.0

_TURN: Final = 0.01
"""How many seconds an adapter has to do what a timeout of its own makes it do."""

STATUSES: Final = (
    *((status, AuthenticationError) for status in (401, 403)),
    *((status, BadRequestError) for status in (400, 402, 404, 405, 409, 410, 422)),
    (429, RateLimitedError),
    *((status, ServiceUnavailableError) for status in (500, 501, 502, 503, 504, 599)),
    *((status, UnexpectedRedirectError) for status in (301, 302, 303, 307, 308)),
)

_PAGE: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\x1b[31m" + b"nginx " * 1000 + b"</body></html>"
)

_OK_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"

CUTS: Final = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "no body": _OK_HEAD,
    "half a body": _OK_HEAD + b"[",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
}


class _SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be set forward, so that a long timeout takes no time."""

    _skipped = 0.0

    def time(self) -> float:
        return super().time() + self._skipped

    def skip(self, seconds: float) -> None:
        self._skipped += seconds


class ErrorTests(Harness):
    """Statuses, connections and time."""

    @pytest.mark.parametrize(("status", "kind"), STATUSES)
    def test_a_status_has_its_error(self, status: int, kind: type[ProviderError]) -> None:
        """It has class, status, account and hint; rate limits and failures of the provider may be retried."""
        error = self._check_error(self._read(change=with_status(status, Location="/elsewhere")), kind)

        assert type(error) is kind
        assert error.status == status
        assert error.hint
        assert error.retryable == (kind in {RateLimitedError, ServiceUnavailableError})

    @pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
    def test_the_providers_code_and_words_are_in_the_error(self, status: int) -> None:
        """The code is a fact of its own, and both are in the message."""
        body = self.error_body("no_such_thing", "There is no such thing here")

        error = self._check_error(self._read(change=with_status(status, body)), ProviderError)

        assert (error.status, error.code) == (status, "no_such_thing"), NO_CODE
        assert "There is no such thing here" in str(error), NO_CODE

    @pytest.mark.parametrize("status", [429, 503])
    def test_the_time_to_come_back_is_kept(self, status: int) -> None:
        """`Retry-After` is in seconds."""
        error = self._check_error(self._read(change=with_status(status, Retry_After="17")), ProviderError)

        assert error.retry_after == 17

    def test_a_page_of_a_proxy_is_one_short_line(self) -> None:
        """No control character and no line break reaches a log."""
        error = self._check_error(self._read(change=with_status(502, _PAGE)), ServiceUnavailableError)

        assert str(error).isprintable()
        assert len(error.message) <= 2 * MAX_EXCERPT

    def test_a_redirect_is_not_followed(self) -> None:
        """Credentials go to the configured host alone."""

        async def steps() -> tuple[ProviderError, int]:
            async with self._api(self._some()) as other:
                to_other = with_status(307, Location=f"{other.base_url}/balances")
                async with self._api((), to_other) as api:
                    read = await self._read_from(api, self.make_provider(LABEL, api.base_url))
                return self._check_error(read, UnexpectedRedirectError), len(other.requests)

        error, followed = self._run(steps)

        assert error.status == 307
        assert followed == 0

    @pytest.mark.parametrize("cut", CUTS)
    def test_a_response_that_is_cut_is_a_transport_error(self, cut: str) -> None:
        """It may be retried."""
        error = self._check_error(self._read(change=always(CUTS[cut])), TransportError)

        assert error.retryable

    def test_a_server_that_is_not_there_is_a_transport_error(self) -> None:
        """The message names the account, and the hint says where to look."""

        async def steps() -> ProviderError:
            async with self._api(()) as api:
                provider = self.make_provider(LABEL, api.base_url)
            return self._check_error(await self._read_from(api, provider), TransportError)

        error = self._run(steps)

        assert error.retryable
        assert error.hint

    def test_a_request_that_hangs_ends_with_its_timeout(self) -> None:
        """The adapter swallows no cancellation, and has no timeout of its own that is longer."""
        error = self._check_error(self._read(change=always(None), seconds=_SHORT), ProviderTimeoutError)

        assert error.retryable

    def test_a_request_that_hangs_is_never_a_result(self) -> None:
        """However long it takes: a timeout of the adapter's own is an error as well, not an empty account."""
        for index in range(len(self._read().requests)):
            self._run(functools.partial(self._hang, index), _SkippingLoop, math.inf)

    async def _hang(self, index: int) -> None:
        hangs = asyncio.Event()

        def change(number: int, request: Request, response: Response) -> Response | None:
            del request
            if number < index:
                return response
            hangs.set()
            return None

        loop = asyncio.get_running_loop()
        assert isinstance(loop, _SkippingLoop)
        async with self._api(self._some(), change) as api, aiohttp.ClientSession() as session:
            reading = asyncio.ensure_future(self.make_provider(LABEL, api.base_url).fetch_balances(session))
            async with asyncio.timeout(PATIENCE):
                await hangs.wait()
            # More than once: it may try again.
            for _ in range(3):
                loop.skip(_HOUR)
                await asyncio.wait({reading}, timeout=_TURN)
            returned = reading.done() and not reading.cancelled() and reading.exception() is None
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert not returned, "the API has not responded, and the account was read"

    def test_a_read_ends_with_its_deadline(self) -> None:
        """It fails, and the next read of the same adapter succeeds, though what hangs has not ended yet."""

        async def steps() -> None:
            clock = ManualClock(datetime.now(UTC), patience=0)
            async with self._api(self._some(), always(None)) as api:
                provider = self.make_provider(LABEL, api.base_url)
                async with AggregateClient([provider], attempts=1, timeout=PATIENCE, clock=clock) as client:
                    reading = asyncio.ensure_future(client.fetch(deadline=_SHORT))
                    await api.received.wait()
                    await clock.advance(_SHORT)
                    assert isinstance((await reading).failures[0].error, ProviderTimeoutError)
                    api.change = None
                    reading = asyncio.ensure_future(client.fetch(strict=True))
                    # An adapter may wait for a token that the read which hangs is fetching: until that read's timeout,
                    # which is over by now, though this read's own is not.
                    await clock.advance(PATIENCE - _SHORT / 2)
                    async with asyncio.timeout(PATIENCE):
                        (snapshot,) = (await reading).accounts
            assert reported(snapshot.balances) == reported(self._some())

        self._run(steps)

    def test_a_read_that_is_cancelled_ends(self) -> None:
        """It raises CancelledError, and the next read succeeds."""

        async def steps() -> None:
            async with self._api(self._some(), always(None)) as api:
                provider = self.make_provider(LABEL, api.base_url)
                async with aiohttp.ClientSession() as session:
                    reading = asyncio.ensure_future(provider.fetch_balances(session))
                    await api.received.wait()
                    reading.cancel()
                    (result,) = await asyncio.gather(reading, return_exceptions=True)
                    assert isinstance(result, asyncio.CancelledError)
                    api.change = None
                    read = await self._read_from(api, provider)
            assert reported(read.balances) == reported(self._some())

        self._run(steps)

    def test_an_error_keeps_its_facts_in_a_pickle(self) -> None:
        """It may come from another process."""
        error = self._check_error(self._read(change=with_status(429, Retry_After="17")), RateLimitedError)

        copy = pickle.loads(pickle.dumps(error))

        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))

    def test_a_failure_is_that_of_its_account_alone(self) -> None:
        """The other account of the same adapter is read."""

        async def steps() -> None:
            async with self._api((), with_status(500)) as failing, self._api(self._some("other")) as working:
                providers = [
                    self.make_provider(LABEL, failing.base_url),
                    self.make_provider("other", working.base_url),
                ]
                async with AggregateClient(providers, attempts=1) as client:
                    merged = await client.fetch()
            assert [failure.account for failure in merged.failures] == [LABEL]
            (snapshot,) = merged.accounts
            assert reported(snapshot.balances) == reported(self._some("other"))

        self._run(steps)
