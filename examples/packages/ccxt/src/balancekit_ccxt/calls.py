"""Calls of ccxt as generators: they yield each request, and are sent its response."""

import copy
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs
import ccxt

from balancekit import Request, Response, Secret
from balancekit_ccxt.sans_io import Exchange, Received, ResponseNeeded, Row, check
from balancekit_ccxt.watched import Watched, WatchedDict

Call: TypeAlias = Callable[[Exchange], Any]

_NOT_LOADED: Final = "not loaded"
_LAST_NONCE: Final = "lastNonce"
_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


class MarketsNeeded(Exception):  # noqa: N818 - a setting is missing, and nothing has gone wrong
    """A call has looked at the exchange's markets or currencies, which were not loaded: its result would be a guess."""


class ErrorInResponse(Exception):  # noqa: N818 - it carries the error
    """A response is an error that ccxt knows."""

    def __init__(self, error: Exception, response: Response) -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.response = response


@attrs.frozen
class CallResult:
    """A call that was made: what it returned, the rows of balances that ccxt has made in it, and what was received."""

    result: Any
    rows: list[Row]
    received: Received


@attrs.define(eq=False)
class Caller:
    """An exchange, which is as it was made whenever a call begins, with the credentials that it has for as long."""

    exchange: Exchange
    credentials: Mapping[str, Secret]
    _state: dict[str, Any] = attrs.field(init=False)
    _nonce: dict[str, Any] = attrs.field(init=False, factory=dict[str, Any])
    _moment: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.keep()

    def keep(self) -> None:
        """Have later calls begin with what the last one has left, such as tables of markets."""
        self._state = dict(vars(self.exchange))

    def first_request(self, call: Call, *, moment: int) -> Request:
        """Return the first request of a call that loads no markets; it is the same for the same time.

        Raises whatever ccxt raises for credentials that it cannot sign with.
        """
        try:
            self._run(call, {}, moment=moment, loads_markets=False)
        except ResponseNeeded as needed:
            return needed.request
        raise ccxt.NotSupported(f"{self.exchange.id}: a balance without a request")

    def steps(self, call: Call, *, moment: int, reads_tables: bool = False) -> Generator[Request, Response, CallResult]:
        """Make a call at a time in milliseconds.

        `reads_tables` says that its responses are tables of all markets.

        Raises MarketsNeeded, ErrorInResponse for an error with the status of a success, and the other errors of ccxt.
        """
        received: Received = {}
        while True:
            # No two requests are signed with the same time: for many exchanges it is the nonce.
            self._moment = max(self._moment + 1, moment)
            try:
                result = self._run(call, received, moment=self._moment, reads_tables=reads_tables, options=self._nonce)
                return CallResult(result, self.exchange.rows, received)
            except ResponseNeeded as needed:
                key, request = needed.key, needed.request
            self._nonce = {name: value for name, value in self.exchange.options.items() if name == _LAST_NONCE}
            response = yield request
            received[key] = (request, response)
            try:
                check(self.exchange, request, response, reads_tables=reads_tables)
            except ccxt.BaseError as error:
                refusal = ErrorInResponse(error, response)
            else:
                continue
            raise refusal

    def found_nothing(self, call: Call, received: Received) -> bool:
        """Whether a call that returned nothing has listed what is in a list or object of a response, which is empty.

        Otherwise it has not found what it looked for: ccxt takes that for nothing, too.
        """
        watched: list[Watched] = []
        self._run(call, received, moment=self._moment, watched=watched)
        return any(found.listed and found.is_empty for found in watched)

    def _run(self, call: Call, received: Received, *, options: Mapping[str, Any] = _NO_OPTIONS, **settings: Any) -> Any:  # noqa: ANN401 - what the call returns
        """Return what a call does with the responses that there are; raises ResponseNeeded if one is missing."""
        exchange = self.exchange
        state: dict[str, Any] = exchange.__dict__
        state.clear()
        state.update(self._state, received=received, rows=[], **settings)
        exchange.options = {**copy.deepcopy(exchange.options), **options}
        tables: list[WatchedDict] = []
        if not exchange.loads_markets:
            tables = [WatchedDict(), WatchedDict()]
            exchange.currencies, exchange.markets_by_id = tables
        try:
            for name, secret in self.credentials.items():
                setattr(exchange, name, secret.reveal())
            result = call(exchange)
        except ccxt.ExchangeError as error:
            if _NOT_LOADED not in str(error) and not any(table.looked_at for table in tables):
                raise
        else:
            if not any(table.looked_at for table in tables):
                return result
        finally:
            for name in self.credentials:
                setattr(exchange, name, None)
            exchange.received = {}
        raise MarketsNeeded
