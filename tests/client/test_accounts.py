"""The accounts of a client and their origins: what cannot be distinguished, or limited, is refused."""

from dataclasses import dataclass

import pytest

from balancekit import (
    AggregateClient,
    ConfigError,
    CryptoprocessingProvider,
    GetManyProvider,
    RateLimit,
)
from balancekit.blocking import Client
from balancekit.client.account_book import AccountBook
from balancekit.client.origins import Origins
from balancekit.clock import Clock
from tests.support.providers import Bank, Scripted

SIGNING_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


@pytest.mark.parametrize(
    ("providers", "reason"),
    [
        ([Scripted("a"), Scripted("a")], r"providers\[1\]: a second account is labelled 'a'"),
        ([object()], r"providers\[0\]: object is no BalanceProvider: it lacks account, provider, fetch_balances"),
        (Scripted("a"), "providers: expected a list of providers, got Scripted"),
        (None, "providers: expected a list of providers, got NoneType"),
        ([Scripted("")], r"providers\[0\]: an empty label"),
        ([Scripted(5)], r"providers\[0\]: a label must be a string"),
    ],
    ids=["twice", "no provider", "one alone", "none", "empty label", "number"],
)
def test_accounts_that_cannot_be_distinguished_are_refused(providers, reason):
    """Every account has a label of its own that can be shown."""
    with pytest.raises(ConfigError, match=reason):
        AggregateClient(providers)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"https://bonk.example": RateLimit(1, per=1)}, "no account is on https://bonk.example; there are"),
        ({"https://bank.example": 30}, "https://bank.example: expected a RateLimit, got int"),
    ],
    ids=["unused", "no limit"],
)
def test_a_limit_that_limits_nothing_is_refused(limits, reason):
    """A misspelt host is found where it is written, not when the provider complains."""
    with pytest.raises(ConfigError, match=f"rate_limits: {reason}"):
        AggregateClient([Bank("a")], rate_limits=limits)


