"""What reading balances and reading tickers have in common: calls of ccxt, sent as balancekit sends requests."""

from collections.abc import Callable, Generator, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import ccxt

from balancekit import (
    AuthenticationError,
    BadRequestError,
    ErrorDetail,
    MalformedResponseError,
    MultiRequestProvider,
    ProviderError,
    RateLimitedError,
    Request,
    Response,
    Secret,
    ServiceUnavailableError,
)
from balancekit_ccxt import errors
from balancekit_ccxt.calls import Call, Caller, CallResult, ErrorInResponse, MarketsNeeded
from balancekit_ccxt.sans_io import check, exchange_class, make, origins_of

_UNKNOWN: Final = "https://exchange.invalid"
"""In place of the base URL until it is known."""

_NO_CREDENTIALS: Final[Mapping[str, Secret]] = MappingProxyType({})

_KINDS: Final[Mapping[int, type[ProviderError]]] = MappingProxyType(
    {401: AuthenticationError, 403: AuthenticationError, 429: RateLimitedError}
)


class CcxtCalls(MultiRequestProvider):
    """The base class of what calls ccxt: subclass it with `call` and `exchange`."""

    hints: ClassVar[Mapping[str | int, str]] = MappingProxyType({401: errors.KEY_HINT, 403: errors.PERMISSION_HINT})
    signs_time = True

    def __init__(self, account: str, *, exchange: str, base_url: Secret | None = None) -> None:
        super().__init__(account, base_url=_UNKNOWN if base_url is None else base_url)
        try:
            exchange_class(exchange)
        except (TypeError, ValueError) as error:
            raise self.config_error("exchange", f"{error}; an id is such as 'kraken' or 'binance'") from None
        self.provider = exchange
        self._is_at_own_url = base_url is not None

    def connect(
        self, *, credentials: Mapping[str, Secret] = _NO_CREDENTIALS, options: str = "{}", load_markets: bool = False
    ) -> None:
        """Make the exchange's object of ccxt; `credentials` are by ccxt's names, and `options` JSON."""
        own_url = self.base_url if self._is_at_own_url else None
        made = make(self.provider, options=options, base_url=own_url, loads_markets=load_markets)
        caller = Caller(made, credentials)
        # Not in an attribute: what an adapter keeps in these is searched for secrets, and ccxt's objects are large.
        self._caller: Callable[[], Caller] = lambda: caller

    def caller(self) -> Caller:
        """Return what makes the calls."""
        return self._caller()

    def use_origin_of(self, url: str) -> None:
        """Have requests go to the origin of a URL, and to those of the exchange's other APIs, if none was given."""
        if not self._is_at_own_url:
            self.base_url = _origin_of(url)
            vars(self)["other_origins"] = origins_of(self.caller().exchange)

    def call(self) -> Call:
        """Return the call that makes the requests."""
        raise NotImplementedError("define call")

    def build_request(self, *, now: int, nonce: str) -> Request:  # noqa: ARG002 - ccxt's nonces are of the time
        """Build the first request for a time; it distinguishes the account from others."""
        return self.caller().first_request(self.call(), moment=1000 * now)

    def read_error(self, response: Response) -> ErrorDetail:
        """Read the exchange's code and words; raise the error that ccxt knows it as, where its status says less."""
        problem: ProviderError | None = None
        if response.status >= HTTPStatus.BAD_REQUEST:
            try:
                check(self.caller().exchange, Request("GET", f"{self.base_url}/"), response)
            except ccxt.BaseError as error:
                known = errors.kind_of(error)
                if known is not None and known[0] not in {_kind_of(response.status), MalformedResponseError}:
                    problem = self._error_from(error, response)
        if problem is not None:
            raise problem
        return errors.detail_of(response)

    def make_call(
        self, call: Call, now: int, *, reads_tables: bool = False
    ) -> Generator[Request, Response, CallResult]:
        """Yield the requests of a call, receive their responses, and return what it has made."""
        moment = 1000 * now + int(self.clock() % 1 * 1000)
        try:
            return (yield from self.caller().steps(call, moment=moment, reads_tables=reads_tables))
        except MarketsNeeded:
            failure = self.failure(
                ProviderError,
                "this cannot be read without the exchange's markets",
                hint="Set load_markets, which sends more requests before the first read",
            )
        except ErrorInResponse as refusal:
            failure = self._error_from(refusal.error, refusal.response)
        except ccxt.BaseError as error:
            failure = self._error_from(error, None)
        # Outside the handler: it leads to no frame with credentials.
        raise failure

    def load_markets(self, now: int) -> Generator[Request, Response, None]:
        """Yield the requests for the exchange's tables of markets, unless they are there, and keep them."""
        yield from self.make_call(lambda exchange: exchange.load_markets(), now, reads_tables=True)
        self.caller().keep()

    def failure(self, kind: type[ProviderError], message: str, **facts: Any) -> ProviderError:  # noqa: ANN401 - of all types
        """Make an error of this account."""
        return kind(message, account=self.account, provider=self.provider, **facts)

    def nothing_in(self, responses: Sequence[Response]) -> ProviderError:
        """Make the error of responses in which ccxt has found neither what it looks for nor an error."""
        details = [errors.detail_of(response) for response in responses]
        detail = next((detail for detail in reversed(details) if detail.code), ErrorDetail())
        reported = f" ({detail.code}: {detail.message})" if detail.code else ""
        problem = f"there are no balances in the response, and no empty list of them{reported}"
        return self.failure(
            MalformedResponseError, problem, status=HTTPStatus.OK, code=detail.code, hint=errors.SHAPE_HINT
        )

    def _error_from(self, error: Exception, response: Response | None) -> ProviderError:
        """Return what an error of ccxt is here; `response` is the one that it is in, if it is in one."""
        known = errors.kind_of(error)
        if response is None:
            kind, hint = known or (ProviderError, errors.SETTINGS_HINT)
            return self.failure(kind, str(error), hint=hint)
        kind, hint = known or (MalformedResponseError, errors.REFUSED_HINT)
        detail = errors.detail_of(response)
        summary = " ".join(filter(None, (str(response.status), detail.code)))
        failure = self.failure(
            kind,
            f"{summary}: {detail.message}" if detail.message else summary,
            status=response.status,
            code=detail.code,
            hint=hint,
            retry_after=errors.retry_after_of(response),
        )
        if isinstance(failure, AuthenticationError) and isinstance(error, ccxt.InvalidNonce):
            failure.clock_offset = errors.clock_offset_of(response, self.clock())
        return failure


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _kind_of(status: int) -> type[ProviderError]:
    is_failing = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return _KINDS.get(status, ServiceUnavailableError if is_failing else BadRequestError)
