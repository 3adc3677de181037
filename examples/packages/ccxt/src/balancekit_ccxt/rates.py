"""Prices of an exchange as rates, for `MergedBalances.value_in`."""

import asyncio
import copy
import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

import aiohttp
import attrs

from balancekit import AssetType, Balance, ConfigError, ProviderTimeoutError, Rate, Request, Response, Secret
from balancekit_ccxt.base import CcxtCalls
from balancekit_ccxt.calls import Call
from balancekit_ccxt.currencies import asset_type_of
from balancekit_ccxt.sans_io import Exchange

_LABEL: Final = "tickers"
"""What errors call the account that is none."""

_SYMBOL: Final = re.compile(r"[^/:\s]+/[^/:\s]+")
"""A spot market; the names of others have a colon, and their prices are those of contracts."""


@attrs.frozen
class TickerRates:
    """The rates of some markets of an exchange, by base and quote; a `RateSource`.

    As they are, they value the base of a market in its quote: BTC in EUR by BTC/EUR. `inverted()` also values the quote
    in the base, exactly but for one rounding, since a `Rate` keeps the price and not its quotient.
    """

    rates: Mapping[tuple[str, str], Rate]
    inverts: bool = attrs.field(default=False, kw_only=True)

    def inverted(self) -> "TickerRates":
        """Return the same rates, to be used the other way round as well."""
        return attrs.evolve(self, inverts=True)

    def rate(self, currency: str, asset_type: AssetType, target: str) -> Rate | None:
        """Return what a currency is worth in another; None without a price of the two, or for another type of asset."""
        types = {asset_type, asset_type_of(currency)} - {AssetType.UNKNOWN}
        if len(types) > 1:
            return None
        found = self.rates.get((currency, target))
        other = self.rates.get((target, currency)) if self.inverts else None
        if found is not None or other is None:
            return found
        return Rate(currency, target, 1, per=other.rate, source=other.source, as_of=other.as_of)


class CcxtRates:
    """Loads prices of one exchange, by the exchange's id at ccxt; no key is needed.

    `price` is `bid`, for which one can sell at the moment, or `ask`. A load takes `timeout` seconds at most; the
    session is used and left open. The exchange's tables of markets are loaded once, and kept.

    Raises ConfigError for a setting that cannot work.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        exchange: str,
        *,
        price: Literal["bid", "ask"] = "bid",
        base_url: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        if price not in {"bid", "ask"}:
            raise ConfigError("CcxtRates: price: expected bid or ask")
        if not 0 < timeout < math.inf:
            raise ConfigError("CcxtRates: timeout: expected seconds above zero")
        self._session = session
        self._timeout = timeout
        self._reader = _TickerReader(exchange, price, base_url)

    async def load(self, symbols: Sequence[str]) -> TickerRates:
        """Return the rates of markets now, such as those of `["BTC/EUR", "ETH/EUR"]`.

        Raises ConfigError for what is no symbol of a spot market, and a ProviderError, of the account "tickers", if the
        prices cannot be read or the exchange has no such market.
        """
        for symbol in symbols:
            if not _SYMBOL.fullmatch(symbol):
                raise ConfigError(f"CcxtRates: {symbol!r}: expected base and quote, such as BTC/EUR")
        reader = self._reader.of(symbols)
        try:
            # As a client does for the accounts that it reads; the session's own timeout is not used.
            async with asyncio.timeout(self._timeout):
                await reader.fetch_balances(self._session)
        except TimeoutError:
            message = f"no response within {self._timeout:g} s"
            raise ProviderTimeoutError(message, account=_LABEL, provider=reader.provider) from None
        return TickerRates(reader.rates)


class _TickerReader(CcxtCalls):
    """Reads tickers as an account is read: each request has the same limits and errors."""

    def __init__(self, exchange: str, price: str, base_url: str | None) -> None:
        super().__init__(_LABEL, exchange=exchange, base_url=None if base_url is None else Secret.of(base_url))
        self._price = price
        self.symbols: Sequence[str] = ()
        self.rates: Mapping[tuple[str, str], Rate] = {}
        self.connect(load_markets=True)
        self.use_origin_of(self.build_request(now=0, nonce="").url)

    def of(self, symbols: Sequence[str]) -> Self:
        """Return a reader of some markets, which shares the tables of markets with this one."""
        reader = copy.copy(self)
        reader.symbols = tuple(symbols)
        return reader

    def call(self) -> Call:
        """Return the call with which the markets are read."""
        return lambda exchange: exchange.fetch_markets()

    def exchange(self, *, now: int, nonces: Iterator[str]) -> Generator[Request, Response, list[Balance]]:  # noqa: ARG002 - nothing is signed
        """Read the tickers into `rates`; there are no balances."""

        def fetch(exchange: Exchange) -> Any:  # noqa: ANN401 - as ccxt's
            if exchange.has["fetchTickers"]:
                return exchange.fetch_tickers(list(self.symbols))
            return {symbol: exchange.fetch_ticker(symbol) for symbol in self.symbols}

        yield from self.load_markets(now)
        tickers = (yield from self.make_call(fetch, now, reads_tables=True)).result
        read = (self._rate(symbol, tickers.get(symbol) or {}, now) for symbol in self.symbols)
        self.rates = {(rate.currency, rate.target): rate for rate in read if rate is not None}
        return []

    def _rate(self, symbol: str, ticker: Mapping[str, Any], now: int) -> Rate | None:
        price, moment = ticker.get(self._price), ticker.get("timestamp")
        if price is None:
            return None
        base, _, quote = symbol.partition("/")
        # Not every exchange says of which moment its prices are.
        as_of = datetime.fromtimestamp(now if moment is None else moment / 1000, UTC)
        try:
            return Rate(base, quote, price, source=f"{self.provider} {self._price}", as_of=as_of)
        except ConfigError as error:
            raise ValueError(f"{symbol}: {error}") from None
