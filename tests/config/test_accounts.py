"""Accounts and the defaults of their providers: every mistake is found at once, each with its line."""

import pytest

from balancekit import ConfigError, CryptoprocessingProvider, HttpProvider, Secret
from tests.support.plugins import install_plugin

REFERENCES = '{ env = "NAME" }, { file = "path" } or { keyring = "name" }'
PROVIDERS = "there are cryptoprocessing, getmany"
SECRET = 'secret = { env = "SHOP_SECRET" }\n'
SHOP = f'[accounts.shop]\nprovider = "cryptoprocessing"\nkey = "pk_1"\n{SECRET}'
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
    own = SHOP.replace("accounts.shop", "accounts.own").replace("pk_1", "pk_2")
    first, second = load(f'{SHOP}{own}base_url = "https://own.example"\n{DEFAULTS}').providers

    assert (first.base_url, second.base_url) == ("https://pay.example/api/v2", "https://own.example")


def test_a_default_may_be_a_secret_by_reference(load):
    """A required setting is not missing then."""
    (shop,) = load(SHOP.replace(SECRET, "") + DEFAULTS + SECRET).providers

    assert isinstance(shop, CryptoprocessingProvider)


def test_a_mistake_in_a_default_is_named_once(mistakes):
    """Rather than for each account that has it."""
    both = SHOP + SHOP.replace("accounts.shop", "accounts.own").replace("pk_1", "pk_2")

    (wrong,) = mistakes(both + DEFAULTS.replace("https", "http"))
    (typed,) = mistakes(f"{both}[providers.cryptoprocessing]\nbase_url = 5\n")

    assert wrong.startswith(
        "accounts.toml:10: providers 'cryptoprocessing': base_url: http:// to pay.example would send"
    )
    assert typed == "accounts.toml:10: providers 'cryptoprocessing': base_url: expected text, got a number"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[providers.getmani]\n", "5: providers 'getmani': no provider is named 'getmani'; there are"),
        ("[providers.getmany]\nbase = 1\n", "6: providers 'getmany': 'base' is unknown; did you mean 'base_url'?"),
        ("[providers]\ngetmany = 1\n", "6: providers 'getmany': expected a table, got a number"),
    ],
    ids=["name", "setting", "no table"],
)
def test_a_wrong_table_of_defaults_is_named(mistakes, text, mistake):
    """It is checked whether or not an account has them."""
    (line,) = mistakes(SHOP + text)

    assert line.startswith(f"accounts.toml:{mistake}")


def test_an_account_under_two_labels_is_on_the_line_of_the_second(mistakes):
    """It would be counted twice."""
    (line,) = mistakes(SHOP + SHOP.replace("accounts.shop", "accounts.again"))

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
