"""Which accounts of several clients are one: by their URLs, credentials and fingerprints, and never by a label."""

import json
import logging

import pytest

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, GetManyProvider, Request
from balancekit.config import load_config
from balancekit.stores import MemoryStore
from tests.support.loopback_origin import raw_response
from tests.support.providers import Scripted
from tests.support.stores import FlakyStore
from tests.support.tenants import MyBankProvider, amount
from tests.support.thread_server import ThreadServer


class DatedProvider(MyBankProvider):
    """An adapter that refuses the time of a clock that was never set."""

    def build_request(self, *, now, nonce):
        """Build a request of this decade."""
        if now < 1_700_000_000:
            raise ValueError("the clock is not set")
        return super().build_request(now=now, nonce=nonce)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://bank.example", "https://bank.example."),
        ("https://bank.example/api", "https://bank.example//api"),
    ],
)
@pytest.mark.parametrize("kind", [MyBankProvider, DatedProvider])
def test_one_account_is_known_however_its_url_is_written(kind, url, other):
    """And whatever time its adapter wants to sign."""
    with pytest.raises(ConfigError, match="counted twice"):
        AggregateClient([kind("a", token="alice", base_url=url), kind("b", token="alice", base_url=other)])


async def test_accounts_behind_a_gateway_are_known_by_their_path(sandbox, store):
    """The gateway signs, so that nothing but the URL tells the accounts apart."""
    accounts = [sandbox.add_getmany(name, {"USDC": held}, signed=False) for name, held in (("a", "100"), ("b", "5"))]

    read = [await amount(GetManyProvider("main", **account.settings), "USDC", store) for account in accounts]

    assert read == [100, 5]


SIGNING_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
ONE_KEY = {
    "documented": (
        lambda url: MyBankProvider("main", token="of-both", base_url=url),
        {"balances": [{"currency": "EUR", "available": "%s"}]},
    ),
    "cryptoprocessing": (
        lambda url: CryptoprocessingProvider("main", key="of-both", secret="of-both", base_url=url),
        {"data": [{"currency": "EUR", "type": "fiat", "balance": "%s"}]},
    ),
    "getmany": (
        lambda url: GetManyProvider("main", key_id="of-both", signing_key=SIGNING_KEY, base_url=url),
        {"data": [{"balance": {"value": "%s", "code": "EUR", "decimals": 0}}]},
    ),
}


@pytest.mark.parametrize("kind", ONE_KEY)
async def test_accounts_with_one_key_are_known_by_their_path(store, kind):
    """A gateway may lead each path to another account, whichever adapter sends the request."""
    make, body = ONE_KEY[kind]

    def respond(request):
        held = b"100" if request.split()[1].startswith(b"/a/") else b"5"
        return raw_response(200, json.dumps(body).encode().replace(b"%s", held))

    with ThreadServer(respond) as server:
        read = [await amount(make(f"{server.url}/{path}"), "EUR", store) for path in ("a", "b", "a")]

    assert read == [100, 5, 100]


async def test_accounts_of_different_key_pairs_are_different(sandbox, store):
    """For both built-in adapters, with one label and one origin."""
    shops = [sandbox.add_cryptoprocessing(name, {"BTC": held}) for name, held in (("a", "1"), ("b", "2"))]
    tills = [sandbox.add_getmany(name, {"USDC": held}) for name, held in (("c", "3"), ("d", "4"))]

    read = [await amount(CryptoprocessingProvider("main", **shop.settings), "BTC", store) for shop in shops]
    read += [await amount(GetManyProvider("main", **till.settings), "USDC", store) for till in tills]

    assert read == [1, 2, 3, 4]


async def test_no_label_makes_one_account_pass_for_another(bank):
    """The parts of a key cannot run into one another, whatever is in them."""
    keys = set()

    class Recording(MemoryStore):
        async def get(self, asked):
            keys.update(asked)
            return await super().get(asked)

    labels = ["a", "a|b", "a@b", "a#b", "a/b", "a%7Cb", "a}b", "{a"]
    async with AggregateClient(
        [MyBankProvider(label, token="alice", base_url=f"{bank}/{index}") for index, label in enumerate(labels)],
        store=Recording(),
    ) as client:
        await client.fetch(max_age=30)
    for label in labels:
        async with AggregateClient([MyBankProvider(label, token="alice", base_url=bank)], store=Recording()) as client:
            await client.fetch(max_age=30)

    assert len({key for key in keys if not key.startswith("origin ")}) == 2 * len(labels)


