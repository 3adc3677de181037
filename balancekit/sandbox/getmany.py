"""The getMany (Blacksheep) API as the sandbox simulates it.

Source: docs.blacksheep.money, "Listing balances" and "Authentication".
"""

import base64
import enum
import hashlib
import re
import uuid
from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from typing import Any, ClassVar, Final, get_args
from urllib.parse import quote, unquote

import attrs
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from multidict import CIMultiDictProxy

from balancekit.providers.getmany import NO_BODY_DIGEST
from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.getmany_webhooks import COMPLETED, PENDING, RETRY_DELAYS, encode_public_key, write_webhook
from balancekit.sandbox.holdings import Holding
from balancekit.sandbox.request_log import ReceivedRequest
from balancekit.sandbox.responses import CredentialsError, SandboxResponse
from balancekit.sandbox.webhooks import Event, GetManyTamper, SignedWebhook, Tamper

_WINDOW: Final = 300
"""Assumed: how many seconds a timestamp may be off, either way."""

_DEFAULT_CHAIN: Final = "ethereum"
"""The chain of a crypto holding that names none."""

_METHOD: Final = "/account.balance.getMany"
_GATEWAY: Final = "/gateway/"
_NONCE_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 64
_TIMESTAMP: Final = re.compile(r"[0-9]{1,15}")


class _ErrorCode(enum.StrEnum):
    """Assumed: why a signature failed; documented is only that it is 401 with the flat `{"error": code}`."""

    MISSING_HEADER = "missing_header"
    UNKNOWN_KEY = "unknown_key"
    MALFORMED_TIMESTAMP = "malformed_timestamp"
    STALE_TIMESTAMP = "stale_timestamp"
    MALFORMED_NONCE = "malformed_nonce"
    REUSED_NONCE = "reused_nonce"
    DIGEST_REQUIRED = "digest_required"
    DIGEST_MISMATCH = "digest_mismatch"
    MALFORMED_SIGNATURE = "malformed_signature"
    INVALID_SIGNATURE = "invalid_signature"


_INVALID_INPUT: Final = "invalid_input"
"""Assumed: the code of the endpoint's own error for a request with a body."""


def new_signing_key() -> str:
    """Return a new Ed25519 private key as base64 of PKCS#8 DER."""
    der = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(der).decode()


