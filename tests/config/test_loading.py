"""Reading accounts.toml: what is accepted, which error each problem gives, and that none of them shows a secret."""

import os

import pytest

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, GetManyProvider
from tests.config.conftest import CANARY, GOOD, REFERENCES, SHOP

SIGNING_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def test_accounts_of_both_providers_are_made(load, tmp_path):
    """Each table becomes an adapter of the provider that it names, in the order of the file."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "treasury.key").write_text(f"{SIGNING_KEY}\n")

    config = load(
        GOOD + '[accounts.treasury]\nprovider = "getmany"\nkey_id = "key_1"\n'
        'signing_key = { file = "secrets/treasury.key" }\nbase_url = "http://127.0.0.1:8080"'
    )

    shop, treasury = config.providers
    assert isinstance(shop, CryptoprocessingProvider)
    assert isinstance(treasury, GetManyProvider)
    assert (shop.account, treasury.account) == ("shop", "treasury")
    assert treasury.base_url == "http://127.0.0.1:8080"


def test_aliases_and_client_settings_reach_the_client(load):
    """The client has the accounts of the file, and the file's aliases and settings are kept for it."""
    config = load(GOOD + '[aliases]\nusdce = "usdc"\n[client]\ndeadline = 10\nattempts = 1')

    client = config.make_client()

    assert isinstance(client, AggregateClient)
    assert client.accounts == ("shop",)
    assert config.aliases == {"USDCE": "USDC"}
    assert config.client_settings == {"deadline": 10, "attempts": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff", "the file is not UTF-8 text"),
        ("x" * (2**20 + 1), "the file is larger than 1048576 bytes"),
        (
            "[accounts.shop]\nsecret = canary",
            "not valid TOML at line 2, column 10: expected a value; text needs quotes",
        ),
        ("[accounts.shop]\n[accounts.shop]", "not valid TOML at line 2, column 15: the table is there twice"),
        ("[accounts.shop]\na = 1\na = 2\n", "not valid TOML at line 3, column 6: the key is there twice"),
        ("[accounts.shop]\nsecret", "not valid TOML at end of document"),
        (SHOP + "a." * 16 + "b = 1", "a key has more than 16 parts, which are separated by dots"),
        ("[" + "a . " * 16 + "b]", "a key has more than 16 parts, which are separated by dots"),
        ("x = { y = 1, " + "'a.b' ." * 16 + "c = 1 }", "a key has more than 16 parts, which are separated by dots"),
        ("a." * 15 + "b = 1", "'a' is unknown; there are accounts, aliases, client, providers"),
        (
            '[accounts.shop]\nkey = "canary\n',
            "not valid TOML at line 2, column 14: the quotes around a text are not closed",
        ),
        (
            '[accounts.shop]\nsecret = "canary',
            "not valid TOML at end of document: the quotes around a text are not closed",
        ),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("[account.shop]", "'account' is unknown; did you mean 'accounts'?"),
        ("x = 1", "'x' is unknown; there are accounts, aliases, client, providers"),
        ("", "accounts: there are none; add a table such as [accounts.shop-eu]"),
        ("[accounts]", "accounts: there are none; add a table such as [accounts.shop-eu]"),
        ("accounts = 5", "accounts: expected a table, got a number"),
        ("[accounts]\nshop = 5", "account 'shop': expected a table, got a number"),
        ('[accounts." x"]', "account ' x': a label with blanks around it"),
        ("[accounts.shop]", "account 'shop': provider: missing; give cryptoprocessing, getmany or that of a plug-in"),
        ("[accounts.shop]\nprovider = 5", "account 'shop': provider: expected text, got a number"),
        (
            '[accounts.shop]\nprovider = "bank"',
            "account 'shop': provider: no provider is named 'bank'; there are cryptoprocessing, getmany",
        ),
        (SHOP, f"account 'shop': secret: missing; give {REFERENCES}"),
        (GOOD.replace("key =", "kye ="), "account 'shop': 'kye' is unknown; did you mean 'key'?"),
        (GOOD.replace('key = "pk_1"\n', ""), "account 'shop': key: missing"),
        (GOOD.replace('"pk_1"', "5"), "account 'shop': key: expected text, got a number"),
        (GOOD.replace('"pk_1"', '"p k"'), "account 'shop': key: expected visible ASCII characters without blanks"),
        (
            GOOD + 'base_url = "http://example.com"',
            (
                "account 'shop': base_url: http:// to example.com would send credentials in the clear: use https://, "
                "or http:// to a loopback address such as 127.0.0.1"
            ),
        ),
        (
            '[accounts.t]\nprovider = "getmany"\nkey_id = "k"',
            (
                "account 't': signing_key: missing; give both key_id and signing_key, or neither for use "
                "behind a gateway that signs"
            ),
        ),
        (GOOD + "[aliases]\nUSDCE = 5", "aliases: 'USDCE': a code must be a string, not int"),
        (GOOD + "[aliases]\nkX9vQ2mZ7tR4wLp8sD1f = 5", "aliases: a name is no code of a currency"),
        (GOOD + '[client]\ntimeout = "kX9vQ2mZ7tR4"', "client: timeout: expected seconds above zero, got a string"),
        (GOOD + '[aliases]\nUSDCE = ""', "aliases: 'USDCE': an empty code"),
        (
            GOOD + '[aliases]\nA = "B"\nB = "C"',
            "aliases: the alias 'A' leads to 'B', which is an alias itself: name the currency in the end",
        ),
        (
            GOOD + '[aliases]\nUSDCE = "kX9vQ2mZ7tR4wLp8sD1f"\nkX9vQ2mZ7tR4wLp8sD1f = "USDC"',
            "aliases: a name leads to more than one currency: name the currency in the end",
        ),
        ("aliases = 1\n" + GOOD, "aliases: expected a table, got a number"),
        (GOOD + "[client]\ndeadlin = 1", "client: 'deadlin' is unknown; did you mean 'deadline'?"),
        (GOOD + '[client]\ndeadline = "1"', "client: deadline: expected seconds above zero, got a string"),
        (GOOD + "[client]\nconcurrency = 0", "client: concurrency: expected a whole number above zero, got 0"),
    ],
    ids=lambda value: None if isinstance(value, bytes) or len(value) > 999 else value[-40:],
)
def test_a_problem_is_named_with_account_and_key(problem, text, message):
    """Every message says in which file, table and key the problem is, and what was expected."""
    assert problem(text) == message


