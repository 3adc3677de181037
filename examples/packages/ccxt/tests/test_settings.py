"""The settings of an account."""

import pytest
from balancekit_ccxt import CcxtProvider
from played import KEY, SECRET

from balancekit import AggregateClient, ConfigError


def kraken(label="shop", **settings):
    """Return an account at Kraken itself, which is not read."""
    return CcxtProvider(label, **{"exchange": "kraken", "key": KEY, "secret": SECRET, **settings})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"exchange": "krakn"}, "exchange: ccxt .* has no exchange of this id"),
        ({"exchange": ["kraken"]}, "exchange: "),
        ({"exchange": "hyperliquid"}, "exchange: it needs privateKey, for which there is no setting"),
        ({"exchange": "okx"}, "password: missing, and the exchange needs it"),
        ({"key": None}, "key: missing, and the exchange needs it"),
        ({"key": "two words"}, "key: expected visible ASCII"),
        ({"secret": ""}, "secret: expected text, got an empty one"),
        ({"secret": 5}, "secret: expected text, got int"),
        ({"secret": "not base64"}, "secret: ccxt cannot sign with it"),
        ({"account_type": "spt"}, "account_type: expected one of spot, margin"),
        ({"options": "[1]"}, "options: expected a mapping, or JSON of an object"),
        ({"options": "{"}, "options: expected a mapping, or JSON of an object"),
        ({"options": {"a": object()}}, "options: expected a mapping, or JSON of an object"),
        ({"load_markets": "yes"}, "load_markets: expected true or false"),
        ({"base_url": "http://kraken.example"}, "base_url: http:// to"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings, problem):
    """The message names account and setting, and shows no value."""
    with pytest.raises(ConfigError, match=f"^account 'shop': {problem}") as caught:
        kraken(**settings)

    assert SECRET not in str(caught.value)


def test_requests_go_to_the_exchange():
    """Where no other URL is set, it is known by ccxt, as are the exchange's other APIs."""
    account = CcxtProvider("shop", exchange="binance", key=KEY, secret=SECRET)

    assert account.origin == "https://api.binance.com"
    assert "https://fapi.binance.com" in account.other_origins
    assert [origin for origin in account.other_origins if not origin.startswith("https://")] == []


def test_a_base_url_takes_the_place_of_all_hosts():
    """Such as that of a proxy, with its path."""
    account = CcxtProvider(
        "shop", exchange="binance", key=KEY, secret=SECRET, base_url="https://proxy.example/b", account_type="swap"
    )

    assert account.build_request(now=0, nonce="").url.startswith("https://proxy.example/b/fapi/v3/account?")
    assert account.other_origins == ()


def test_replicas_share_an_account_that_is_the_same():
    """It is known by exchange, key and type, and not by its label."""
    margin = {"exchange": "binance", "account_type": "margin"}
    known = [
        kraken().fingerprint,
        kraken("other", options={}).fingerprint,
        kraken(key="another-key-0123").fingerprint,
        CcxtProvider("shop", exchange="binance", key=KEY, secret=SECRET).fingerprint,
        CcxtProvider("shop", key=KEY, secret=SECRET, **margin).fingerprint,
    ]

    assert known[0] == known[1]
    assert len(set(known)) == 4
    assert KEY not in "".join(known)


async def test_an_account_with_two_labels_is_refused():
    """It would be counted twice."""
    with pytest.raises(ConfigError, match="other"):
        AggregateClient([kraken(), kraken("other")])


def test_the_options_of_an_account_are_its_own():
    """Ccxt changes them as it runs."""
    options = {"recvWindow": 1234}
    accounts = [
        CcxtProvider(label, exchange="binance", key=KEY, secret=SECRET, options=options) for label in ("a", "b")
    ]

    assert all("recvWindow=1234" in account.build_request(now=0, nonce="").url for account in accounts)
    assert options == {"recvWindow": 1234}
