"""The adapter of Stripe: balancekit's contract, and what is Stripe's own."""

import json
import re
from decimal import Decimal

import pytest
from balancekit_stripe import UNITS, StripeProvider

from balancekit import (
    AssetType,
    ConfigError,
    MalformedResponseError,
    Response,
)
from balancekit.testing import ProviderContract

KEY = "rk_live_51Nx0123456789abcdef"


def entry(currency, amount, **more):
    """Write one entry of a list of a balance."""
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}} | more


def balance_object(*, available=(), pending=(), **more):
    """Write a balance as the API does."""
    fields = {"object": "balance", "available": list(available), "livemode": True, "pending": list(pending)}
    return Response(200, {}, json.dumps(fields | more).encode())


@pytest.fixture
def shop():
    """Return a live account."""
    return StripeProvider("shop", key=KEY)


class TestStripe(ProviderContract):
    """All that balancekit holds an adapter to."""

    secrets = (KEY,)
    currencies = dict.fromkeys(("USD", "JPY", "KWD", "ISK", "MGA"), AssetType.FIAT)
    decimals = UNITS.decimals
    knows_all_currencies = False
    reports_available = True
    reports_pending = True

    def make_provider(self, account, base_url):
        """Make a live account."""
        return StripeProvider(account, key=self.secrets[0], base_url=base_url)

    def response_body(self, balances):
        """Write what is not available as a reserve."""

        def units(amount):
            return int(amount.as_tuple().sign * "-" + "".join(map(str, amount.as_tuple().digits)))

        lists = {"available": [], "connect_reserved": [], "pending": []}
        for held in balances:
            code = held.code.lower()
            lists["available"].append({"amount": units(held.available), "currency": code})
            lists["connect_reserved"].append({"amount": units(held.amount) - units(held.available), "currency": code})
            lists["pending"].append({"amount": units(held.pending), "currency": code})
        return json.dumps({"object": "balance", **lists, "livemode": True}).encode()

    def error_body(self, code, message):
        """Write an error of the API."""
        return json.dumps({"error": {"code": code, "message": message, "type": "invalid_request_error"}}).encode()


def test_what_is_pending_is_beside_the_amount(shop):
    """Stripe's own example: 666670 and 61414 cents."""
    (usd,) = shop.read_response(
        balance_object(available=[entry("usd", 666670)], pending=[entry("usd", 61414)], connect_reserved=None)
    )

    assert (usd.currency, usd.plain, usd.available, usd.pending) == (
        "USD",
        "6666.70",
        Decimal("6666.70"),
        Decimal("614.14"),
    )


def test_what_is_reserved_is_in_the_amount_and_not_available(shop):
    """A platform owns it, but cannot pay it out."""
    (usd,) = shop.read_response(
        balance_object(
            available=[entry("usd", 1000)],
            pending=[entry("usd", 0)],
            connect_reserved=[{"amount": 250, "currency": "usd"}],
        )
    )

    assert (usd.plain, usd.available, usd.pending) == ("12.50", Decimal("10.00"), 0)


def test_a_currency_of_which_all_is_pending_is_read(shop):
    """A list has only the currencies that are in it."""
    (eur,) = shop.read_response(balance_object(pending=[entry("eur", 7)]))

    assert (eur.plain, eur.available, eur.pending) == ("0.00", 0, Decimal("0.07"))


@pytest.mark.parametrize(
    ("code", "plain"), [("usd", "10.50"), ("jpy", "1050"), ("mga", "1050"), ("kwd", "1.050"), ("isk", "10.50")]
)
def test_decimals_are_stripes_own(shop, code, plain):
    """MGA and ISK are not as in ISO 4217."""
    (held,) = shop.read_response(balance_object(available=[entry(code, 1050)]))

    assert held.plain == plain


@pytest.mark.parametrize("code", ["ugx", "usdc"])
def test_a_currency_without_known_decimals_is_refused(shop, code):
    """Stripe's page has UGX in two lists that differ by a factor of a hundred."""
    with pytest.raises(ValueError, match=f"{code}: not in the table of decimals"):
        shop.read_response(balance_object(available=[entry(code, 1050)]))


def test_a_currency_that_is_twice_in_a_list_is_refused(shop):
    """Neither is taken for the other, nor for a part of it."""
    with pytest.raises(ValueError, match="available: a currency twice"):
        shop.read_response(balance_object(available=[entry("usd", 1), entry("usd", 2)]))


@pytest.mark.parametrize(
    ("test_mode", "livemode", "hint"),
    [
        (False, False, r"^Use the live key .* or set test_mode"),
        (True, True, "^Remove test_mode"),
        (False, None, "^Use the live key"),
    ],
)
def test_a_balance_of_the_other_mode_is_refused(test_mode, livemode, hint):
    """Test money is never in a total of real money."""
    account = StripeProvider("shop", key=KEY, test_mode=test_mode)

    with pytest.raises(MalformedResponseError, match="livemode: expected") as caught:
        account.read_response(balance_object(available=[entry("usd", 1)], livemode=livemode))

    assert caught.value.hint is not None
    assert re.search(hint, caught.value.hint)


def test_a_test_account_is_read_on_request():
    """With `test_mode` alone."""
    account = StripeProvider("shop", key="sk_test_0123456789", test_mode=True)

    (usd,) = account.read_response(balance_object(available=[entry("usd", 1)], livemode=False))

    assert usd.plain == "0.01"


def test_the_request_has_the_key_as_a_bearer(shop):
    """At the path of the first version of the API."""
    request = shop.build_request(now=0, nonce="")

    assert (request.method, request.url) == ("GET", "https://api.stripe.com/v1/balance")
    assert dict(request.headers) == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("key", ""),
        ("key", "two words"),
        ("webhook_secret", ""),
        ("webhook_secret", ["whsec_0123456789", None]),
        ("test_mode", "no"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(setting, value):
    """The message names the account and the setting."""
    with pytest.raises(ConfigError, match=f"account 'shop': {setting}: "):
        StripeProvider("shop", **{"key": KEY, setting: value})
