"""The getMany (Blacksheep) API as the sandbox plays it.

Source: docs.blacksheep.money, "Listing balances", "Authentication", "Transactions" and "Webhook setup".
"""

import base64
import enum
import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar, Final
from urllib.parse import quote, unquote

import attrs
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from multidict import CIMultiDict, CIMultiDictProxy

from balancekit.providers.getmany import NO_BODY_DIGEST
from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.holdings import Holding
from balancekit.sandbox.request_log import ReceivedRequest
from balancekit.sandbox.responses import CredentialsError, SandboxResponse
from balancekit.sandbox.webhooks import COMMON_TAMPERS, Event, Message, Tamper, finish, tamper_body

RETRY_DELAYS: Final = (5.0, *(3600.0 * hours for hours in (1 / 12, 0.5, 2, 5, 10, 14, 20, 24)))
"""Assumed: seconds from each attempt to the next, as in the example that the specification gives."""

TAMPERS: Final[frozenset[Tamper]] = frozenset(
    (
        *COMMON_TAMPERS,
        "id-missing",
        "id-changed",
        "timestamp-missing",
        "timestamp-changed",
        "timestamp-old",
        "timestamp-future",
    )
)

_FAR_OFF: Final = 600
"""Seconds; a receiver refuses what is older than 300 or more than 5 ahead."""

_ID_HEADER: Final = "webhook-id"
_TIMESTAMP_HEADER: Final = "webhook-timestamp"
_SIGNATURE_HEADER: Final = "webhook-signature"


def sign_webhook(key: Ed25519PrivateKey, event_id: str, timestamp: str, body: bytes) -> str:
    """Return the value of `webhook-signature` for an id, a timestamp and the exact body."""
    signature = key.sign(f"{event_id}.{timestamp}.".encode() + body)
    return f"v1a,{base64.b64encode(signature).decode()}"


def encode_public_key(key: Ed25519PrivateKey) -> str:
    """Return the public key as standard base64 of its 32 bytes, as receivers are given it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def write_signed_webhook(
    body: bytes, *, event_id: str, now: int, key: Ed25519PrivateKey, tamper: Tamper | None = None
) -> Message:
    """Write and sign a webhook; the time is that of the attempt, so that a retry is signed anew."""
    content = tamper_body(body, tamper)
    timestamp = str(now + {"timestamp-old": -_FAR_OFF, "timestamp-future": _FAR_OFF}.get(tamper or "", 0))
    signer = Ed25519PrivateKey.generate() if tamper == "wrong-key" else key
    headers = CIMultiDict({_ID_HEADER: event_id, _TIMESTAMP_HEADER: timestamp})
    headers[_SIGNATURE_HEADER] = sign_webhook(signer, event_id, timestamp, content)
    if tamper == "id-missing":
        del headers[_ID_HEADER]
    elif tamper == "id-changed":
        headers[_ID_HEADER] = f"{event_id}2"
    elif tamper == "timestamp-missing":
        del headers[_TIMESTAMP_HEADER]
    elif tamper == "timestamp-changed":
        headers[_TIMESTAMP_HEADER] = str(now + 1)
    return finish(headers, content, signed_by=_SIGNATURE_HEADER, tamper=tamper)


WINDOW: Final = 300
"""Assumed: how many seconds a timestamp may be off, either way."""

DEFAULT_CHAIN: Final = "ethereum"
"""The chain of a crypto holding that names none."""

_METHOD: Final = "/account.balance.getMany"
_GATEWAY: Final = "/gateway/"
_NONCE_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 64
_TIMESTAMP: Final = re.compile(r"[0-9]{1,15}")
_IDS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://api.blacksheep.money")


class ErrorCode(enum.StrEnum):
    """Assumed: the codes of a failed signature; documented is only that it is 401 with the flat `{"error": code}`."""

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


INVALID_INPUT: Final = "invalid_input"
"""Assumed: the code of the endpoint's own error for a request with a body."""


def new_signing_key() -> str:
    """Return a new Ed25519 private key as base64 of PKCS#8 DER."""
    der = Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(der).decode()


