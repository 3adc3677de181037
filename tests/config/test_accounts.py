"""Accounts and the defaults of their providers: every mistake is found at once, each with its line."""

from functools import partial

import attrs
import pytest

from balancekit import ConfigError, CryptoprocessingProvider, HttpProvider, Secret
from tests.config.conftest import GOOD, REFERENCES
from tests.support.plugins import install_plugin

PROVIDERS = "there are cryptoprocessing, getmany; did you mean 'getmany'?"
SECRET = 'secret = { env = "SHOP_SECRET" }\n'
DEFAULTS = '[providers.cryptoprocessing]\nbase_url = "https://pay.example/api/v2"\n'


def test_all_mistakes_are_named_at_once_in_the_order_of_the_file(mistakes):
    """Each has the file, the line, the account and the key, and the name that is probably meant."""
    text = """\
[accounts.shop]
provider = "cryptoprocessing"
kye = "pk_1"
secret = "s3cret"
base_url = 5

[accounts.till]
provider = "getmani"

[aliases]
A = ""

[clent]
[client]
deadlin = 1
concurrency = 0
[client.retry]
first = "1"
"""

    assert mistakes(text) == [
        "accounts.toml:3: account 'shop': 'kye' is unknown; did you mean 'key'?",
        f"accounts.toml:4: account 'shop': secret: a secret does not belong in this file; give {REFERENCES}",
        "accounts.toml:5: account 'shop': base_url: expected text, got a number",
        f"accounts.toml:8: account 'till': provider: no provider is named 'getmani'; {PROVIDERS}",
        "accounts.toml:11: aliases: 'A': an empty code",
        "accounts.toml:13: 'clent' is unknown; did you mean 'client'?",
        "accounts.toml:15: client: 'deadlin' is unknown; did you mean 'deadline'?",
        "accounts.toml:16: client: concurrency: expected a whole number above zero, got 0",
        "accounts.toml:18: client: retry: first: expected a number or a whole number, got a string",
    ]


def test_accounts_have_the_defaults_of_their_provider_unless_they_say_otherwise(load):
    """Whatever the order of the tables."""
    own = GOOD.replace("accounts.shop", "accounts.own").replace("pk_1", "pk_2")
    first, second = load(f'{GOOD}{own}base_url = "https://own.example"\n{DEFAULTS}').providers

    assert (first.base_url, second.base_url) == ("https://pay.example/api/v2", "https://own.example")


def test_a_default_may_be_a_secret_by_reference(load):
    """A required setting is not missing then."""
    (shop,) = load(GOOD.replace(SECRET, "") + DEFAULTS + SECRET).providers

    assert isinstance(shop, CryptoprocessingProvider)


def test_a_mistake_in_a_default_is_named_once(mistakes):
    """Rather than for each account that has it."""
    both = GOOD + GOOD.replace("accounts.shop", "accounts.own").replace("pk_1", "pk_2")

    (wrong,) = mistakes(both + DEFAULTS.replace("https", "http"))
    (typed,) = mistakes(f"{both}[providers.cryptoprocessing]\nbase_url = 5\n")

    assert wrong.startswith(
        "accounts.toml:10: providers 'cryptoprocessing': base_url: http:// to pay.example would send"
    )
    assert typed == "accounts.toml:10: providers 'cryptoprocessing': base_url: expected text, got a number"


def test_a_brand_is_for_one_account_or_for_all(load):
    """An account may have another one, and a base URL comes before any."""
    own = GOOD.replace("shop", "own").replace("pk_1", "pk_2")
    proxied = GOOD.replace("shop", "proxied").replace("pk_1", "pk_3")
    text = (
        f'{GOOD}{own}brand = "coinspaid"\n{proxied}base_url = "https://pay.example"\n'
        '[providers.cryptoprocessing]\nbrand = "alphapo"\n'
    )

    assert [provider.base_url for provider in load(text).providers] == [
        "https://app.alphapo.net/api/v2",
        "https://app.cryptoprocessing.com/api/v2",
        "https://pay.example",
    ]


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ('"coinpaid"', "brand: 'coinpaid' is unknown; did you mean 'coinspaid'?"),
        ('"x"', "brand: 'x' is unknown; there are alphapo, coinspaid, cryptoprocessing"),
        ('"kX9vQ2mZ7tR4wLp8sD1f"', "brand: the value is unknown; there are alphapo, coinspaid, cryptoprocessing"),
        ("5", "brand: expected text, got a number"),
    ],
)
def test_a_brand_that_there_is_not_is_named_with_those_that_there_are(mistakes, value, mistake):
    """Unless it may be a secret."""
    assert mistakes(f"{GOOD}brand = {value}\n") == [f"accounts.toml:5: account 'shop': {mistake}"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[providers.getmani]\n", "5: providers 'getmani': no provider is named 'getmani'; there are"),
        ("[providers.getmany]\nbase = 1\n", "6: providers 'getmany': 'base' is unknown; did you mean 'base_url'?"),
        ("[providers.zq9X-s3cr3t-Kq77Lm]\n", "5: providers: no provider is of that name; there are"),
        ("[providers]\ngetmany = 1\n", "6: providers 'getmany': expected a table, got a number"),
    ],
    ids=["name", "setting", "secret", "no table"],
)
def test_a_wrong_table_of_defaults_is_named(mistakes, text, mistake):
    """It is checked whether or not an account has them."""
    (line,) = mistakes(GOOD + text)

    assert line.startswith(f"accounts.toml:{mistake}")


