"""The getMany (Blacksheep) API: `POST /account.balance.getMany`, signed with an Ed25519 envelope.

Source: docs.blacksheep.money, "Listing balances" and "Authentication".
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final

import attrs
from yarl import URL

from balancekit.amounts import check_decimals, check_units, from_units
from balancekit.assets import AssetType
from balancekit.balances import Balance, Row, balances_of
from balancekit.http import Request, Response
from balancekit.iso4217 import CODES
from balancekit.provider import HttpProvider
from balancekit.secret import Secret
from balancekit.wire import Code, Decimals, Reference, Units, lines_in, misfit, read_code, read_reference

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NO_BODY_DIGEST: Final = ""
"""Assumed: what stands in the signing string for `Content-Digest` when a request has no body."""

# Looking a member up in its class takes longer than making the balance.
_CRYPTO, _FIAT, _UNKNOWN = AssetType.CRYPTO, AssetType.FIAT, AssetType.UNKNOWN

_KEY_HINT: Final = "the Ed25519 private key as PKCS#8, in base64 of DER or as PEM, without a passphrase"


@attrs.frozen
class _Amount:
    value: Units
    code: Code
    decimals: Decimals
    # Crypto amounts name their chain; fiat ones have none.
    chain: Code | None = None


@attrs.frozen
class _Line:
    balance: _Amount
    id: Reference | None = None


@attrs.frozen
class _Answer:
    data: list[_Line]


def signing_string(*, key_id: str, timestamp: str, nonce: str, method: str, path: str, digest: str) -> str:
    """Return the text that a request's signature is made of; `path` includes the query, as it is sent."""
    counted = [f"{len(part.encode())}:{part}" for part in (key_id, timestamp, nonce)]
    return ":".join([*counted, method, f"{len(path.encode())}:{path}", digest])


def load_signing_key(key: Secret) -> "Ed25519PrivateKey | None":
    """Return the key that a base64 or PEM text holds, None if there is no such key in it.

    The reason is not told: the errors of a decoder, and their frames, hold pieces of the key.
    """
    # Most accounts need no more than HMAC, and this import takes as long as all others together.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    try:
        text = key.reveal()
        if "-----BEGIN" in text:
            loaded = load_pem_private_key(text.encode(), password=None)
        else:
            loaded = load_der_private_key(base64.b64decode("".join(text.split()), validate=True), password=None)
    except Exception:  # noqa: BLE001 - decoders raise a wide choice of errors for a malformed key
        return None
    return loaded if isinstance(loaded, Ed25519PrivateKey) else None


class GetManyProvider(HttpProvider):
    """One account at the getMany (Blacksheep) API.

    `key_id` and `signing_key` (the Ed25519 private key as base64 of PKCS#8 DER, or as PEM) come together; with neither
    the requests go unsigned, for use behind a gateway that signs. `webhook_key` is the public key of its webhooks, or
    several. Raises ConfigError if a setting cannot work.
    """

    provider = "getmany"
    secret_settings = frozenset({"signing_key"})

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
        webhook_key: str | Sequence[str] | None = None,
        base_url: str = PRODUCTION,
    ) -> None:
        # Hidden before anything can raise: error trackers collect the local variables of every frame.
        # The id too, in case the two are mistaken for each other.
        key_id = None if key_id is None else Secret.of(key_id)
        signing_key = None if signing_key is None else Secret.of(signing_key)
        hidden_url = Secret.of(base_url)
        del base_url
        super().__init__(account, base_url=hidden_url)
        if (key_id is None) != (signing_key is None):
            missing = "key_id" if key_id is None else "signing_key"
            raise self.config_error(
                missing,
                "missing; give both key_id and signing_key, or neither for use behind a gateway that signs",
            )
        if key_id is not None and not key_id.is_header_text:
            raise self.config_error("key_id", "expected visible ASCII characters without blanks")
        self.signs_time = key_id is not None
        self._webhook_key = webhook_key
        self._key_id = key_id
        self._signing_key = None if signing_key is None else load_signing_key(signing_key)
        if signing_key is not None and self._signing_key is None:
            raise self.config_error("signing_key", f"expected {_KEY_HINT}")

    def build_request(self, *, now: int, nonce: str) -> Request:
        """Build the request, signed anew with the time and the nonce, or unsigned where there is no key."""
        url = f"{self.base_url}/account.balance.getMany"
        if self._key_id is None or self._signing_key is None:
            return Request("POST", url)
        key_id = self._key_id.reveal()
        text = signing_string(
            key_id=key_id,
            timestamp=str(now),
            nonce=nonce,
            method="POST",
            path=URL(url, encoded=True).raw_path_qs,
            digest=NO_BODY_DIGEST,
        )
        headers = {
            "Bs-Key-Id": key_id,
            "Bs-Timestamp": str(now),
            "Bs-Nonce": nonce,
            "Bs-Signature": base64.b64encode(self._signing_key.sign(text.encode())).decode(),
        }
        return Request("POST", url, headers)

    def read_response(self, response: Response) -> tuple[Balance, ...]:
        """Read the balances from the answer; the API lists only those that are not zero."""
        decoded = response.json()
        with suppress(Exception):
            return balances_of(self.account, self.provider, _rows(decoded))
        raise misfit(decoded, _Answer)


def _rows(decoded: object) -> Iterator[Row]:
    """Give what each line says; raises anything unless all of it fits `_Answer`."""
    for line in lines_in(decoded):
        held = line["balance"]
        code, currency = read_code(held["code"])
        chain, reference = held.get("chain"), line.get("id")
        if chain is not None:
            asset_type = _CRYPTO
            chain, _ = read_code(chain)
        else:
            asset_type = _FIAT if currency in CODES else _UNKNOWN
        amount = from_units(check_units(held["value"]), check_decimals(held["decimals"]))
        yield currency, amount, asset_type, code, chain, None if reference is None else read_reference(reference)
