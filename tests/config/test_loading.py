"""Reading accounts.toml: what is accepted, which error each problem gives, and that none of them shows a secret."""

import base64
import os
import re
import sys
from collections.abc import Sequence

import pytest

from balancekit import AggregateClient, ConfigError, CryptoprocessingProvider, GetManyProvider, HttpProvider, Secret
from balancekit.config import load_config
from balancekit.webhooks import WebhookProvider
from balancekit.webhooks.standard_webhooks import KEY_HINT
from tests.support.plugins import install_plugin

CANARY = "canary3f9a"
SIGNING_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
SHOP = """
[accounts.shop]
provider = "cryptoprocessing"
key = "pk_1"
"""
GOOD = SHOP + 'secret = { env = "SHOP_SECRET" }\n'
ENVIRON = {"SHOP_SECRET": "s3cret", "EMPTY": "", "BROKEN": "\udcff", "lower": ""}


@pytest.fixture
def load(tmp_path):
    """Write a text (or bytes) as accounts.toml and load it."""

    def load(text, environ=ENVIRON):
        path = tmp_path / "accounts.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path, environ=environ)

    return load


@pytest.fixture
def problem(load, tmp_path):
    """Load a text with a problem and return the message without the path of the file."""

    def problem(text):
        with pytest.raises(ConfigError) as caught:
            load(text)
        prefix = re.escape(f"{tmp_path / 'accounts.toml'}") + r":(?:\d+:)? "
        assert all(re.match(prefix, line) for line in str(caught.value).splitlines())
        return re.sub(prefix, "", str(caught.value)).replace(str(tmp_path), "")

    return problem


class TokenProvider(HttpProvider):
    """An adapter of another distribution, with settings of several types."""

    provider = "token"
    secret_settings = frozenset({"token"})

    def __init__(
        self,
        account,
        *,
        token: "str | Secret",
        timeout: float = 1.0,
        pages: "int | None" = None,
        base_url: str = "https://x.example",
        **more: object,
    ) -> None:
        super().__init__(account, base_url=base_url)
        self.token, self.timeout, self.pages = Secret.of(token), timeout, pages
        if pages == 0:
            raise RuntimeError(self.token.reveal())

    def build_request(self, *, now, nonce):
        """Build no request."""
        raise NotImplementedError

    def read_response(self, response):
        """Read no response."""
        raise NotImplementedError


class UntypedProvider(TokenProvider):
    """An adapter with an annotation that can be resolved only by type checkers."""

    secret_settings = frozenset()

    def __init__(self, account, *, pages: "Missing", token: "Secret | None" = None) -> None:  # noqa: F821 - as under TYPE_CHECKING
        super().__init__(account, token=token or "", pages=pages)


@pytest.fixture
def plugin(monkeypatch, tmp_path_factory):
    """Install a distribution with two adapters, and one that cannot be imported."""
    folder = tmp_path_factory.mktemp("plugin")
    install_plugin(monkeypatch, folder, token=TokenProvider, untyped=UntypedProvider, broken="no_such_module:Provider")


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


def test_variables_are_those_of_the_process_by_default(load, monkeypatch):
    """Without `environ`, references lead to the environment of the process."""
    monkeypatch.setenv("SHOP_SECRET", "s3cret")

    assert load(GOOD, environ=None).providers[0].account == "shop"


def test_a_public_setting_may_be_a_reference(load):
    """A setting that is no secret may be taken from a variable, too."""
    config = load(GOOD.replace('"pk_1"', '{ env = "SHOP_KEY" }'), {**ENVIRON, "SHOP_KEY": "pk_env"})

    request = config.providers[0].build_request(now=0, nonce="")
    assert request.headers["X-Processing-Key"] == "pk_env"


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n", "\ufeffs3cret\n"])
def test_a_secret_in_a_file_may_end_with_a_line_break(load, tmp_path, content):
    """One line break at the end, and a byte order mark, are not part of the secret."""
    (tmp_path / "secret").write_bytes(content.encode())

    from_file = load(SHOP + 'secret = { file = "secret" }').providers[0].build_request(now=0, nonce="")

    from_variable = load(GOOD).providers[0].build_request(now=0, nonce="")
    assert from_file.headers == from_variable.headers