@pytest.mark.parametrize("make", ["make_client", "make_blocking_client"])
async def test_an_argument_that_is_refused_is_not_shown(load, make, everything_shown_by):
    """A proxy's password is in no frame of the error either, whichever client is made."""
    with pytest.raises(ConfigError, match=r"^proxy: expected a URL") as caught:
        getattr(load(GOOD), make)(proxy=f"user:{CANARY}@proxy")

    assert CANARY not in everything_shown_by(caught.value)


def test_an_alias_of_an_alias_is_named_with_its_line(mistakes):
    """That of the alias, rather than of the table."""
    (line,) = mistakes(GOOD + '[aliases]\nc = "D"\na = "c"\n')

    assert line.startswith("accounts.toml:7: aliases: the alias 'A' leads to 'C'")


def test_every_account_with_a_problem_has_a_line(problem):
    """The error lists the problems of each account, so that all can be corrected at once."""
    text = SHOP + SHOP.replace("shop", "shop-us") + 'secret = "x"\n' + GOOD.replace("shop", "shop-eu")

    lines = problem(text).splitlines()

    assert [line.split(": ")[:2] for line in lines] == [["account 'shop'", "secret"], ["account 'shop-us'", "secret"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            GOOD.replace("pk_1", "") + 'base_url = "http://example.com"\nbrand = "nope"\n',
            ["3: key", "5: base_url", "6: brand"],
        ),
        (
            (
                '[accounts.shop]\nprovider = "getmany"\nbase_url = "ftp://x"\nkey_id = ""\n'
                'webhook_key = { env = "SHOP_SECRET" }'
            ),
            ["3: base_url", "4: key_id", "5: webhook_key"],
        ),
        (
            '[accounts.shop]\nprovider = "getmany"\nkey_id = ""\nsigning_key = { env = "SHOP_SECRET" }\nbase_url = "ftp://x"',
            ["3: key_id", "4: signing_key: expected the Ed25519 private key", "5: base_url"],
        ),
        (
            '[accounts.shop]\nprovider = "getmany"\nkey_id = "k"\nsigning_key = ""\nbase_url = "ftp://x"',
            ["4: signing_key", "5: base_url"],
        ),
        (
            GOOD.replace("key =", "kye =") + 'base_url = "ftp://x"\n',
            ["3: 'kye' is unknown; did you mean 'key'?", "5: base_url"],
        ),
        (GOOD + 'colour = 1\nbase_url = "ftp://x"\n', ["5: 'colour' is unknown", "6: base_url"]),
    ],
    ids=["of all kinds", "that the adapter finds", "of a pair", "half a pair", "a required key", "an unknown key"],
)
def test_every_mistake_of_an_account_has_a_line(mistakes, text, found):
    """Those that its adapter finds, too, one after the other; nothing that only follows from another mistake."""
    shown = [line.removeprefix("accounts.toml:").replace("account 'shop': ", "") for line in mistakes(text)]

    assert len(shown) == len(found)
    assert [line[: len(start)] for line, start in zip(shown, found, strict=True)] == found