def _load(signing_key: str) -> Ed25519PrivateKey:
    try:
        key = load_der_private_key(base64.b64decode(signing_key, validate=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        # Without the decoder's own error, which can quote the key.
        raise ValueError("signing_key must be an Ed25519 private key as base64 of PKCS#8 DER")  # noqa: TRY004
    return key


def _derive_verifying_key(account: "SignedAccount") -> Ed25519PublicKey:
    return _load(account.signing_key).public_key()


@attrs.define(eq=False, repr=False, kw_only=True)
class GetManyAccount(SandboxAccount):
    """One account at getMany, with the key pair of its webhooks."""

    provider: ClassVar[str] = "getmany"
    pending_status: ClassVar[str] = "PENDING"
    settled_status: ClassVar[str] = "COMPLETED"
    retry_delays: ClassVar[tuple[float, ...]] = RETRY_DELAYS
    tampers: ClassVar[frozenset[Tamper]] = TAMPERS

    _webhook_signing_key: Ed25519PrivateKey = attrs.field(init=False, factory=Ed25519PrivateKey.generate)

    @property
    def webhook_key(self) -> str:
        """The public key that its webhooks are verified with."""
        return encode_public_key(self._webhook_signing_key)

    def write_webhook(self, event: Event, *, now: int, tamper: Tamper | None = None) -> Message:
        """Write and sign a webhook."""
        body = webhook_body(event)
        return write_signed_webhook(
            body, event_id=event.event_id, now=now, key=self._webhook_signing_key, tamper=tamper
        )


@attrs.define(eq=False, repr=False, kw_only=True)
class SignedAccount(GetManyAccount):
    """One account at getMany whose requests are signed; it remembers the nonces that it has seen."""

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

    def spend(self, nonce: str, timestamp: int, *, now: float) -> bool:
        """Remember a nonce; False if it was used before."""
        if nonce in self._nonces:
            return False
        # What is older than the window is refused as stale, so its nonce need not be kept.
        while self._nonces and self._nonces[oldest := next(iter(self._nonces))] < now - WINDOW:
            del self._nonces[oldest]
        self._nonces[nonce] = timestamp
        return True


@attrs.define(eq=False, repr=False, kw_only=True)
class GatewayAccount(GetManyAccount):
    """One account at getMany behind a gateway that signs: told by its path, since its requests carry no identity."""

    @property
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor; RuntimeError as long as the port is not known."""
        base_url = f"{self._address()}{_GATEWAY}{quote(self.label, safe='')}"
        return {"webhook_key": self.webhook_key, "base_url": base_url}


class GetManyApi:
    """The API for those accounts that are added to it."""

    def __init__(self) -> None:
        self._signed: dict[str, SignedAccount] = {}
        self._behind_gateway: dict[str, GatewayAccount] = {}

    @property
    def provider(self) -> str:
        """The provider's name."""
        return SignedAccount.provider

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
        """Return the account that a request says it comes from."""
        return self._gateway_account(route) or self._signed.get(headers.get("Bs-Key-Id", ""))

    def respond(self, request: ReceivedRequest) -> SandboxResponse:
        """SandboxResponse a request as the provider does: the signature first, then the body."""
        if request.method != HTTPMethod.POST:
            return SandboxResponse.of_status(HTTPStatus.METHOD_NOT_ALLOWED, Allow=HTTPMethod.POST)
        account: SandboxAccount | None = self._gateway_account(request.route)
        if account is None:
            try:
                account = verify(request, self._signed)
            except CredentialsError as error:
                return _unauthorized(error.code)
        if request.body:
            content = {"code": INVALID_INPUT, "message": "This endpoint takes no input"}
            return SandboxResponse.of_json(HTTPStatus.BAD_REQUEST, {"error": content}, error=INVALID_INPUT)
        account_id = uuid.uuid5(_IDS, account.label)
        rows = [_row(holding, account_id) for holding in account.holdings if holding.amount]
        return SandboxResponse.of_json(HTTPStatus.OK, {"data": rows})

    def documented_error(self, status: int) -> SandboxResponse | None:
        """Return the error that the provider documents for a status."""
        return _DOCUMENTED_ERRORS.get(status)

    def _gateway_account(self, route: str) -> GatewayAccount | None:
        if not (route.startswith(_GATEWAY) and route.endswith(_METHOD)):
            return None
        return self._behind_gateway.get(unquote(route.removeprefix(_GATEWAY).removesuffix(_METHOD)))


def verify(request: ReceivedRequest, accounts: Mapping[str, SignedAccount]) -> SignedAccount:
    """Return the account that signed a request, and spend its nonce; raises CredentialsError if the signature fails.

    Everything is checked as it was received: header strings are never rebuilt from parsed values.
    """
    key_id, timestamp, nonce, signature = (
        _single_header(request.headers, name) for name in ("Bs-Key-Id", "Bs-Timestamp", "Bs-Nonce", "Bs-Signature")
    )
    account = accounts.get(key_id)
    if account is None:
        raise CredentialsError(ErrorCode.UNKNOWN_KEY)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise CredentialsError(ErrorCode.MALFORMED_TIMESTAMP)
    if abs(request.at - int(timestamp)) > WINDOW:
        raise CredentialsError(ErrorCode.STALE_TIMESTAMP)
    _decode(nonce, _NONCE_BYTES, otherwise=ErrorCode.MALFORMED_NONCE)
    parts = (key_id, timestamp, nonce)
    text = signed_text(*parts, method=request.method, path=request.path, digest=_digest(request))
    try:
        account.verifying_key.verify(
            _decode(signature, _SIGNATURE_BYTES, otherwise=ErrorCode.MALFORMED_SIGNATURE), text
        )
    except InvalidSignature:
        raise CredentialsError(ErrorCode.INVALID_SIGNATURE) from None
    # Last, so that nobody can use up the nonces of an account without its key.
    if not account.spend(nonce, int(timestamp), now=request.at):
        raise CredentialsError(ErrorCode.REUSED_NONCE)
    return account


def signed_text(key_id: str, timestamp: str, nonce: str, *, method: str, path: str, digest: str) -> bytes:
    """Return the bytes that a signature covers: lengths count the bytes as they were on the wire."""
    raw = [part.encode(errors="surrogateescape") for part in (key_id, timestamp, nonce, path)]
    *counted, counted_path = [b"%d:%b" % (len(part), part) for part in raw]
    return b":".join([*counted, method.encode(), counted_path, digest.encode(errors="surrogateescape")])


def _single_header(headers: CIMultiDictProxy[str], name: str) -> str:
    values = headers.getall(name, [])
    if len(values) != 1:
        raise CredentialsError(ErrorCode.MISSING_HEADER)
    return values[0]


def _decode(text: str, length: int, *, otherwise: ErrorCode) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise CredentialsError(otherwise) from None
    # Encoded again, since the decoder lets stray bits at the end through.
    if len(data) != length or base64.b64encode(data).decode() != text:
        raise CredentialsError(otherwise)
    return data


def _digest(request: ReceivedRequest) -> str:
    if not request.body:
        return NO_BODY_DIGEST
    sent = request.headers.get("Content-Digest")
    if sent is None:
        raise CredentialsError(ErrorCode.DIGEST_REQUIRED)
    if sent != f"sha-256=:{base64.b64encode(hashlib.sha256(request.body).digest()).decode()}:":
        raise CredentialsError(ErrorCode.DIGEST_MISMATCH)
    return sent


def _unauthorized(code: str) -> SandboxResponse:
    return SandboxResponse.of_json(HTTPStatus.UNAUTHORIZED, {"error": code}, error=code)


def webhook_body(event: Event) -> bytes:
    """Return the body of a webhook; assumed are its shape and the name of the amount."""
    content = {
        "type": "transaction.created" if event.status == GetManyAccount.pending_status else "transaction.updated",
        "data": {
            "id": str(uuid.uuid5(_IDS, f"transaction {event.number}")),
            "status": event.status,
            "amount": _amount(event.moved),
        },
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _amount(holding: Holding) -> dict[str, Any]:
    amount: dict[str, Any] = {"value": str(holding.units), "code": holding.currency, "decimals": holding.scale}
    if holding.asset_type == "crypto":
        amount["chain"] = holding.chain or DEFAULT_CHAIN
    return amount


def _row(holding: Holding, account_id: uuid.UUID) -> dict[str, Any]:
    balance = _amount(holding)
    row_id = uuid.uuid5(account_id, f"{holding.currency}:{balance.get('chain', '')}")
    return {"id": str(row_id), "account_id": str(account_id), "balance": balance}


_DOCUMENTED_ERRORS: Final[Mapping[int, SandboxResponse]] = MappingProxyType(
    {HTTPStatus.UNAUTHORIZED: _unauthorized(ErrorCode.INVALID_SIGNATURE)}
)