def test_a_byte_order_mark_is_ignored(load):
    """A file that a Windows editor has saved can be loaded."""
    assert load(b"\xef\xbb\xbf" + GOOD.encode()).providers[0].account == "shop"


def test_the_settings_of_an_adapter_come_from_its_class(load, plugin):
    """The constructor's parameters, their types and `secret_settings` define what an account may hold."""
    (provider,) = load(
        '[accounts.a]\nprovider = "token"\ntoken = { env = "SHOP_SECRET" }\ntimeout = 2\npages = 3'
    ).providers

    assert provider.token.reveal() == "s3cret"
    assert (provider.timeout, provider.pages) == (2, 3)


def test_a_type_that_cannot_be_resolved_is_not_checked(load, plugin):
    """A value whose annotation exists only for type checkers goes to the constructor as it is."""
    assert load('[accounts.a]\nprovider = "untyped"\npages = [1]').providers[0].pages == [1]


def test_a_type_that_cannot_be_resolved_makes_no_other_setting_less_secret(problem, plugin):
    """A parameter that is annotated as a secret is one, whatever the others are annotated with."""
    text = '[accounts.a]\nprovider = "untyped"\npages = 1\ntoken = "s3cret"'

    assert problem(text) == f"account 'a': token: a secret does not belong in this file; give {HOW}"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated where a function is defined")
def test_an_annotation_is_not_evaluated_to_find_the_settings(load, monkeypatch, tmp_path):
    """It may name, without quotes, what is imported for type checkers alone."""
    plugin = (
        "from tests.config.test_loading import TokenProvider\n"
        "class Provider(TokenProvider):\n"
        "    def __init__(self, account, *, pages: Missing) -> None:\n"
        "        super().__init__(account, token='', pages=pages)\n"
    )
    (tmp_path / "unquoted_annotation.py").write_text(plugin)
    install_plugin(monkeypatch, tmp_path, unquoted="unquoted_annotation:Provider")

    assert load('[accounts.a]\nprovider = "unquoted"\npages = [1]').providers[0].pages == [1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('timeout = "2"', "timeout: expected a number or a whole number, got a string"),
        ("pages = true", "pages: expected a whole number, got a boolean"),
        ('pages = { env = "SHOP_SECRET" }', "pages: expected a whole number, got a string"),
        ("pages = 0", "TokenProvider rejected the settings with RuntimeError"),
        ("base_url = []", "base_url: expected text, got a list"),
        ("more = 1", "'more' is unknown; there are provider, token, timeout, pages, base_url"),
    ],
    ids=["text for number", "bool for int", "reference for int", "constructor", "list for text", "var-keyword"],
)
def test_a_wrong_setting_of_a_plugin_is_named(problem, plugin, setting, message):
    """Types are checked before the constructor is called; the message of what it raises is not shown."""
    text = f'[accounts.a]\nprovider = "token"\ntoken = {{ env = "SHOP_SECRET" }}\n{setting}'

    assert problem(text) == f"account 'a': {message}"


class QuotingProvider(TokenProvider):
    """An adapter that quotes what it is given."""

    secret_settings = frozenset()
    quote = "{}".format

    def __init__(self, account, *, token: Secret, others: Sequence[Secret] = (), names: Sequence[str] = ()) -> None:
        super().__init__(account, token=token)
        self.others, self.names = others, names
        if not (others or names):
            raise self.config_error("token", f"expected 32 hex digits, got {type(self).quote(token.reveal())}")


@pytest.mark.parametrize(
    "quote",
    [str, str.upper, lambda token: token.encode().hex(), lambda token: base64.b64encode(token.encode()), list],
    ids=["plain", "upper case", "hex", "base64", "list"],
)
def test_a_secret_that_a_plug_in_quotes_is_not_shown(problem, monkeypatch, tmp_path, quote):
    """Its message is shown without it."""
    monkeypatch.setattr(QuotingProvider, "quote", quote)
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)

    text = problem('[accounts.a]\nprovider = "quoting"\ntoken = { env = "SHOP_SECRET" }')

    assert text.startswith("account 'a': token: expected 32 hex digits, got ")
    words = {"account", "a", "token", "expected", "32", "hex", "digits", "got"}
    assert set(re.sub(r"\W", " ", text).split()) <= words