async def test_no_fingerprint_of_an_adapter_runs_into_its_label():
    """The key of an account is of no other, wherever a fingerprint that an adapter sets has the marks of a key."""
    keys = set()

    class Recording(MemoryStore):
        async def get(self, asked):
            keys.update(asked)
            return await super().get(asked)

    named = [("a", "b|c"), ("a|b", "c"), ("a", "b%7Cc"), ("a%7Cb", "c"), ("a/b", "c"), ("a", "b/c")]
    for label, fingerprint in named:
        source = Scripted(label)
        source.fingerprint = fingerprint
        async with AggregateClient([source], store=Recording()) as client:
            await client.fetch(max_age=30)

    assert len({key for key in keys if not key.startswith("origin ")}) == len(named)


async def test_an_account_that_cannot_be_distinguished_is_not_shared(store, caplog):
    """A provider that says nothing of its account may be another's under the same label; the log says so once."""
    mine, theirs = Scripted("main"), Scripted("main")
    mine.script, theirs.script = [mine.balances("100")], [theirs.balances("5")]
    caplog.set_level(logging.WARNING, "balancekit")

    read = [await amount(source, "BTC", store) for source in (mine, theirs)]

    assert read == [100, 5]
    assert [record.getMessage() for record in caplog.records] == [
        "not shared through the store, since nothing distinguishes it from other accounts: main"
    ] * 2


async def test_an_account_that_cannot_be_distinguished_leaves_nothing_in_a_store():
    """No other client could ask for it, and it would be kept for a week."""
    store = FlakyStore()
    async with AggregateClient([Scripted("shop")], store=store) as client:
        await client.fetch(max_age=60)
        known = (await client.fetch(max_age=60)).complete

    assert known is True
    assert "put" not in store.calls


@pytest.mark.parametrize("same", ["account", "gateway"])
async def test_one_account_under_two_labels_is_refused(sandbox, same):
    """It would be counted twice; the error names both labels."""
    if same == "account":
        settings = sandbox.add_cryptoprocessing("shop", {"BTC": "1"}).settings
        twice = [CryptoprocessingProvider(label, **settings) for label in ("shop", "Shop-EU")]
    else:
        settings = sandbox.add_getmany("till", {"USDC": "1"}, signed=False).settings
        twice = [GetManyProvider(label, **settings) for label in ("shop", "Shop-EU")]

    with pytest.raises(ConfigError, match=r"'Shop-EU' would be counted twice: .* same base URL as 'shop'") as caught:
        AggregateClient(twice)

    assert all(str(setting) not in str(caught.value) for setting in settings.values())


def test_one_account_under_two_labels_is_refused_in_a_file(tmp_path):
    """Where the accounts are written, and before anything is read."""
    path = tmp_path / "accounts.toml"
    path.write_text(
        "".join(
            f"[accounts.{label}]\nprovider = 'cryptoprocessing'\nkey = 'k'\nsecret = {{ env = 'SECRET' }}\n"
            for label in ("shop", "other")
        )
    )

    with pytest.raises(ConfigError, match=r"'other' would be counted twice: .* same base URL as 'shop'"):
        load_config(path, environ={"SECRET": "of-both"})


def test_an_adapter_may_hold_what_refers_back_to_it():
    """A list of its own that it is in, by some way, is searched for credentials once."""

    class Circular(MyBankProvider):
        def __init__(self, account):
            super().__init__(account, token="alice", base_url="https://bank.example")
            self.pages = [{"all": []}]
            self.pages[0]["all"].append(self.pages)

        def build_request(self, *, now, nonce):
            return Request("GET", f"{self.base_url}/balances", {"X-Via": "a gateway"})

    assert AggregateClient([Circular("main")]).accounts == ("main",)
