"""The getMany (Blacksheep) API: `POST /account.balance.getMany`, signed with an Ed25519 envelope, and its webhooks.

Source: docs.blacksheep.money, "Listing balances", "Authentication", "Transactions" and "Webhook setup".
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, cast

from yarl import URL

from balancekit.errors import WebhookVerificationError
from balancekit.http.fields import Entries, Place, check_distinct, read_chain, read_code, read_entries, read_reference
from balancekit.http.messages import Request, Response
from balancekit.http.secret import Secret
from balancekit.money.amounts import check_units, from_units
from balancekit.money.balances import Balance, BalanceDraft, finish_balances
from balancekit.money.currencies import ISO_4217_CODES, AssetType
from balancekit.money.exact_json import is_text
from balancekit.providers.base import HttpProvider
from balancekit.webhooks import standard_webhooks
from balancekit.webhooks.events import RawHeaders, WebhookEvent
from balancekit.webhooks.verification import only_verification_errors, optional_text, read_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NO_BODY_DIGEST: Final = ""
"""Assumed: what stands in the signing string for `Content-Digest` when a request has no body."""

SETTLED: Final = frozenset({("transaction.updated", "COMPLETED"), ("transaction.updated", None)})
"""The events, each with its status, after which balances have changed.

The place of the status is assumed. An event without one counts: one read too many is better than a missed change.
"""

EVENT_FIELDS: Final = ("type", "event")
"""Assumed: the fields of a webhook's body that may hold the type of its event; the first that is there counts."""

STATUS_PLACES: Final = ((), ("data",), ("data", "transaction"))
"""Assumed: the paths of the objects in a webhook's body that may hold its `status`; the first that has one counts."""

_balance_of: Final = itemgetter("balance")
"""The object in an entry that holds its amount."""

_reference_of: Final = attrgetter("reference")
"""The reference of a draft."""

_KEY_HINT: Final = "the Ed25519 private key as PKCS#8, in base64 of DER or as PEM, without a passphrase"


def signing_string(*, key_id: str, timestamp: str, nonce: str, method: str, path: str, digest: str) -> str:
    """Return the text that a request's signature is made of; `path` includes the query, as it is sent."""
    counted = [f"{len(part.encode())}:{part}" for part in (key_id, timestamp, nonce)]
    return ":".join([*counted, method, f"{len(path.encode())}:{path}", digest])


def load_signing_key(key: Secret) -> "Ed25519PrivateKey | None":
    """Return the key that a base64 or PEM text holds, None if there is no such key in it.

    It gives no reason: the errors of a decoder, and their frames, hold pieces of the key.
    """
    # Most accounts need no more than HMAC, and this import takes as long as all others together.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    try:
        # In an environment variable the line breaks of a PEM are often written as two characters.
        text = key.reveal().replace("\\n", "\n")
        if "-----BEGIN" in text:
            loaded = load_pem_private_key(text.encode(), password=None)
        else:
            loaded = load_der_private_key(base64.b64decode("".join(text.split()), validate=True), password=None)
    except Exception:  # noqa: BLE001 - decoders raise a wide choice of errors for a malformed key
        return None
    return loaded if isinstance(loaded, Ed25519PrivateKey) else None