@pytest.mark.parametrize(
    ("value", "revealed"),
    [('[{ env = "SHOP_SECRET" }, { file = "second" }]', ["s3cret", "2"]), ('{ env = "SHOP_SECRET" }', ["s3cret"])],
    ids=["list", "one"],
)
def test_a_list_of_secrets_may_be_given_by_reference(load, monkeypatch, tmp_path, value, revealed):
    """By several, or by one."""
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)
    (tmp_path / "second").write_text("2")

    (provider,) = load(
        f'[accounts.a]\nprovider = "quoting"\ntoken = {{ env = "SHOP_SECRET" }}\nothers = {value}'
    ).providers

    assert [other.reveal() for other in provider.others] == revealed


def test_one_reference_for_a_list_of_texts_is_a_list(load, monkeypatch, tmp_path):
    """A text by itself would be taken for a list of its characters."""
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)
    text = '[accounts.a]\nprovider = "quoting"\ntoken = { env = "SHOP_SECRET" }\nnames = { env = "SHOP_SECRET" }'

    assert load(text).providers[0].names == ("s3cret",)


def test_a_secret_in_a_list_does_not_belong_in_the_file(problem, monkeypatch, tmp_path):
    """As one by itself does not."""
    install_plugin(monkeypatch, tmp_path, quoting=QuotingProvider)
    text = '[accounts.a]\nprovider = "quoting"\ntoken = { env = "SHOP_SECRET" }\nothers = ["s3cret"]'

    assert problem(text) == f"account 'a': others[0]: a secret does not belong in this file; give {HOW}"


def test_an_adapter_that_cannot_be_imported_is_named(problem, plugin):
    """A plug-in that fails to import is a problem of the account that uses it."""
    expected = "importing 'broken' raised ModuleNotFoundError(\"No module named 'no_such_module'\")"

    assert problem('[accounts.a]\nprovider = "broken"') == f"account 'a': provider: {expected}"


HOW = '{ env = "NAME" }, { file = "path" } or { keyring = "name" }'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff", "the file is not UTF-8 text"),
        ("x" * (2**20 + 1), "the file is larger than 1048576 bytes"),
        ("[accounts.shop]\nsecret = canary", "not valid TOML at line 2, column 10"),
        ("a = " + "9" * 5000, "not valid TOML"),
        ("[account.shop]", "'account' is unknown; did you mean 'accounts'?"),
        ("x = 1", "'x' is unknown; there are accounts, aliases, client, providers"),
        ("", "accounts: there are none; add a table such as [accounts.shop-eu]"),
        ("[accounts]", "accounts: there are none; add a table such as [accounts.shop-eu]"),
        ("accounts = 5", "accounts: expected a table, got a number"),
        ("[accounts]\nshop = 5", "account 'shop': expected a table, got a number"),
        ('[accounts." x"]', "account ' x': a label with blanks around it"),
        ("[accounts.shop]", "account 'shop': provider: missing"),
        ("[accounts.shop]\nprovider = 5", "account 'shop': provider: expected text, got a number"),
        (
            '[accounts.shop]\nprovider = "bank"',
            "account 'shop': provider: no provider is named 'bank'; there are cryptoprocessing, getmany",
        ),
        (SHOP, f"account 'shop': secret: missing; give {HOW}"),
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


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (f'"{CANARY}"', f"a secret does not belong in this file; give {HOW}"),
        ("5", f"a secret does not belong in this file; give {HOW}"),
        ("{}", f"expected {HOW}"),
        ('{ env = "A", file = "b" }', f"expected {HOW}"),
        ('{ evn = "A" }', "'evn' is unknown; did you mean 'env'?"),
        ("{ env = 5 }", "env: expected text, got a number"),
        ("{ file = {} }", "file: expected text, got a table"),
        ('{ env = "UNSET" }', "the environment variable UNSET is not set"),
        ('{ env = "EMPTY" }', "the environment variable EMPTY is empty"),
        ('{ env = "BROKEN" }', "the environment variable BROKEN is not UTF-8 text"),
        ('{ env = "lower" }', "the environment variable of that name is empty"),
        (f'{{ env = "{CANARY}" }}', "the environment variable of that name is not set"),
        (
            f'{{ env = "{CANARY}==" }}',
            "env: expected the name of an environment variable: letters, digits and underscores",
        ),
        ('{ file = "none" }', "the file '/none' cannot be read: No such file or directory"),
        ('{ file = "" }', "the file '' cannot be read: Is a directory"),
        ('{ file = "a\\u0000" }', "the file '/a\\x00' cannot be read: embedded null byte"),
        ('{ file = "empty" }', "the file '/empty' is empty"),
        ('{ file = "binary" }', "the file '/binary' is not UTF-8 text"),
        ('{ file = "large" }', "the file '/large' is larger than 65536 bytes"),
        ('{ file = "blank" }', "expected text without blanks around it"),
    ],
    ids=lambda value: value[:30],
)
def test_a_wrong_reference_to_a_secret_is_named(problem, tmp_path, reference, message):
    """The message names the account and the key of the reference, and shows no value."""
    for name, content in {"empty": b"\n", "binary": b"\xff", "large": b"x" * 65537, "blank": b" s \n\n"}.items():
        (tmp_path / name).write_bytes(content)

    assert problem(f"{SHOP}secret = {reference}") == f"account 'shop': secret: {message}"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """The error has the path of the file and the reason of the operating system."""
    with pytest.raises(ConfigError, match=r"none\.toml: the file cannot be read: No such file or directory"):
        load_config(tmp_path / "none.toml")