CANARY = "canary-3f9a-hunter2"
WRONG = {
    "a URL for a store": {"store": f"redis://:{CANARY}@db"},
    "settings for a provider": {"providers": [{"key": "k", "secret": CANARY}]},
    "a mapping of providers": {"providers": {CANARY: 1}},
    "a session": {"session": CANARY},
    "a malformed limit": {"rate_limits": {f"https://h:99999999/?k={CANARY}": RateLimit(1, per=1)}},
    "an unused limit": {"rate_limits": {f"https://h/{CANARY}": RateLimit(1, per=1)}},
    "a clock": {"clock": CANARY},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_a_client_is_given_by_mistake_is_not_shown(everything_shown_by, wrong):
    """Error trackers collect the local variables of every frame of an exception, and of those that it came from."""
    with pytest.raises(ConfigError) as caught:
        AggregateClient(**{"providers": [Bank("a")], **wrong})

    assert CANARY not in everything_shown_by(caught.value)


def test_a_misspelt_argument_of_a_client_is_not_shown(everything_shown_by):
    """It is no argument, but its value may be a password."""
    with pytest.raises(TypeError, match="redis_url") as caught:
        AggregateClient([], redis_url=f"redis://:{CANARY}@db")

    assert CANARY not in everything_shown_by(caught.value)


@dataclass
class Shown:
    """A provider whose repr has its key."""

    account: str
    key: str
    provider: str = "shown"

    async def fetch_balances(self, session):
        """Read nothing."""
        return []


@pytest.mark.parametrize("kind", [AggregateClient, Client])
def test_a_list_of_accounts_that_fails_shows_no_secret(everything_shown_by, kind):
    """Neither of the account before nor of the proxy; where it failed is still to be seen."""
    keys = {"a": CANARY}

    with pytest.raises(KeyError, match="b") as caught:
        kind((Shown(label, keys[label]) for label in "ab"), proxy=f"http://user:{CANARY}@proxy.example:3128")

    assert CANARY not in everything_shown_by(caught.value)
    assert caught.traceback[-1].name == "<genexpr>"


async def test_what_is_added_by_mistake_is_not_shown(everything_shown_by):
    """As it is for the constructor; the client goes on with the accounts that it has."""
    async with AggregateClient([Bank("a")]) as client:
        with pytest.raises(ConfigError, match="dict is no BalanceProvider") as caught:
            await client.add({"key": "k", "secret": CANARY})
        assert client.accounts == ("a",)

    assert CANARY not in everything_shown_by(caught.value)


@pytest.mark.parametrize("limit", [RateLimit(1, per=1), 3], ids=["unused", "no limit"])
@pytest.mark.parametrize("host", ["bonk.example", "bonk.example:port", "[bonk.example"])
def test_the_password_in_the_url_of_a_limit_is_not_shown(everything_shown_by, host, limit):
    """Neither the message nor the local variables of the traceback hold more of the URL than its origin."""
    with pytest.raises(ConfigError, match="bonk") as caught:
        AggregateClient([Bank("a")], rate_limits={f"https://user:canary-3f9a@{host}/": limit})

    assert "canary" not in everything_shown_by(caught.value)


@pytest.mark.parametrize("limit", [RateLimit(1, per=1), 3], ids=["unused", "no limit"])
@pytest.mark.parametrize(
    "url",
    [
        "bonk.example/v1?token=canary-3f9a",
        "bonk.example?mail=me@canary-3f9a",
        "bonk.example#canary-3f9a",
        "https://bonk.example:port/canary-3f9a",
        "https://canary-3f9a@bonk.example:port?token=canary-3f9a",
        "//bonk.example/canary-3f9a",
    ],
)
def test_a_malformed_url_of_a_limit_is_shown_by_its_host(everything_shown_by, url, limit):
    """Its path and query may hold a key."""
    with pytest.raises(ConfigError, match=r"rate_limits: .*bonk\.example") as caught:
        AggregateClient([Bank("a")], rate_limits={url: limit})

    assert "canary" not in everything_shown_by(caught.value)


@pytest.mark.parametrize("url", ["/canary-3f9a", "?canary-3f9a", "canary-3f9a@", "canary-3f9aKq77Lm"])
def test_a_malformed_url_without_a_host_is_not_shown(everything_shown_by, url):
    """It may be a key in the wrong place."""
    with pytest.raises(ConfigError, match="rate_limits: no account is on a malformed URL") as caught:
        AggregateClient([Bank("a")], rate_limits={url: RateLimit(1, per=1)})

    assert "canary" not in everything_shown_by(caught.value)


def test_accounts_of_other_keys_have_other_places_in_a_store():
    """Two services with one label at one provider do not take each other's money for their own."""
    shops = [CryptoprocessingProvider("shop", key=key, secret="s") for key in ("key-one", "key-two", "key-one")]
    tills = [GetManyProvider("shop", key_id=key, signing_key=SIGNING_KEY) for key in ("key-one", "key-two")]

    one, two, again, till, other = (
        AccountBook([provider], Origins(), Clock())["shop"].key for provider in (*shops, *tills)
    )

    assert one == again
    assert len({one, two, till, other}) == 4
    assert "key-one" not in one + till


def test_no_path_of_a_base_url_is_in_a_stores_key():
    """It may hold the token of a gateway, and others see names in a store. Accounts still differ by it."""
    keys = []
    for path in ("canary-3f9a", "canary-4e8b"):
        shop = CryptoprocessingProvider(
            "shop", key="pk_1", secret="s" * 16, base_url=f"https://gate.example/{path}/api"
        )
        (account,) = AccountBook([shop], Origins(), Clock()).values()
        keys.append(account.key)

    assert len({*keys}) == 2
    assert all("https://gate.example/" in key and "canary" not in key for key in keys)