class GetManyProvider(HttpProvider, known_by_request=True):
    """One account at the getMany (Blacksheep) API.

    `key_id` and `signing_key` (the Ed25519 private key as base64 of PKCS#8 DER, or as PEM) come together; with neither
    the requests go unsigned, for use behind a gateway that signs; `allow_http_to` names the hosts to which such
    requests, and only such, may go over plain `http://`. `webhook_key` is the webhook's Ed25519 public key (base64 of
    its 32 bytes, with or without `whpk_` before it, base64 of SPKI DER, or PEM), or several during a key
    rotation; without it no webhook is accepted. Raises ConfigError if a setting cannot work.
    """

    provider = "getmany"
    secret_settings: ClassVar[frozenset[str]] = frozenset({"signing_key"})

    PRODUCTION: ClassVar[str] = "https://api.blacksheep.money"

    hints: ClassVar[Mapping[str | int, str]] = MappingProxyType(
        {401: "Check key_id and signing_key, and that this machine's clock is right"}
    )

    def __init__(
        self,
        account: str,
        *,
        key_id: str | Secret | None = None,
        signing_key: str | Secret | None = None,
        webhook_key: str | Secret | Sequence[str | Secret] | None = None,
        base_url: str = PRODUCTION,
        allow_http_to: Sequence[str] = (),
    ) -> None:
        # Hidden before anything can raise: error trackers collect the local variables of every frame.
        # The id too, in case the two are mistaken for each other.
        key_id = None if key_id is None else Secret.of(key_id)
        signing_key = None if signing_key is None else Secret.of(signing_key)
        # The public key too, in case it is the private one.
        webhook_keys, hidden_url = _hidden_keys(webhook_key), Secret.of(base_url)
        del base_url, webhook_key
        super().__init__(account, base_url=hidden_url, allow_http_to=allow_http_to)
        if allow_http_to and (key_id is not None or signing_key is not None):
            raise self.config_error(
                "allow_http_to", "only without key_id and signing_key: requests would be signed in the clear"
            )
        if key_id is not None and (problem := key_id.problem(header=True)):
            raise self.config_error("key_id", problem)
        self._url = f"{self.base_url}/account.balance.getMany"
        self._path = URL(self._url, encoded=True).raw_path_qs
        self.signs_time: bool = key_id is not None
        self._key_id = key_id
        self._signing_key = None if signing_key is None else load_signing_key(signing_key)
        if signing_key is not None and self._signing_key is None:
            raise self.config_error("signing_key", signing_key.key_problem(_KEY_HINT))
        if (key_id is None) != (signing_key is None):
            missing = "key_id" if key_id is None else "signing_key"
            raise self.config_error(
                missing,
                "missing; give both key_id and signing_key, or neither for use behind a gateway that signs",
            )
        if webhook_keys is not None and not 1 <= len(webhook_keys) <= standard_webhooks.MAX_KEYS:
            raise self.config_error(
                "webhook_key", f"expected 1 to {standard_webhooks.MAX_KEYS} keys, got {len(webhook_keys)}"
            )
        self._webhook_keys = tuple(self._load_webhook_key(key) for key in webhook_keys or ())

    def build_request(self, *, now: int, nonce: str) -> Request:
        """Build the request, signed anew with the time and the nonce, or unsigned where there is no key."""
        if self._key_id is None or self._signing_key is None:
            return Request("POST", self._url)
        key_id = self._key_id.reveal()
        text = signing_string(
            key_id=key_id,
            timestamp=str(now),
            nonce=nonce,
            method="POST",
            path=self._path,
            digest=NO_BODY_DIGEST,
        )
        headers = {
            "Bs-Key-Id": key_id,
            "Bs-Timestamp": str(now),
            "Bs-Nonce": nonce,
            "Bs-Signature": base64.b64encode(self._signing_key.sign(text.encode())).decode(),
        }
        return Request("POST", self._url, headers)

    def read_response(self, response: Response) -> tuple[Balance, ...]:
        """Read the balances from the response; the API lists only those that are not zero."""
        drafts = read_entries(response.body, "data", _read_drafts, nested=_balance_of)
        check_distinct(drafts, _reference_of, "data[{}].id")
        return finish_balances(self.account, self.provider, drafts)

    @only_verification_errors
    def verify_webhook(self, headers: RawHeaders, body: bytes, *, now: float | None = None) -> WebhookEvent:
        """Return what a webhook says if it is the provider's; raise WebhookVerificationError, alone, if not.

        `body` is exactly what was received. `now` is in Unix seconds, the present unless given: a delivery is accepted
        for 300 s, as often as it comes.
        """
        if not self._webhook_keys:
            raise WebhookVerificationError(
                "the account has no webhook_key; give GetManyProvider the webhook's public key"
            )
        moment = self.clock() if now is None else now
        event_id = standard_webhooks.verify(headers, body, keys=self._webhook_keys, now=moment)
        data = read_object(body)
        event_type = next(filter(None, (optional_text(data, field) for field in EVENT_FIELDS)), None)
        status = _read_status(data)
        settled = (event_type, None if status is None else status.upper()) in SETTLED
        return WebhookEvent(self.account, self.provider, event_id, event_type, status, settled)

    def _load_webhook_key(self, key: Secret) -> "Ed25519PublicKey":
        loaded = standard_webhooks.load_verifying_key(key)
        if loaded is None:
            raise self.config_error("webhook_key", key.key_problem(standard_webhooks.KEY_HINT))
        if standard_webhooks.is_weak_key(loaded):
            raise self.config_error(
                "webhook_key", "a placeholder or a weak key, for which anybody can sign; copy the webhook's own"
            )
        return loaded


def _read_drafts(entries: Entries, place: Place) -> Iterator[BalanceDraft]:
    crypto, fiat, unknown = AssetType.CRYPTO, AssetType.FIAT, AssetType.UNKNOWN
    is_printable_ascii = place.is_printable_ascii
    for entry in entries:
        draft = BalanceDraft()
        place.field = "balance.value"
        held = entry["balance"]
        units = check_units(held["value"])
        place.field = "balance.code"
        draft.code, draft.currency = read_code(held["code"])
        place.field = "balance.decimals"
        draft.amount = from_units(units, held["decimals"])
        # Crypto amounts name their chain; fiat ones have none.
        place.field = "balance.chain"
        chain = held.get("chain")
        if chain is not None:
            draft.chain = read_chain(chain)
            draft.asset_type = crypto
        else:
            draft.chain = None
            draft.asset_type = fiat if draft.currency in ISO_4217_CODES else unknown
        place.field = "id"
        draft.reference = read_reference(entry.get("id"), is_printable_ascii=is_printable_ascii)
        yield draft


def _hidden_keys(given: object) -> tuple[Secret, ...] | None:
    if given is None:
        return None
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return tuple(map(Secret.of, cast("Sequence[object]", given)))
    return (Secret.of(given),)


def _read_status(data: Mapping[str, object]) -> str | None:
    for path in STATUS_PLACES:
        place: object = data
        for name in path:
            place = cast("Mapping[str, object]", place).get(name) if isinstance(place, dict) else None
        # Events that are not known here may have anything in these places.
        if isinstance(place, dict) and is_text(cast("dict[str, object]", place).get("status")):
            return optional_text(cast("dict[str, object]", place), "status")
    return None
