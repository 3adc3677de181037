"""The Cryptoprocessing v2 API: `POST /accounts/list`, signed with HMAC-SHA512, and its callbacks, signed alike.

Source: docs.cryptoprocessing.com, "List balances", "Authentication", "Errors" and "Callbacks". The same API is
served under the hosts of other brands, so the base URL is a parameter.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal
from urllib.parse import quote

from balancekit.errors import WebhookVerificationError
from balancekit.http.fields import Entries, Place, column_of, read_asset_type, read_code, read_entries
from balancekit.http.messages import Request, Response
from balancekit.http.secret import Secret
from balancekit.money.amounts import parse_amount, parse_plain_amounts
from balancekit.money.balances import Balance, BalanceDraft, finish_balances
from balancekit.providers.base import HttpProvider
from balancekit.webhooks import hmac_sha512
from balancekit.webhooks.events import RawHeaders, WebhookEvent
from balancekit.webhooks.verification import only_verification_errors, optional_text, read_object

if TYPE_CHECKING:
    from balancekit.providers.brands import Brand

NOT_FINAL: Final = frozenset({"not_confirmed", "processing", "pending"})
"""The statuses of a transaction that has not changed the balances yet; assumed for `pending`."""

# "This endpoint does not accept any request parameters, but you must still send an empty JSON object."
_BODY: Final = b"{}"


class _Default(str):
    """A base URL that nobody has given, so that a brand may have another."""

    __slots__ = ()


class CryptoprocessingProvider(HttpProvider, known_by_request=True):
    """One account at cryptoprocessing.com, or at a brand that serves its API from another host.

    `key` and `secret` are the API key pair; the same pair signs withdrawals, so neither is ever shown. `brand` names
    the brand that the account is at: it sets the base URL, unless one is given, and counts the codes of one currency on
    several chains as that currency, by the table that `balancekit currencies` shows. Raises ConfigError if a setting
    cannot work.
    """

    provider = "cryptoprocessing"
    secret_settings: ClassVar[frozenset[str]] = frozenset({"secret"})

    PRODUCTION: ClassVar[str] = "https://app.cryptoprocessing.com/api/v2"
    SANDBOX: ClassVar[str] = "https://app.sandbox.cryptoprocessing.com/api/v2"

    hints: ClassVar[Mapping[str | int, str]] = MappingProxyType(
        {
            "bad_header_signature": "Check that the secret belongs to the key",
            "required_header_signature": "A proxy on the way may be removing the X-Processing-Signature header",
            "bad_header_key": "Check the key, and that base_url is the host that it was made for",
            "required_header_key": "Check base_url: this is also the response to a wrong URL",
            "bad_content_format": "A proxy on the way may be changing the body or the Content-Type header",
            429: "All accounts behind one IP address share one limit on a host. Read less often, or later",
        }
    )

    def __init__(
        self,
        account: str,
        *,
        key: str | Secret,
        secret: str | Secret,
        base_url: str = _Default(PRODUCTION),
        brand: Literal["alphapo", "coinspaid", "cryptoprocessing"] | None = None,
    ) -> None:
        # Hidden before anything can raise: error trackers collect the local variables of every frame.
        key, secret, hidden_url = Secret.of(key), Secret.of(secret), Secret.of(base_url)
        is_given = not isinstance(base_url, _Default)
        del base_url
        known, names = _find_brand(brand)
        super().__init__(account, base_url=hidden_url if known is None or is_given else known.base_url)
        if known is not None:
            self.aliases: Mapping[str, str] = known.aliases
        elif brand is not None:
            raise self.config_error("brand", f"there is no such brand; there are {', '.join(names)}")
        for setting, problem in (("key", key.problem(header=True)), ("secret", secret.problem())):
            if problem is not None:
                raise self.config_error(setting, problem)
        self._key = key
        # Kept in place of the secret, for webhooks: it signs, but its key cannot be read from it.
        self._keyed_hash = hmac_sha512.keyed_hash(secret)
        # The body never changes, so neither does its signature, which is therefore as secret as the key.
        self._signature = Secret(hmac_sha512.hex_signature(self._keyed_hash, _BODY))

    def build_request(self, *, now: int, nonce: str) -> Request:  # noqa: ARG002 - this API signs the body alone
        """Build the signed request; it is the same every time."""
        headers = {
            "Content-Type": "application/json",
            "X-Processing-Key": self._key.reveal(),
            "X-Processing-Signature": self._signature.reveal(),
        }
        return Request("POST", f"{self.base_url}/accounts/list", headers, _BODY)

    def read_response(self, response: Response) -> tuple[Balance, ...]:
        """Read the balances from the response, zero balances included."""
        return finish_balances(self.account, self.provider, read_entries(response.body, "data", _read_drafts))

    @only_verification_errors
    def verify_webhook(self, headers: RawHeaders, body: bytes, *, now: float | None = None) -> WebhookEvent:  # noqa: ARG002 - a callback has no time
        """Return what a callback says if it is the provider's; raise WebhookVerificationError, alone, if not.

        `body` is exactly what was received. The same callback passes every time: nothing in it expires.
        """
        hmac_sha512.verify(headers, body, key=self._key, keyed=self._keyed_hash)
        data = read_object(body)
        transaction, kind, status = _read_id(data), optional_text(data, "type"), optional_text(data, "status")
        # With the id alone, all events of one transaction would count as the same event. It may be confirmed, cancelled
        # and confirmed again by the same body.
        event_id = "/".join(quote(part, safe="") for part in (transaction, kind or "", status or ""))
        settled = status is None or status.lower() not in NOT_FINAL
        return WebhookEvent(self.account, self.provider, event_id, kind, status, settled, subject=transaction)


def _find_brand(name: object) -> "tuple[Brand | None, Iterable[str]]":
    """Return the brand of a name, if there is one, and the names of all."""
    if name is None:
        return None, ()
    # Most accounts need no table.
    from balancekit.providers.brands import BRANDS

    return BRANDS.get(str(name)), BRANDS


def _read_id(data: Mapping[str, object]) -> str:
    value = data.get("id")
    if type(value) is int:
        return str(value)
    text = optional_text(data, "id")
    if text is None:
        raise WebhookVerificationError("id: missing")
    return text


def _read_drafts(entries: Entries, place: Place) -> Iterator[BalanceDraft]:
    # Decimal strings, or (as the provider's page of March 2026 showed them) JSON numbers.
    amounts = parse_plain_amounts(column_of(entries, "balance"))
    for entry, amount in zip(entries, amounts, strict=True):
        draft = BalanceDraft()
        place.field = "currency"
        draft.code, draft.currency = read_code(entry["currency"])
        place.field = "type"
        draft.asset_type = read_asset_type(entry["type"])
        place.field = "balance"
        draft.amount = parse_amount(entry["balance"]) if amount is None else amount
        draft.chain = draft.reference = None
        yield draft
