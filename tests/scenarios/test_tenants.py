"""Several tenants, with a client each, on one store: none is ever given the balances of another."""

import logging

import pytest
from aiohttp import web

from balancekit import (
    AggregateClient,
    AssetType,
    ConfigError,
    CryptoprocessingProvider,
    GetManyProvider,
    HttpProvider,
    Request,
    Secret,
)
from balancekit.config import load_config
from balancekit.stores import MemoryStore, RedisStore
from tests.support.providers import Scripted


class MyBankProvider(HttpProvider):
    """The adapter that the documentation shows."""

    provider = "mybank"
    secret_settings = frozenset({"token"})

    def __init__(self, account, *, token, base_url):
        self._token = token = Secret.of(token)
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Build a request with the token."""
        return Request("GET", f"{self.base_url}/balances", {"Authorization": f"Bearer {self._token.reveal()}"})

    def read_response(self, response):
        """Read the balances."""
        return [
            self.balance(row["currency"], row["available"], asset_type=AssetType.FIAT)
            for row in response.json()["balances"]
        ]


@pytest.fixture
async def bank():
    """Serve what the owner of each token holds; give the base URL."""
    held = {"Bearer alice": "1000000", "Bearer bob": "5"}

    async def balances(request):
        money = held[request.headers["Authorization"]]
        return web.json_response({"balances": [{"currency": "EUR", "available": money}]})

    app = web.Application()
    app.router.add_get("/{rest:.*}", balances)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture(params=["memory", "redis"])
async def store(request):
    """Be a store of either kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    async with RedisStore.from_url(request.getfixturevalue("server").url) as store:
        yield store


async def amount(source, currency, store):
    """Return what a client of one account reads, or takes from the store."""
    async with AggregateClient([source], store=store) as client:
        return int((await client.fetch(max_age=30, strict=True)).amount(currency))


async def test_an_adapter_without_code_for_it_is_known_by_its_credentials(bank, store):
    """Two tenants have the same label at the same bank."""
    read = [
        await amount(MyBankProvider("main", token=token, base_url=bank), "EUR", store)
        for token in ("alice", "bob", "alice")
    ]

    assert read == [1000000, 5, 1000000]


async def test_accounts_behind_a_gateway_are_known_by_their_path(sandbox, store):
    """The gateway signs, so that nothing but the URL tells the accounts apart."""
    accounts = [sandbox.add_getmany(name, {"USDC": held}, signed=False) for name, held in (("a", "100"), ("b", "5"))]

    read = [await amount(GetManyProvider("main", **account.settings), "USDC", store) for account in accounts]

    assert read == [100, 5]


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
