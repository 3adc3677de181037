"""The Cryptoprocessing v2 API as the sandbox plays it.

Source: docs.cryptoprocessing.com, "List balances", "Authentication", "Errors" and "Callbacks".
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from http import HTTPMethod, HTTPStatus
from types import MappingProxyType
from typing import ClassVar, Final, cast

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.holdings import Holding
from balancekit.sandbox.request_log import ReceivedRequest
from balancekit.sandbox.responses import CredentialsError, SandboxResponse
from balancekit.sandbox.webhooks import COMMON_TAMPERS, Event, Message, Tamper, finish, tamper_body

RETRY_DELAYS: Final = tuple(60.0 * minutes for minutes in (1, 5, 15, 30, 60, 90, 120, 180, 240, 240, 240, 240))
"""Seconds from each attempt to the next."""

TAMPERS: Final[frozenset[Tamper]] = frozenset((*COMMON_TAMPERS, "key-missing", "key-changed"))

_KEY: Final = "X-Processing-Key"
_SIGNATURE: Final = "X-Processing-Signature"


def sign_body(secret: str, body: bytes) -> str:
    """Return the lower-case hex HMAC-SHA512 of the exact body, keyed with the secret."""
    return hmac.digest(secret.encode(), body, hashlib.sha512).hex()


def write_callback(body: bytes, *, key: str, secret: str, tamper: Tamper | None = None) -> Message:
    """Write and sign a callback."""
    content = tamper_body(body, tamper)
    headers = CIMultiDict({_KEY: key})
    headers[_SIGNATURE] = sign_body(secrets.token_hex(32) if tamper == "wrong-key" else secret, content)
    if tamper == "key-missing":
        del headers[_KEY]
    elif tamper == "key-changed":
        headers[_KEY] = secrets.token_hex(16)
    return finish(headers, content, signed_by=_SIGNATURE, tamper=tamper)


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
"""Assumed: what `GET /ping` answers."""

_UNEXPECTED: Final = "This field was not expected"
"""Assumed: what the second shape of errors says of a field; the shape is documented, its texts are not."""


@attrs.define(eq=False, repr=False, kw_only=True)
class CryptoprocessingAccount(SandboxAccount):
    """One account at Cryptoprocessing; `balances_as_numbers` sends balances as the page of March 2026 showed them."""

    provider: ClassVar[str] = "cryptoprocessing"
    pending_status: ClassVar[str] = "not_confirmed"
    settled_status: ClassVar[str] = "confirmed"
    retry_delays: ClassVar[tuple[float, ...]] = RETRY_DELAYS
    tampers: ClassVar[frozenset[Tamper]] = TAMPERS

    key: str
    secret: str
    balances_as_numbers: bool

    @property
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor; RuntimeError as long as the port is not known."""
        return {"key": self.key, "secret": self.secret, "base_url": f"{self._address()}{_BASE}"}

    def write_webhook(self, event: Event, *, now: int, tamper: Tamper | None = None) -> Message:  # noqa: ARG002 - callbacks have no time
        """Write and sign a callback."""
        return write_callback(callback_body(event), key=self.key, secret=self.secret, tamper=tamper)


class CryptoprocessingApi:
    """The API for those accounts that are added to it."""

    def __init__(self) -> None:
        self._accounts: dict[str, CryptoprocessingAccount] = {}

    @property
    def provider(self) -> str:
        """The provider's name."""
        return CryptoprocessingAccount.provider

    def add(self, account: CryptoprocessingAccount) -> None:
        """Add an account; ValueError if its key belongs to another."""
        if account.key in self._accounts:
            raise ValueError("two accounts with the same key")
        self._accounts[account.key] = account

    def serves(self, route: str) -> bool:
        """Whether a path, without its query, belongs to this API."""
        return route == _BASE or route.startswith(f"{_BASE}/")

    def identify(self, route: str, headers: CIMultiDictProxy[str]) -> CryptoprocessingAccount | None:  # noqa: ARG002 - other APIs read the path
        """Return the account that a request says it comes from."""
        return self._accounts.get(headers.get("X-Processing-Key", ""))

    def respond(self, request: ReceivedRequest) -> SandboxResponse:
        """SandboxResponse a request as the provider does: the path first, then the headers, then the body."""
        method = {f"{_BASE}/ping": HTTPMethod.GET, f"{_BASE}/accounts/list": HTTPMethod.POST}.get(request.route)
        if method is None:
            # "Also when the request URL is wrong."
            return _forbidden("required_header_key")
        if request.method != method:
            return SandboxResponse.of_status(HTTPStatus.METHOD_NOT_ALLOWED, Allow=method)
        if method == HTTPMethod.GET:
            return SandboxResponse.of_text(HTTPStatus.OK, _PING)
        try:
            account = verify(request, self.identify(request.route, request.headers))
        except CredentialsError as error:
            return _forbidden(error.code)
        return _body_error(request) or _balances(account.holdings, as_numbers=account.balances_as_numbers)

    def documented_error(self, status: int) -> SandboxResponse | None:
        """Return the error that the provider documents for a status."""
        return _DOCUMENTED_ERRORS.get(status)


def callback_body(event: Event) -> bytes:
    """Return the body of a callback: a deposit, or a withdrawal where the amount is negative.

    Assumed: how the objects for currencies and amounts are called; documented is that there are such objects.
    """
    amount = {"currency": event.moved.currency, "amount": event.moved.plain.removeprefix("-")}
    content = {
        "id": event.number,
        "type": "withdrawal" if event.moved.amount < 0 else "deposit",
        "status": event.status,
        "currency_sent": amount,
        "currency_received": amount,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def verify(request: ReceivedRequest, account: CryptoprocessingAccount | None) -> CryptoprocessingAccount:
    """Return the account that signed a request, of which `account` has the key; raises CredentialsError otherwise."""
    if not request.headers.get("X-Processing-Key"):
        raise CredentialsError("required_header_key")
    if account is None:
        raise CredentialsError("bad_header_key")
    signature = request.headers.get("X-Processing-Signature")
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
    # Written as text, since no JSON encoder writes the digits of a Decimal as they are.
    rows = (
        f'{{"currency": {json.dumps(holding.currency)}, "type": "{holding.asset_type}", '
        f'"balance": {holding.plain if as_numbers else json.dumps(holding.plain)}}}'
        for holding in holdings
    )
    return SandboxResponse.of_json_text(HTTPStatus.OK, f'{{"data": [{", ".join(rows)}]}}')


# The limit is enforced by a proxy in front, which answers in plain text.
_DOCUMENTED_ERRORS: Final[Mapping[int, SandboxResponse]] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: _error(HTTPStatus.BAD_REQUEST, "bad_content_format"),
        HTTPStatus.FORBIDDEN: _forbidden("bad_header_signature"),
        HTTPStatus.TOO_MANY_REQUESTS: SandboxResponse.of_text(HTTPStatus.TOO_MANY_REQUESTS, "error code: 1015"),
    }
)
