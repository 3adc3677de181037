"""The adapter of Stripe's API, from docs.stripe.com/api/balance and docs.stripe.com/webhooks."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, cast

from balancekit import (
    AssetType,
    Balance,
    HttpProvider,
    MalformedResponseError,
    Request,
    Response,
    Secret,
    WebhookEvent,
    WebhookVerificationError,
)
from balancekit.webhooks import RawHeaders
from balancekit.webhooks.verification import only_verification_errors, optional_text, read_object
from balancekit_stripe import signature
from balancekit_stripe.currencies import UNITS

PRODUCTION: Final = "https://api.stripe.com"

MONEY_MOVES: Final = (
    "application_fee.",
    "balance.",
    "charge.",
    "payout.",
    "refund.",
    "topup.",
    "transfer.",
)
"""How the types of events start after which balances may have changed: `balance.available` comes for credits alone."""


class StripeProvider(HttpProvider):
    """The balance of one Stripe account, in each of its currencies.

    `key` is a secret key, or a restricted one that may read the balance. `webhook_secret` is the signing secret of the
    endpoint that receives webhooks (`whsec_…`), or several while it is replaced. `test_mode` reads a test account: by
    default one is refused, since its money is not real, and so is a live account with it.

    `available` is what Stripe pays out on request, and `amount` that with what it holds in reserve for the negative
    balances of connected accounts; `pending` is in neither.

    Raises ConfigError for a setting that cannot work.
    """

    provider = "stripe"
    secret_settings = frozenset({"key", "webhook_secret"})
    hints: ClassVar[Mapping[str | int, str]] = MappingProxyType(
        {
            401: "Check the key in the Dashboard under Developers, API keys: it may have been rolled or deleted",
            403: "Give the restricted key the permission to read Balance, in the Dashboard under Developers, API keys",
        }
    )

    def __init__(
        self,
        account: str,
        *,
        key: str | Secret,
        webhook_secret: str | Secret | Sequence[str | Secret] | None = None,
        test_mode: bool = False,
        base_url: str | Secret = PRODUCTION,
    ) -> None:
        # Hidden before anything can raise: error trackers collect the local variables of every frame.
        key, base_url, secrets = Secret.of(key), Secret.of(base_url), _hidden(webhook_secret)
        del webhook_secret
        super().__init__(account, base_url=base_url)
        if problem := key.problem(header=True):
            raise self.config_error("key", problem)
        if problem := next(filter(None, (secret.problem(header=True) for secret in secrets)), None):
            raise self.config_error("webhook_secret", problem)
        if type(test_mode) is not bool:
            raise self.config_error("test_mode", "expected true or false")
        self._key = key
        self._webhook_secrets = secrets
        self._test_mode = test_mode

    def build_request(self, *, now: int, nonce: str) -> Request:  # noqa: ARG002 - this API signs nothing
        """Build the request; it is the same every time."""
        return Request("GET", f"{self.base_url}/v1/balance", {"Authorization": f"Bearer {self._key.reveal()}"})

    def read_response(self, response: Response) -> list[Balance]:
        """Read the balance in each currency, those of which there is nothing included."""
        available, pending = _units(response, "available"), _units(response, "pending")
        data = response.json()
        # Only platforms have it, and it may be null.
        reserved = {} if data.get("connect_reserved") is None else _units(response, "connect_reserved")
        self._check_mode(data.get("livemode"))
        return [
            self.balance(
                code,
                UNITS.amount(code, available.get(code, 0) + reserved.get(code, 0)),
                asset_type=AssetType.FIAT,
                available=UNITS.amount(code, available.get(code, 0)),
                pending=UNITS.amount(code, pending.get(code, 0)),
            )
            for code in available | reserved | pending
        ]

    @only_verification_errors
    def verify_webhook(self, headers: RawHeaders, body: bytes, *, now: float | None = None) -> WebhookEvent:
        """Return what a webhook says if it is Stripe's; raise WebhookVerificationError, alone, if not.

        `body` is exactly what was received. `now` is in Unix seconds, the present unless given: a delivery is accepted
        for 300 s, as often as it comes. Events of the other mode, and of connected accounts, are accepted as well,
        since Stripe may send them to the same endpoint, but change nothing here.
        """
        if not self._webhook_secrets:
            raise WebhookVerificationError(
                "the account has no webhook_secret; give StripeProvider the signing secret of the endpoint"
            )
        moment = self.clock() if now is None else now
        signature.verify(headers, body, secrets=self._webhook_secrets, now=moment)
        data = read_object(body)
        event_id, event_type = optional_text(data, "id"), optional_text(data, "type")
        if event_id is None:
            raise WebhookVerificationError("id: missing")
        is_ours = data.get("livemode") is (not self._test_mode) and data.get("account") is None
        settled = is_ours and (event_type or "").startswith(MONEY_MOVES)
        return WebhookEvent(self.account, self.provider, event_id, event_type, None, settled)

    def _check_mode(self, livemode: object) -> None:
        if livemode is not (not self._test_mode):
            shown = str(livemode).lower() if isinstance(livemode, bool) else "no boolean"
            hint = (
                "Remove test_mode, or use the key of a test account"
                if self._test_mode
                else "Use the live key (sk_live_… or rk_live_…), or set test_mode for a test account"
            )
            raise MalformedResponseError(
                f"livemode: expected {str(not self._test_mode).lower()}, got {shown}",
                account=self.account,
                provider=self.provider,
                status=200,
                hint=hint,
            )


def _units(response: Response, name: str) -> dict[str, int]:
    """Return the smallest units of each currency in one of the lists of a balance."""
    units: dict[str, int] = {}
    for entry in response.entries(name):
        code, value = entry.get("currency"), entry.get("amount")
        # Checked before it is added to another.
        UNITS.amount(cast("Any", code), cast("Any", value))
        if code in units:
            raise ValueError(f"{name}: a currency twice")
        units[cast("str", code)] = int(cast("int", value))
    return units


def _hidden(given: object) -> tuple[Secret, ...]:
    if given is None:
        return ()
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return tuple(map(Secret.of, cast("Sequence[object]", given)))
    return (Secret.of(given),)