def test_a_number_that_is_no_float_is_a_problem(problem):
    """A whole number in TOML may be larger than any float."""
    for key in ("timeout", "deadline"):
        assert problem(f"{GOOD}[client]\n{key} = 1{'0' * 400}\n").startswith(f"client: {key}: expected seconds above")


@pytest.mark.parametrize(
    "text",
    [
        SHOP + f'secret = "{CANARY}"',
        SHOP + f'secret = "{CANARY}',
        SHOP + f'secret = {{ env = "{CANARY}" }}',
        SHOP + f'secret = {{ evn = "{CANARY}" }}',
        SHOP + f'secret = ["{CANARY}"]',
        GOOD + f'base_url = "https://user:{CANARY}@example.com"',
        GOOD + f'[client]\ndeadline = 0\n[accounts.other]\nprovider = "getmany"\nsigning_key = "{CANARY}"',
        '[accounts.t]\nprovider = "getmany"\nkey_id = "k"\nsigning_key = { env = "SHOP_SECRET" }',
    ],
    ids=["literal", "cut off", "as a name", "mistyped", "list", "URL", "another account", "no such key"],
)
def test_no_secret_is_in_an_error(load, everything_shown_by, text):
    """Neither the message nor the local variables of the traceback hold a value of the file or the environment."""
    environ = {"SHOP_SECRET": CANARY} | dict.fromkeys(os.environ, "")

    with pytest.raises(ConfigError) as caught:
        load(text, environ)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert CANARY not in everything_shown_by(caught.value)


def test_no_secret_is_in_the_repr_of_a_config(load):
    """A configuration can be logged."""
    config = load(GOOD, {"SHOP_SECRET": CANARY})

    assert CANARY not in repr(config)
    assert "shop" in repr(config)


def test_hosts_for_unsigned_requests_may_be_listed(load, problem):
    """A gateway in a private network is named in the file; one host is a list of one."""
    account = '[accounts.till]\nprovider = "getmany"\nbase_url = "http://signer:8080"\n'

    assert load(f'{account}allow_http_to = ["signer"]\n').providers[0].base_url == "http://signer:8080"
    assert problem(f'{account}allow_http_to = "signer"\n') == (
        "account 'till': allow_http_to: expected a list of hosts"
    )


def test_a_key_with_too_many_parts_is_named_with_its_line(mistakes):
    """The time of reading it grows by the square of their number, and a file has room for half a million."""
    assert mistakes(SHOP + "a." * 500_000 + "b = 1") == [
        "accounts.toml:4: a key has more than 16 parts, which are separated by dots"
    ]


@pytest.mark.parametrize(
    "text",
    [GOOD.replace("pk_1", "a." * 50), f"# {'a.' * 50}\n{GOOD}", GOOD.replace("shop", f"'{'a.' * 50}'")],
    ids=["value", "comment", "quoted key"],
)
def test_dots_in_a_text_separate_no_parts(load, text):
    """A value, a comment and a key in quotes may have any number."""
    assert len(load(text).providers) == 1
