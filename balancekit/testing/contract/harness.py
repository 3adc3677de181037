"""What an author gives the contract, and how its tests read an account."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import attrs
import pytest

from balancekit.client.aggregate import AggregateClient
from balancekit.errors import BalancekitError, ProviderError
from balancekit.http.messages import Request, Response
from balancekit.money.balances import AccountBalances, AccountFailure, Balance
from balancekit.money.currencies import AssetType
from balancekit.providers.base import BalanceProvider
from balancekit.testing.contract.server import Api, Change, Reply

LABEL: Final = "contract-shop"
"""The label of the account that is read."""

PATIENCE: Final = 5.0
"""How many seconds a read may take that nothing delays."""

NO_CODE: Final = "define read_error(response): it returns an ErrorDetail with the code and the message of error_body"
"""What to do if the error of an account lacks the provider's code."""

_MAX_SECONDS: Final = 60.0
"""After how many seconds a test fails that never ends."""

_Result = TypeVar("_Result")

Amounts: TypeAlias = list[tuple[str, str, Decimal]]
"""The currency, the exact text and the value of each balance, sorted."""


@attrs.frozen
class Read:
    """What reading an account ended with, and what was sent for it."""

    outcome: AccountBalances | AccountFailure
    requests: tuple[Request, ...]
    responses: tuple[Response, ...]

    @property
    def balances(self) -> tuple[Balance, ...]:
        """The balances, where it succeeded; otherwise the test fails with the error."""
        if isinstance(self.outcome, AccountFailure):
            pytest.fail(f"the account could not be read: {self.outcome.error!r}")
        return self.outcome.balances

    @property
    def error(self) -> BalancekitError:
        """The error, where it failed; otherwise the test fails."""
        if isinstance(self.outcome, AccountBalances):
            pytest.fail(f"expected an error, and the account was read: {self.outcome.balances}")
        return self.outcome.error


