"""The adapter of PayPal's API.

After developer.paypal.com/docs/api/transaction-search/v1/#balances_get, developer.paypal.com/api/rest/authentication
and developer.paypal.com/api/rest/reference/currency-codes.
"""

from base64 import b64encode
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final

from balancekit import (
    AssetType,
    Balance,
    ErrorDetail,
    MultiRequestProvider,
    ReportedBalances,
    Request,
    Response,
    Secret,
    Token,
)

_FIAT: Final = "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN RUB SEK SGD THB TWD USD"
"""PayPal's list of currencies. It has crypto as well, so that any other code is of unknown type."""


class PayPalProvider(MultiRequestProvider):
    """The balances of one PayPal account, in each of its currencies.

    `client_id` and `client_secret` are those of a REST app of that account, with the feature Transaction Search.
    `base_url` is `PayPalProvider.SANDBOX` for an app of the sandbox.

    The amount is PayPal's total, which includes what it withholds; `available` is the rest. PayPal's numbers are up to
    three hours old: `reported_at` is the moment of which they are.

    Raises ConfigError for a setting that cannot work.
    """

    PRODUCTION: Final = "https://api-m.paypal.com"
    SANDBOX: Final = "https://api-m.sandbox.paypal.com"

    provider = "paypal"
    secret_settings = frozenset({"client_secret"})
    hints: ClassVar[Mapping[str | int, str]] = MappingProxyType(
        {
            "invalid_client": "Check that client_id and client_secret are of one app, and that base_url is that of "
            "PayPal's sandbox for an app of the sandbox alone",
            "NOT_AUTHORIZED": "Select Transaction Search in the settings of the app, under Apps & Credentials. PayPal "
            "enables it within nine hours, for new tokens: restart the program then",
        }
    )

    def __init__(
        self, account: str, *, client_id: str, client_secret: str | Secret, base_url: str | Secret = PRODUCTION
    ) -> None:
        # Hidden before anything can raise: error trackers collect the local variables of every frame.
        client_secret, base_url = Secret.of(client_secret), Secret.of(base_url)
        super().__init__(account, base_url=base_url)
        if not client_id or ":" in client_id:
            raise self.config_error("client_id", "expected a text without colons")
        if problem := client_secret.problem(header=True):
            raise self.config_error("client_secret", problem)
        self._client_id = client_id
        self._client_secret = client_secret

    def request_token(self, *, now: int, nonce: str) -> Request:  # noqa: ARG002 - this API signs nothing
        """Build the request for a token, which is good for about nine hours."""
        login = b64encode(f"{self._client_id}:{self._client_secret.reveal()}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", f"{self.base_url}/v1/oauth2/token", headers, b"grant_type=client_credentials")

    def read_token(self, response: Response) -> Token:
        """Read the token, and for how many seconds it is good."""
        data = response.json()
        return Token(data["access_token"], expires_in=data["expires_in"])

    def read_error(self, response: Response) -> ErrorDetail:
        """Read `{"name": code, "message": text}`, or of a token `{"error": code, "error_description": text}`."""
        match response.json():
            case {"name": code, "message": message} | {"error": code, "error_description": message}:
                return ErrorDetail(code, message)
            case _:
                return super().read_error(response)

    def exchange(self, *, now: int, nonces: Iterator[str]) -> Generator[Request, Response, Sequence[Balance]]:
        """Read the newest balances that PayPal has, those of which there is nothing included."""
        token = yield from self.token(now=now, nonces=nonces)
        # Without as_of_time they are the newest, whatever this machine's clock shows.
        url = f"{self.base_url}/v1/reporting/balances?currency_code=ALL"
        response = yield Request("GET", url, {"Authorization": f"Bearer {token}"})
        rows = response.entries("balances")
        data = response.json()
        balances = [self._balance(row, data.get("account_id")) for row in rows]
        # PayPal may leave out either; the balances are no younger than the earlier one.
        times = [datetime.fromisoformat(data[name]) for name in ("as_of_time", "last_refresh_time") if name in data]
        return ReportedBalances(balances, reported_at=min(times)) if times else balances

    def _balance(self, row: Mapping[str, Any], account_id: object) -> Balance:
        code = row["currency"]
        return self.balance(
            code,
            _amount(code, row["total_balance"]),
            asset_type=AssetType.FIAT if code in _FIAT.split() else AssetType.UNKNOWN,
            # Two apps of one PayPal account list the same ones, which are refused rather than counted twice.
            reference=None if account_id is None else f"{account_id}-{code}",
            available=_amount(code, row["available_balance"]) if "available_balance" in row else None,
        )


def _amount(code: str, money: Mapping[str, Any]) -> str:
    """Return the decimal text of an amount, which names its currency once more."""
    if money["currency_code"] != code:
        raise ValueError("an amount is in another currency than its balance")
    # A number would be exact, too, but is not what PayPal promises.
    if not isinstance(value := money["value"], str):
        raise TypeError("an amount is no text")
    return value
