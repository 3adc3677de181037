"""The adapter of exchanges: their balances by ccxt's `fetch_balance`."""

import hashlib
import json
import re
from collections.abc import Generator, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import ccxt

from balancekit import (
    AssetType,
    Balance,
    ProviderError,
    Request,
    Response,
    Secret,
    subtract_exactly,
    sum_exactly,
)
from balancekit_ccxt.base import CcxtCalls
from balancekit_ccxt.calls import Call, MarketsNeeded
from balancekit_ccxt.currencies import asset_type_of
from balancekit_ccxt.rows import check_rows, rows_of
from balancekit_ccxt.sans_io import Exchange, Params

AccountType: TypeAlias = Literal[
    "spot",
    "margin",
    "cross",
    "isolated",
    "swap",
    "future",
    "option",
    "linear",
    "inverse",
    "derivatives",
    "funding",
    "savings",
    "earn",
    "main",
    "trade",
    "trading",
    "exchange",
    "unified",
    "papi",
]
"""The types of accounts that exchanges have, in ccxt's words."""

_NUMBER: Final = re.compile(r"[1-9][0-9]*|[0-9]+\.[0-9]*")
"""What stands in place of a code; 00 and 1INCH are tokens."""

_PRIVATE_KEY: Final = "-----BEGIN "

_SETTINGS: Final = {"apiKey": "key", "secret": "secret", "password": "password", "uid": "uid"}
"""The settings of the credentials, by ccxt's names."""