def _derive_verifying_key(account: "SignedAccount") -> Ed25519PublicKey:
    try:
        key = load_der_private_key(base64.b64decode(account.signing_key, validate=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        # Without the decoder's own error, which can quote the key.
        raise ValueError("signing_key must be an Ed25519 private key as base64 of PKCS#8 DER")  # noqa: TRY004
    return key.public_key()


@attrs.define(eq=False, repr=False, kw_only=True)
class GetManyAccount(SandboxAccount):
    """One account at getMany, with the key pair of its webhooks."""

    provider: ClassVar[str] = "getmany"
    pending_status: ClassVar[str] = PENDING
    settled_status: ClassVar[str] = COMPLETED
    retry_delays: ClassVar[tuple[float, ...]] = RETRY_DELAYS
    tampers: ClassVar[frozenset[Tamper]] = frozenset(get_args(GetManyTamper))

    _webhook_signing_key: Ed25519PrivateKey = attrs.field(init=False, factory=Ed25519PrivateKey.generate)

    @property
    def webhook_key(self) -> str:
        """The public key that verifies its webhooks."""
        return encode_public_key(self._webhook_signing_key)

    def write_webhook(self, event: Event, *, now: int, tamper: Tamper | None = None) -> SignedWebhook:
        """Write and sign a webhook."""
        return write_webhook(event, _amount(event.moved), now=now, key=self._webhook_signing_key, tamper=tamper)


@attrs.define(eq=False, repr=False, kw_only=True)
class SignedAccount(GetManyAccount):
    """One account at getMany whose requests are signed; it keeps the nonces of recent requests."""

    key_id: str
    signing_key: str
    verifying_key: Ed25519PublicKey = attrs.field(
        init=False, default=attrs.Factory(_derive_verifying_key, takes_self=True)
    )
    _nonces: dict[str, int] = attrs.field(init=False, factory=dict[str, int])

    @property
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor; RuntimeError as long as the port is not known."""
        return {
            "key_id": self.key_id,
            "signing_key": self.signing_key,
            "webhook_key": self.webhook_key,
            "base_url": self._address(),
        }

    def use_nonce(self, nonce: str, timestamp: int, *, now: float) -> bool:
        """Record a nonce; False if it was used before."""
        if nonce in self._nonces:
            return False
        # An older request is rejected for its timestamp, so its nonce need not be kept.
        while self._nonces and self._nonces[oldest := next(iter(self._nonces))] < now - _WINDOW:
            del self._nonces[oldest]
        self._nonces[nonce] = timestamp
        return True


@attrs.define(eq=False, repr=False, kw_only=True)
class GatewayAccount(GetManyAccount):
    """One account at getMany behind a gateway that signs: its path identifies it, since its requests carry no key."""

    @property
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor; RuntimeError as long as the port is not known."""
        base_url = f"{self._address()}{_GATEWAY}{quote(self.label, safe='')}"
        return {"webhook_key": self.webhook_key, "base_url": base_url}


class GetManyApi:
    """The API for the accounts that are added to it."""

    provider: ClassVar[str | None] = GetManyAccount.provider

    def __init__(self) -> None:
        self._signed: dict[str, SignedAccount] = {}
        self._behind_gateway: dict[str, GatewayAccount] = {}

    def add(self, account: SignedAccount | GatewayAccount) -> None:
        """Add an account; ValueError if its key id belongs to another."""
        if isinstance(account, GatewayAccount):
            self._behind_gateway[account.label] = account
        elif account.key_id in self._signed:
            raise ValueError("two accounts with the same key id")
        else:
            self._signed[account.key_id] = account

    def serves(self, route: str) -> bool:
        """Whether a path, without its query, belongs to this API."""
        return route == _METHOD or self._gateway_account(route) is not None

    def identify(self, route: str, headers: CIMultiDictProxy[str]) -> SignedAccount | GatewayAccount | None:
        """Return the account that a request claims to come from."""
        return self._gateway_account(route) or self._signed.get(headers.get("Bs-Key-Id", ""))

    def respond(self, request: ReceivedRequest) -> SandboxResponse:
        """Respond as the provider does: it checks the signature first, then the body."""
        if request.method != HTTPMethod.POST:
            return SandboxResponse.of_status(HTTPStatus.METHOD_NOT_ALLOWED, Allow=HTTPMethod.POST)
        account: SandboxAccount | None = self._gateway_account(request.route)
        if account is None:
            try:
                account = _verify(request, self._signed)
            except CredentialsError as error:
                return _unauthorized(error.code)
        if request.body:
            content = {"code": _INVALID_INPUT, "message": "This endpoint takes no input"}
            return SandboxResponse.of_json(HTTPStatus.BAD_REQUEST, {"error": content}, error=_INVALID_INPUT)
        account_id = uuid.uuid5(uuid.NAMESPACE_URL, f"https://api.blacksheep.money/accounts/{account.label}")
        rows = [_row(holding, account_id) for holding in account.holdings if holding.amount]
        return SandboxResponse.of_json(HTTPStatus.OK, {"data": rows})

    def documented_error(self, status: int) -> SandboxResponse | None:
        """Return the error response that the provider documents for a status."""
        return _unauthorized(_ErrorCode.INVALID_SIGNATURE) if status == HTTPStatus.UNAUTHORIZED else None

    def _gateway_account(self, route: str) -> GatewayAccount | None:
        if not (route.startswith(_GATEWAY) and route.endswith(_METHOD)):
            return None
        return self._behind_gateway.get(unquote(route.removeprefix(_GATEWAY).removesuffix(_METHOD)))


def _verify(request: ReceivedRequest, accounts: Mapping[str, SignedAccount]) -> SignedAccount:
    """Return the account that signed a request, and record its nonce; raise CredentialsError if the signature fails.

    The strings are checked as they were received, never rebuilt from parsed values.
    """
    key_id, timestamp, nonce, signature = (
        _single_header(request.headers, name) for name in ("Bs-Key-Id", "Bs-Timestamp", "Bs-Nonce", "Bs-Signature")
    )
    account = accounts.get(key_id)
    if account is None:
        raise CredentialsError(_ErrorCode.UNKNOWN_KEY)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise CredentialsError(_ErrorCode.MALFORMED_TIMESTAMP)
    if abs(request.at - int(timestamp)) > _WINDOW:
        raise CredentialsError(_ErrorCode.STALE_TIMESTAMP)
    _decode(nonce, _NONCE_BYTES, _ErrorCode.MALFORMED_NONCE)
    text = _signed_text((key_id, timestamp, nonce), method=request.method, path=request.path, digest=_digest(request))
    try:
        account.verifying_key.verify(_decode(signature, _SIGNATURE_BYTES, _ErrorCode.MALFORMED_SIGNATURE), text)
    except InvalidSignature:
        raise CredentialsError(_ErrorCode.INVALID_SIGNATURE) from None
    # Last, so that nobody without the key can use up the nonces of an account.
    if not account.use_nonce(nonce, int(timestamp), now=request.at):
        raise CredentialsError(_ErrorCode.REUSED_NONCE)
    return account


def _signed_text(parts: tuple[str, str, str], *, method: str, path: str, digest: str) -> bytes:
    """Return the bytes that a signature covers; each length counts the bytes as they were sent."""
    raw = [part.encode(errors="surrogateescape") for part in (*parts, path)]
    *counted, counted_path = [b"%d:%b" % (len(part), part) for part in raw]
    return b":".join([*counted, method.encode(), counted_path, digest.encode(errors="surrogateescape")])


def _single_header(headers: CIMultiDictProxy[str], name: str) -> str:
    values = headers.getall(name, [])
    if len(values) != 1:
        raise CredentialsError(_ErrorCode.MISSING_HEADER)
    return values[0]


def _decode(text: str, length: int, code: _ErrorCode) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise CredentialsError(code) from None
    # Encoded again, because the decoder accepts stray bits at the end.
    if len(data) != length or base64.b64encode(data).decode() != text:
        raise CredentialsError(code)
    return data


def _digest(request: ReceivedRequest) -> str:
    if not request.body:
        return NO_BODY_DIGEST
    sent = request.headers.get("Content-Digest")
    if sent is None:
        raise CredentialsError(_ErrorCode.DIGEST_REQUIRED)
    if sent != f"sha-256=:{base64.b64encode(hashlib.sha256(request.body).digest()).decode()}:":
        raise CredentialsError(_ErrorCode.DIGEST_MISMATCH)
    return sent


def _unauthorized(code: str) -> SandboxResponse:
    return SandboxResponse.of_json(HTTPStatus.UNAUTHORIZED, {"error": code}, error=code)


def _row(holding: Holding, account_id: uuid.UUID) -> dict[str, Any]:
    balance = _amount(holding)
    row_id = uuid.uuid5(account_id, f"{holding.currency}:{balance.get('chain', '')}")
    return {"id": str(row_id), "account_id": str(account_id), "balance": balance}


def _amount(holding: Holding) -> dict[str, Any]:
    amount: dict[str, Any] = {"value": str(holding.units), "code": holding.currency, "decimals": holding.scale}
    if holding.asset_type == "crypto":
        amount["chain"] = holding.chain or _DEFAULT_CHAIN
    return amount
