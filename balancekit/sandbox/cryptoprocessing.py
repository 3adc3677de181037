"""The Cryptoprocessing v2 API as the sandbox simulates it.

Source: docs.cryptoprocessing.com, "List balances", "Authentication" and "Errors".
"""

import hmac
import json
from collections.abc import Iterable, Mapping
from http import HTTPMethod, HTTPStatus
from types import MappingProxyType
from typing import ClassVar, Final, cast, get_args

import attrs
from multidict import CIMultiDictProxy

from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.cryptoprocessing_webhooks import (
    KEY_HEADER,
    RETRY_DELAYS,
    SIGNATURE_HEADER,
    sign_body,
    write_callback,
)
from balancekit.sandbox.holdings import Holding
from balancekit.sandbox.request_log import ReceivedRequest
from balancekit.sandbox.responses import CredentialsError, SandboxResponse
from balancekit.sandbox.webhooks import CryptoprocessingTamper, Event, SignedWebhook, Tamper

_BASE: Final = "/api/v2"

_MESSAGES: Final = MappingProxyType(
    {
        "bad_content_format": "Bad content format",
        "bad_header_key": "Bad key header",
        "bad_header_signature": "Bad signature header",
        "required_header_key": "No key header",
        "required_header_signature": "No signature header",
    }
)

_PING: Final = "OK"
"""Assumed: the body of the response to `GET /ping`."""

_UNEXPECTED: Final = "This field was not expected"
"""Assumed: the text for a field in the second shape of errors; only the shape is documented."""


@attrs.define(eq=False, repr=False, kw_only=True)
class CryptoprocessingAccount(SandboxAccount):
    """One account at Cryptoprocessing; `balances_as_numbers` sends balances as the page of March 2026 showed them."""

    provider: ClassVar[str] = "cryptoprocessing"
    pending_status: ClassVar[str] = "not_confirmed"
    settled_status: ClassVar[str] = "confirmed"
    retry_delays: ClassVar[tuple[float, ...]] = RETRY_DELAYS
    tampers: ClassVar[frozenset[Tamper]] = frozenset(get_args(CryptoprocessingTamper))

    key: str
    secret: str
    balances_as_numbers: bool

    @property
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor; RuntimeError as long as the port is not known."""
        return {"key": self.key, "secret": self.secret, "base_url": f"{self._address()}{_BASE}"}

    def write_webhook(self, event: Event, *, now: int, tamper: Tamper | None = None) -> SignedWebhook:  # noqa: ARG002 - callbacks have no time
        """Write and sign a callback."""
        return write_callback(event, key=self.key, secret=self.secret, tamper=tamper)


class CryptoprocessingApi:
    """The API for the accounts that are added to it."""

    provider: ClassVar[str | None] = CryptoprocessingAccount.provider

    def __init__(self) -> None:
        self._accounts: dict[str, CryptoprocessingAccount] = {}

    def add(self, account: CryptoprocessingAccount) -> None:
        """Add an account; ValueError if its key belongs to another."""
        if account.key in self._accounts:
            raise ValueError("two accounts with the same key")
        self._accounts[account.key] = account

    def serves(self, route: str) -> bool:
        """Whether a path, without its query, belongs to this API."""
        return route == _BASE or route.startswith(f"{_BASE}/")

    def identify(self, route: str, headers: CIMultiDictProxy[str]) -> CryptoprocessingAccount | None:  # noqa: ARG002 - other APIs read the path
        """Return the account that a request claims to come from."""
        return self._accounts.get(headers.get(KEY_HEADER, ""))

    def respond(self, request: ReceivedRequest) -> SandboxResponse:
        """Respond as the provider does: it checks the path first, then the headers, then the body."""
        method = {f"{_BASE}/ping": HTTPMethod.GET, f"{_BASE}/accounts/list": HTTPMethod.POST}.get(request.route)
        if method is None:
            # "Also when the request URL is wrong."
            return _forbidden("required_header_key")
        if request.method != method:
            return SandboxResponse.of_status(HTTPStatus.METHOD_NOT_ALLOWED, Allow=method)
        if method == HTTPMethod.GET:
            return SandboxResponse.of_text(HTTPStatus.OK, _PING)
        try:
            account = _verify(request, self.identify(request.route, request.headers))
        except CredentialsError as error:
            return _forbidden(error.code)
        return _body_error(request) or _balances(account.holdings, as_numbers=account.balances_as_numbers)

    def documented_error(self, status: int) -> SandboxResponse | None:
        """Return the error response that the provider documents for a status."""
        return _DOCUMENTED_ERRORS.get(status)


def _verify(request: ReceivedRequest, account: CryptoprocessingAccount | None) -> CryptoprocessingAccount:
    """Return `account`, which has the key of the request, if it signed the request; raise CredentialsError if not."""
    if not request.headers.get(KEY_HEADER):
        raise CredentialsError("required_header_key")
    if account is None:
        raise CredentialsError("bad_header_key")
    signature = request.headers.get(SIGNATURE_HEADER)
    if not signature:
        raise CredentialsError("required_header_signature")
    expected = sign_body(account.secret, request.body)
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="surrogateescape")):
        raise CredentialsError("bad_header_signature")
    return account


def _error(status: int, code: str) -> SandboxResponse:
    return SandboxResponse.of_json(status, {"error": _MESSAGES[code], "code": code}, error=code)


def _forbidden(code: str) -> SandboxResponse:
    return _error(HTTPStatus.FORBIDDEN, code)


def _body_error(request: ReceivedRequest) -> SandboxResponse | None:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    try:
        content = json.loads(request.body.decode())
    except (ValueError, RecursionError):
        media_type = "application/octet-stream"
        content = None
    if media_type != "application/json":
        return _error(HTTPStatus.BAD_REQUEST, "bad_content_format")
    if content == {}:
        return None
    fields = cast("Iterable[str]", content) if isinstance(content, dict) else ["body"]
    return SandboxResponse.of_json(HTTPStatus.BAD_REQUEST, {"errors": dict.fromkeys(fields, _UNEXPECTED)})


def _balances(holdings: Iterable[Holding], *, as_numbers: bool) -> SandboxResponse:
    # Written as text, because no JSON encoder writes the digits of a Decimal unchanged.
    rows = (
        f'{{"currency": {json.dumps(holding.currency)}, "type": "{holding.asset_type}", '
        f'"balance": {holding.plain if as_numbers else json.dumps(holding.plain)}}}'
        for holding in holdings
    )
    return SandboxResponse.of_json_text(HTTPStatus.OK, f'{{"data": [{", ".join(rows)}]}}')


# A proxy in front of the API enforces the rate limit and responds in plain text.
_DOCUMENTED_ERRORS: Final[Mapping[int, SandboxResponse]] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: _error(HTTPStatus.BAD_REQUEST, "bad_content_format"),
        HTTPStatus.FORBIDDEN: _forbidden("bad_header_signature"),
        HTTPStatus.TOO_MANY_REQUESTS: SandboxResponse.of_text(HTTPStatus.TOO_MANY_REQUESTS, "error code: 1015"),
    }
)