def test_every_account_with_a_problem_has_a_line(problem):
    """The error lists the first problem of each account, so that all can be corrected at once."""
    text = SHOP + SHOP.replace("shop", "shop-us") + 'secret = "x"\n' + GOOD.replace("shop", "shop-eu")

    lines = problem(text).splitlines()

    assert [line.split(": ")[:2] for line in lines] == [["account 'shop'", "secret"], ["account 'shop-us'", "secret"]]


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


WEBHOOK_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
TILL = """
[accounts.till]
provider = "getmany"
webhook_key = """


@pytest.mark.parametrize(
    "text",
    [
        f'"{WEBHOOK_KEY}"',
        '{ env = "WEBHOOK_KEY" }',
        f'["{WEBHOOK_KEY}", "whpk_{WEBHOOK_KEY}"]',
        f'["{WEBHOOK_KEY}", {{ env = "WEBHOOK_KEY" }}]',
    ],
    ids=["text", "reference", "texts", "text and reference"],
)
def test_a_public_key_may_stand_in_the_file(load, text):
    """A webhook's key is one text or reference, or a list of them during a rotation."""
    config = load(f"{TILL}{text}\n", environ={"WEBHOOK_KEY": WEBHOOK_KEY})

    assert isinstance(config.providers[0], WebhookProvider)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7", "webhook_key: expected text, got a number"),
        (f'["{WEBHOOK_KEY}", 7]', "webhook_key[1]: expected text, got a number"),
        ('["x", { env = "NONE" }]', "webhook_key[1]: the environment variable NONE is not set"),
        ('["x", ["x"]]', "webhook_key[1]: expected text, got a list"),
        ("[]", "webhook_key: expected 1 to 4 keys, got 0"),
        ('"x"', f"webhook_key: expected {KEY_HINT}"),
    ],
    ids=["number", "number in a list", "no variable", "list in a list", "no key", "no key in it"],
)
def test_a_wrong_public_key_is_named(problem, text, message):
    """The message has the position in a list."""
    assert problem(f"{TILL}{text}\n") == f"account 'till': {message}"


def test_a_list_for_a_setting_of_one_value_is_a_problem(problem):
    """Only a setting whose type is a list may be given one."""
    assert problem(f'{TILL}"x"\nkey_id = ["k"]\n') == "account 'till': key_id: expected text, got a list"