class Harness:
    """Plays the author's API on loopback and reads it with the author's adapter.

    The attributes are what the adapter can do; `ProviderContract` explains them.
    """

    secrets: ClassVar[Sequence[str]] = ()
    """The credentials of `make_provider`, and the tokens that `play` gives: nothing may show them."""
    currencies: ClassVar[Mapping[str, AssetType]] = MappingProxyType({"EUR": AssetType.FIAT, "BTC": AssetType.CRYPTO})
    """Codes that the API knows, each with its type of asset."""
    decimals: ClassVar[Mapping[str, int] | None] = None
    """The decimals of each currency, of an API that counts in smallest units."""
    reports_zero_balances: ClassVar[bool] = True
    """Whether the API lists currencies of which nothing is held."""
    reports_negative_balances: ClassVar[bool] = True
    """Whether an amount may be below zero."""
    reports_available: ClassVar[bool] = False
    """Whether the adapter fills in `available`."""
    reports_pending: ClassVar[bool] = False
    """Whether the adapter fills in `pending`."""
    repeats_currencies: ClassVar[bool] = False
    """Whether several balances may have one code."""
    knows_all_currencies: ClassVar[bool] = True
    """Whether a balance in any other code is read, too."""
    sends_json: ClassVar[bool] = True
    """Whether bodies are JSON, in which the tests can change any field."""
    has_pages: ClassVar[bool] = False
    """Whether many balances come in several responses."""
    has_token: ClassVar[bool] = False
    """Whether a token is fetched first."""
    token_lifetime: ClassVar[float] = 3600.0
    """How many seconds a token is good for, by what `play` says."""
    signs_anew: ClassVar[bool] = False
    """Whether no two requests are alike, since each has a nonce."""
    has_secrets: ClassVar[bool] = True
    """Whether there are credentials."""

    balances: Sequence[Balance] = ()
    """The balances that the API has at the moment; for `play`."""

    def make_provider(self, account: str, base_url: str) -> BalanceProvider:
        """Return the adapter of an account at a base URL, with the credentials that are in `secrets`."""
        raise NotImplementedError("define make_provider(account, base_url)")

    def response_body(self, balances: Sequence[Balance]) -> bytes:
        """Return the body of the response with which the API reports balances."""
        raise NotImplementedError("define response_body(balances), or play(request) for several requests")

    def error_body(self, code: str, message: str) -> bytes:
        """Return the body of an error response of the API, with its code and its message for people."""
        return f'{{"error": {{"code": "{code}", "message": "{message}"}}}}'.encode()

    def play(self, request: Request) -> Response:
        """Return the response of the API, which has `self.balances`; raise for a request that it does not know."""
        del request
        return Response(200, body=self.response_body(self.balances))

    def _need(self, ability: str) -> None:
        """Skip the test of an adapter that does not declare an ability."""
        if not getattr(self, ability):
            pytest.skip(f"{ability} is not declared")

    def _amount(self, code: str, digits: str, places: int) -> Decimal:
        """Return an amount with these digits, at a number of decimals that the API can report."""
        with localcontext(prec=100):
            return Decimal(digits).scaleb(-places if self.decimals is None else -self.decimals[code.upper()])

    def _balance(self, code: str, amount: Decimal, account: str = LABEL, **more: Any) -> Balance:  # noqa: ANN401 - its other fields
        asset_type = self.currencies.get(code.upper(), AssetType.CRYPTO)
        parts: dict[str, Any] = {
            "available": amount if self.reports_available else None,
            "pending": self._amount(code, "0", 2) if self.reports_pending else None,
        }
        return Balance(code, amount, asset_type, account, "contract", code, **(parts | more))

    def _some(self, account: str = LABEL, digits: str = "1050") -> tuple[Balance, ...]:
        """Return one balance in each currency, each of other digits."""
        return tuple(
            self._balance(code, self._amount(code, f"{digits}{number}", 2), account)
            for number, code in enumerate(self.currencies, 1)
        )

    def _many(self, number: int) -> tuple[Balance, ...]:
        """Return many balances, each in a currency of its own if the API knows any code."""
        codes = [f"C{n:03}" for n in range(number)] if self.knows_all_currencies else list(self.currencies)
        held = ((codes[n % len(codes)], f"{n}7") for n in range(number))
        return tuple(self._balance(code, self._amount(code, digits, 2)) for code, digits in held)

    def _api(self, balances: Sequence[Balance], change: Change | None = None, port: int = 0) -> Api:
        """Return a server that plays the API with some balances, on any port unless it is given."""
        held = tuple(balances)

        def play(request: Request) -> Response:
            # Tests may have several servers in one event loop.
            self.balances = held
            return self.play(request)

        return Api(play, change, port)

    def _run(
        self,
        steps: Callable[[], Coroutine[Any, Any, _Result]],
        make_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        seconds: float = _MAX_SECONDS,
    ) -> _Result:
        """Run steps in an event loop of their own, and check that they leave no task."""

        async def run() -> _Result:
            async with asyncio.timeout(seconds):
                result = await steps()
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}, "the adapter has left a task"
            return result

        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(run())

    def _read(
        self, balances: Sequence[Balance] | None = None, *, change: Change | None = None, seconds: float = PATIENCE
    ) -> Read:
        """Read an account that has some balances once, by a new adapter."""

        async def steps() -> Read:
            async with self._api(self._some() if balances is None else balances, change) as api:
                read = await self._read_from(api, self.make_provider(LABEL, api.base_url), seconds=seconds)
            if api.problem is not None and change is None:
                raise api.problem
            return read

        return self._run(steps)

    async def _read_from(self, api: Api, provider: BalanceProvider, *, seconds: float = PATIENCE) -> Read:
        """Read an account once by an adapter that a test has made, without retries."""
        first = len(api.requests)
        async with AggregateClient([provider], attempts=1, timeout=seconds, deadline=4 * seconds) as client:
            merged = await client.fetch()
        outcome = merged.accounts[0] if merged.accounts else merged.failures[0]
        return Read(outcome, tuple(api.requests[first:]), tuple(api.responses[first:]))

    def _check_error(self, read: Read, *kinds: type[BalancekitError]) -> ProviderError:
        """Check that a read failed with an error of a kind, which has all facts."""
        error = read.error
        assert isinstance(error, kinds or ProviderError), (
            f"expected {' or '.join(kind.__name__ for kind in kinds)}, got {error!r}"
        )
        assert isinstance(error, ProviderError)
        assert error.account == LABEL
        assert error.provider == read.outcome.provider
        return error


def reported(balances: Sequence[Balance]) -> Amounts:
    """Return what is compared of balances: their currencies and amounts, exactly and at their scale."""
    return sorted((balance.currency, balance.plain, balance.amount) for balance in balances)


def in_place_of(before: Read, body: bytes, index: int = -1) -> Change:
    """Send another body in the place of one of the responses of an earlier read, by default the last."""
    place = index % len(before.responses)
    return lambda number, _, response: Response(200, response.headers, body) if number == place else response


def on_request(index: int, change: Change, *, and_later: bool = False) -> Change:
    """Change what is sent to one request alone, or to it and those after it."""

    def apply(number: int, request: Request, response: Response) -> Reply:
        affected = number >= index if and_later else number == index
        return change(number, request, response) if affected else response

    return apply


def always(reply: Reply) -> Change:
    """Send the same whatever the request."""

    def apply(number: int, request: Request, response: Response) -> Reply:
        del number, request, response
        return reply

    return apply


def with_status(status: int, body: bytes = b"", **headers: str) -> Change:
    """Send the same response whatever the request; `_` in the name of a header is a hyphen."""
    return always(Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body))