def test_an_account_under_two_labels_is_on_the_line_of_the_second(mistakes):
    """It would be counted twice."""
    (line,) = mistakes(GOOD + GOOD.replace("accounts.shop", "accounts.again"))

    assert line.startswith("accounts.toml:5: accounts: ")


class Own(HttpProvider):
    """An adapter of another distribution, which cannot tell its accounts apart."""

    provider = "own"
    secret_settings = frozenset({"token"})

    def __init__(self, account, *, token, base_url="https://own.example"):
        super().__init__(account, base_url=base_url)
        self._token = Secret.of(token)

    build_request = read_response = None

    @property
    def fingerprint(self):
        """Fail."""
        raise ConfigError(f"no merchant has the token {self._token.reveal()}")


def test_what_a_plug_in_says_of_accounts_is_shown_without_their_secrets(tmp_path, monkeypatch, mistakes):
    """Whatever it calls the accounts, and whether or not there is a colon in it."""
    install_plugin(monkeypatch, tmp_path, own=Own)

    (line,) = mistakes('[accounts.own]\nprovider = "own"\ntoken = { env = "REDIS_URL" }\n')

    assert line.endswith("accounts: no merchant has the token ***")


class ColdWallet:
    """A provider of no base class: label and amount may be given by position."""

    provider = "wallet"

    def __init__(self, label, amount: str, *, passphrase: Secret | None = None, places: int = 0):
        self.account, self.amount, self.passphrase, self.places = label, amount, passphrase, places

    async def fetch_balances(self, session):
        """Read nothing."""
        return []


@attrs.define
class Drawer:
    """A provider whose constructor is generated, with the label among its keywords."""

    coins: int = attrs.field(kw_only=True)
    account: str = attrs.field(kw_only=True)
    provider: str = "drawer"

    async def fetch_balances(self, session):
        """Read nothing."""
        return []


def open_wallet(account: str, *, amount: str, pin: "Secret") -> ColdWallet:
    """Make a wallet in another way."""
    return ColdWallet(account, amount, passphrase=pin)


@pytest.fixture
def wallets(monkeypatch, tmp_path_factory):
    """Install providers of other kinds."""
    made = {"wallet": ColdWallet, "drawer": Drawer, "opened": open_wallet, "none": lambda account: None}
    other = {"mislabelled": lambda account: ColdWallet("other", "1"), "nameless": partial(ColdWallet, places="x")}
    install_plugin(monkeypatch, tmp_path_factory.mktemp("plugin"), **made, **other)


def test_any_class_of_providers_may_have_a_name(load, wallets):
    """Its settings are all parameters but the label, whether they may be given by position or not."""
    (wallet,) = load('[accounts.safe]\nprovider = "wallet"\namount = "2.5"\nplaces = 2\n').providers

    assert isinstance(wallet, ColdWallet)
    assert (wallet.account, wallet.amount, wallet.passphrase, wallet.places) == ("safe", "2.5", None, 2)


def test_a_class_with_a_generated_constructor_may_have_a_name(load, wallets):
    """The label is the parameter `account`, wherever it is."""
    (drawer,) = load('[accounts.till]\nprovider = "drawer"\ncoins = 7\n').providers

    assert drawer == Drawer(account="till", coins=7)


def test_a_function_that_makes_providers_may_have_a_name(load, wallets):
    """Its annotations say what is a secret."""
    (wallet,) = load('[accounts.safe]\nprovider = "opened"\namount = "1"\npin = { env = "SHOP_SECRET" }\n').providers

    assert wallet.passphrase.reveal() == "s3cret"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('provider = "wallet"\n', "accounts.toml:1: account 'safe': amount: missing"),
        (
            'provider = "wallet"\namount = 7\n',
            "accounts.toml:3: account 'safe': amount: expected text, got a number",
        ),
        (
            'provider = "wallet"\namount = "7"\npassphrase = "s3cret"\n',
            f"accounts.toml:4: account 'safe': passphrase: a secret does not belong in this file; give {REFERENCES}",
        ),
        ('provider = "wallet"\namount = "7"\nlabel = "x"\n', "accounts.toml:4: account 'safe': 'label' is unknown; "),
        ('provider = "none"\n', "accounts.toml:1: account 'safe': <lambda> made no provider of this account"),
        ('provider = "mislabelled"\n', "accounts.toml:1: account 'safe': <lambda> made no provider of this account"),
        ('provider = "nameless"\n', "accounts.toml:1: account 'safe': amount: missing"),
    ],
)
def test_the_settings_of_any_provider_are_checked(mistakes, wallets, text, mistake):
    """As those of the built-in ones are."""
    (found,) = mistakes(f"[accounts.safe]\n{text}")

    assert found.startswith(mistake)


async def test_accounts_of_any_provider_are_read(load, wallets):
    """Beside the others, by one client."""
    config = load('[accounts.safe]\nprovider = "wallet"\namount = "2.5"\n')

    async with config.make_client() as client:
        assert (await client.fetch(strict=True)).accounts[0].account == "safe"