class CcxtProvider(CcxtCalls):
    """The balances of one account at one exchange, by the exchange's id at ccxt, such as `kraken`.

    `amount` is ccxt's `total` less its `debt`, and `available` its `free`; `used`, what orders hold, is in `amount`.

    `account_type` is `spot`, `margin` or another that the exchange has. `options` are ccxt's own, as a mapping or as
    JSON. `load_markets` reads the exchange's tables of markets before the first balances, for exchanges whose balances
    cannot be read without: an error says so. `base_url` takes the place of the host of the exchange's APIs.

    Raises ConfigError for a setting that cannot work.
    """

    provider = "ccxt"
    secret_settings = frozenset({"key", "secret", "password"})

    def __init__(
        self,
        account: str,
        *,
        exchange: str,
        key: str | Secret | None = None,
        secret: str | Secret | None = None,
        password: str | Secret | None = None,
        uid: str | None = None,
        account_type: AccountType | None = None,
        options: Mapping[str, object] | str | None = None,
        load_markets: bool = False,
        base_url: str | Secret | None = None,
    ) -> None:
        # Hidden before anything can raise: error trackers collect the local variables of every frame.
        given = {"apiKey": key, "secret": secret, "password": password, "uid": uid}
        credentials = {name: Secret.of(value) for name, value in given.items() if value is not None}
        hidden_url = None if base_url is None else Secret.of(base_url)
        del given, key, secret, password, base_url
        super().__init__(account, exchange=exchange, base_url=hidden_url)
        self._check_texts(credentials)
        if account_type is not None and account_type not in get_args(AccountType):
            raise self.config_error("account_type", f"expected one of {', '.join(get_args(AccountType))}")
        if type(load_markets) is not bool:
            raise self.config_error("load_markets", "expected true or false")
        self._account_type = account_type
        self._loads_markets = load_markets
        self._credentials = tuple(credentials.values())
        text = self._options_text(options)
        self.connect(credentials=credentials, options=text, load_markets=load_markets)
        self._check_required(credentials)
        self._find_origins()
        known = [self.provider, self.base_url, account_type, text]
        known += [credentials[name].reveal() for name in ("apiKey", "uid") if name in credentials]
        self.fingerprint = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]

    def call(self) -> Call:
        """Return ccxt's call for the balances."""
        return lambda exchange: exchange.fetch_balance(self._params())

    def exchange(self, *, now: int, nonces: Iterator[str]) -> Generator[Request, Response, list[Balance]]:  # noqa: ARG002 - ccxt's nonces are of the time
        """Read the balances in as many requests as ccxt sends for them."""
        params = self._params()
        caller = self.caller()

        def fetch(exchange: Exchange) -> Any:  # noqa: ANN401 - as ccxt's
            return exchange.fetch_balance(params)

        if self._loads_markets:
            yield from self.load_markets(now)
        made = yield from self.make_call(fetch, now)
        if self._account_type is not None and "type" not in params.asked:
            raise self.failure(
                ProviderError,
                "the exchange has no types of accounts, and would be read as if none had been asked for",
                hint="Remove account_type",
            )
        check_rows(made.result, made.rows)
        balances = [self._balance(code, row, caller.exchange) for code, row in rows_of(made.result)]
        if not balances and not caller.found_nothing(fetch, made.received):
            raise self.nothing_in([response for _, response in made.received.values()])
        return balances

    def _balance(self, code: str, row: Mapping[str, Any], exchange: Exchange) -> Balance:
        if _NUMBER.fullmatch(code) and not self._loads_markets:
            raise ValueError("the number of a currency in place of its code: set load_markets")
        total, free, used, debt = (self._amount(code, row, name) for name in ("total", "free", "used", "debt"))
        if total is None:
            if free is None or used is None:
                raise ValueError(f"{code}: no total, and not both of free and used")
            total = sum_exactly((free, used))
        if free is None and used is not None:
            free = subtract_exactly(total, used)
        # Zero has a scale, too.
        amount = subtract_exactly(total, debt) if debt else total
        return self.balance(code, amount, asset_type=self._type_of(code, exchange), available=free)

    def _type_of(self, code: str, exchange: Exchange) -> AssetType:
        known = exchange.currencies.get(code) if self._loads_markets else None
        try:
            return AssetType((known or {})["type"])
        except (KeyError, ValueError):
            return asset_type_of(code)

    def _amount(self, code: str, row: Mapping[str, Any], name: str) -> Decimal | None:
        value = row.get(name)
        try:
            return None if value is None else self.balance(code, value).amount
        except (TypeError, ValueError) as error:
            raise ValueError(f"{code}: {name}: {error}") from None

    def _params(self) -> Params:
        return Params({} if self._account_type is None else {"type": self._account_type})

    def _check_texts(self, credentials: Mapping[str, Secret]) -> None:
        for name, secret in credentials.items():
            problem = secret.problem(header=name == "apiKey")
            if problem and not _is_private_key(secret):
                raise self.config_error(_SETTINGS[name], problem)

    def _options_text(self, options: Mapping[str, object] | str | None) -> str:
        try:
            text = options if isinstance(options, str) else json.dumps(dict(options or {}))
            if isinstance(json.loads(text), dict):
                return text
        except (TypeError, ValueError):
            pass
        raise self.config_error("options", "expected a mapping, or JSON of an object")

    def _check_required(self, credentials: Mapping[str, Secret]) -> None:
        required = cast("Mapping[str, bool]", self.caller().exchange.requiredCredentials)
        for name in (name for name, is_required in required.items() if is_required and name not in credentials):
            if name not in _SETTINGS:
                raise self.config_error("exchange", f"it needs {name}, for which there is no setting")
            raise self.config_error(_SETTINGS[name], "missing, and the exchange needs it")

    def _find_origins(self) -> None:
        """Find out where requests go unless that was given, and whether they can be signed."""
        url, setting, problem = "", "", ""
        try:
            url = self.build_request(now=0, nonce="").url
        except MarketsNeeded:
            setting, problem = "exchange", "ccxt needs its markets for the first request, which is not supported"
        except ccxt.BaseError as error:
            hidden = any(secret.reveal() in str(error) for secret in self._credentials)
            reason = type(error).__name__ if hidden else str(error)
            setting, problem = "exchange", f"ccxt makes no request with these settings ({reason})"
        except Exception as error:  # noqa: BLE001 - signing with what is no key may raise anything
            setting, problem = "secret", f"ccxt cannot sign with it ({type(error).__name__})"
        if problem:
            raise self.config_error(setting, problem)
        self.use_origin_of(url)


def _is_private_key(secret: Secret) -> bool:
    """Whether a secret is a private key of several lines."""
    try:
        return _PRIVATE_KEY in secret.reveal()
    except TypeError:
        return False
