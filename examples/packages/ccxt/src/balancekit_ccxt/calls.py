"""Calls of ccxt as generators: they yield each request, and are sent its response."""

import copy
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, TypeAlias

import attrs
import ccxt

from balancekit import Request, Response, Secret
from balancekit_ccxt.driven import Answers, Exchange, Needed, check
from balancekit_ccxt.watched import WatchedDict

Call: TypeAlias = Callable[[Exchange], Any]

_NOT_LOADED: Final = "not loaded"


class MarketsNeeded(Exception):  # noqa: N818 - a setting is missing, and nothing has gone wrong
    """A call has looked at the exchange's markets or currencies, which were not loaded: its result would be a guess."""


class Refused(Exception):  # noqa: N818 - it carries the error
    """A response is an error that ccxt knows."""

    def __init__(self, error: Exception, response: Response) -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.response = response


@attrs.define(eq=False)
class Caller:
    """An exchange with the credentials that it is given for as long as a call runs, and no longer."""

    exchange: Exchange
    credentials: Mapping[str, Secret]
    _options: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._options = copy.deepcopy(self.exchange.options)

    def first_request(self, call: Call, *, moment: int) -> Request:
        """Return the first request of a call that loads no markets, and leave the exchange as it was.

        Raises whatever ccxt raises for credentials that it cannot sign with.
        """
        exchange = self.exchange
        kept = exchange.options, exchange.moment, exchange.loads_markets
        exchange.options, exchange.moment, exchange.loads_markets = copy.deepcopy(self._options), moment, False
        try:
            self.run(call, {})
        except Needed as needed:
            return needed.request
        finally:
            exchange.options, exchange.moment, exchange.loads_markets = kept
        raise ccxt.NotSupported(f"{exchange.id}: a balance without a request")

    def steps(
        self, call: Call, *, moment: int, reads_tables: bool = False
    ) -> Generator[Request, Response, tuple[Any, Answers]]:
        """Make a call at a time in milliseconds; return what it returns, and what was sent and received.

        `reads_tables` says that its responses are tables of all markets.

        Raises MarketsNeeded, Refused for an error with the status of a success, and the other errors of ccxt.
        """
        self.exchange.moment = max(self.exchange.moment, moment)
        answers: Answers = {}
        while True:
            # No two requests are signed with the same time: for many exchanges it is the nonce.
            self.exchange.moment += 1
            self.exchange.reads_tables = reads_tables
            try:
                return self.run(call, answers), answers
            except Needed as needed:
                key, request = needed.key, needed.request
            response = yield request
            answers[key] = (request, response)
            # Another call may have been made in between.
            self.exchange.reads_tables = reads_tables
            try:
                check(self.exchange, request, response)
            except ccxt.BaseError as error:
                refusal = Refused(error, response)
            else:
                continue
            raise refusal

    def run(self, call: Call, answers: Answers) -> Any:  # noqa: ANN401 - what the call returns
        """Return what a call does with the responses that there are; raises Needed if one is missing."""
        exchange = self.exchange
        exchange.answers, exchange.rows = answers, []
        loaded = exchange.currencies, exchange.markets_by_id
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
            exchange.answers = {}
            if tables:
                exchange.currencies, exchange.markets_by_id = loaded
        raise MarketsNeeded

    def found_nothing(self, call: Call, answers: Answers) -> bool:
        """Whether a call that returned nothing has listed what is in a list or object of a response, which is empty.

        Otherwise it has not found what it looked for: ccxt takes that for nothing, too.
        """
        self.exchange.is_watched, self.exchange.documents = True, []
        try:
            self.run(call, answers)
            return any(found.listed and found.is_empty for found in self.exchange.documents)
        finally:
            self.exchange.is_watched, self.exchange.documents = False, []
