"""References to environment variables and files, and where a setting may be one."""

import pytest

from balancekit.webhooks import WebhookProvider
from balancekit.webhooks.standard_webhooks import KEY_HINT
from tests.config.conftest import CANARY, ENVIRON, GOOD, PLUGGED, REFERENCES, SHOP
from tests.support.plugins import PlugIn

BASE32 = "JBSWY3DPEHPK3PXP"
WEBHOOK_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
TILL = '[accounts.till]\nprovider = "getmany"\nwebhook_key = '


def test_variables_are_those_of_the_process_by_default(load, monkeypatch):
    """Without `environ`, references lead to the environment of the process."""
    monkeypatch.setenv("SHOP_SECRET", "s3cret")

    assert load(GOOD, environ=None).providers[0].account == "shop"


def test_a_public_setting_may_be_a_reference(load):
    """A setting that is no secret may be taken from a variable, too."""
    config = load(GOOD.replace('"pk_1"', '{ env = "SHOP_KEY" }'), {**ENVIRON, "SHOP_KEY": "pk_env"})

    request = config.providers[0].build_request(now=0, nonce="")
    assert request.headers["X-Processing-Key"] == "pk_env"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (f'"{CANARY}"', f"a secret does not belong in this file; give {REFERENCES}"),
        ("5", f"a secret does not belong in this file; give {REFERENCES}"),
        ("{}", f"expected {REFERENCES}"),
        ('{ env = "A", file = "b" }', f"expected {REFERENCES}"),
        ('{ evn = "A" }', "'evn' is unknown; did you mean 'env'?"),
        ("{ env = 5 }", "env: expected text, got a number"),
        ("{ file = {} }", "file: expected text, got a table"),
        ('{ env = "UNSET" }', "the environment variable UNSET is not set, or not exported"),
        ('{ env = "EMPTY" }', "the environment variable EMPTY is empty"),
        ('{ env = "BROKEN" }', "the environment variable BROKEN is not UTF-8 text"),
        ('{ env = "lower" }', "the environment variable of that name is empty"),
        (f'{{ env = "{CANARY}" }}', "the environment variable of that name is not set, or not exported"),
        (
            f'{{ env = "{CANARY}==" }}',
            "env: expected the name of an environment variable: letters, digits and underscores",
        ),
        ('{ file = "none" }', "the file 'none' cannot be read: No such file or directory"),
        ('{ file = "" }', "the file '.' cannot be read: Is a directory"),
        ('{ file = "a\\u0000" }', "the file 'a\\x00' cannot be read: embedded null byte"),
        ('{ file = "empty" }', "the file 'empty' is empty"),
        ('{ file = "binary" }', "the file 'binary' is not UTF-8 text"),
        ('{ file = "large" }', "the file 'large' is larger than 65536 bytes"),
        ('{ file = "blank" }', "expected text without blanks around it"),
    ],
    ids=lambda value: value[:30],
)
def test_a_wrong_reference_to_a_secret_is_named(problem, tmp_path, reference, message):
    """The message names the account and the key of the reference, and shows no value."""
    for name, content in {"empty": b"\n", "binary": b"\xff", "large": b"x" * 65537, "blank": b" s \n\n"}.items():
        (tmp_path / name).write_bytes(content)

    assert problem(f"{SHOP}secret = {reference}") == f"account 'shop': secret: {message}"


def test_quotes_around_a_variable_are_a_problem_for_every_adapter(problem, install):
    """An env file for a shell has quotes that other readers of env files keep."""
    install(PlugIn)

    assert problem(PLUGGED, {"SHOP_SECRET": '"s3cret"'}) == (
        "account 'a': token: the environment variable SHOP_SECRET has quotes around its text; remove them"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f'secret = {{ env = "{BASE32}" }}',
            "secret: the environment variable of that name is not set, or not exported",
        ),
        (
            f'secret = {{ file = "{BASE32}" }}',
            "secret: the file of that name cannot be read: No such file or directory",
        ),
        (f'secret = {{ file = "{BASE32 * 20}" }}', "secret: the file of that name cannot be read: File name too long"),
        (f'secret = {{ {BASE32} = "x" }}', "secret: a key is unknown; there are env, file, keyring"),
        (f"{BASE32} = 1", "a key is unknown; there are provider, key, secret, base_url, brand"),
        (f'[accounts.b]\nprovider = "{BASE32}"', "provider: no provider is of that name; there are cryptoprocessing, "),
    ],
    ids=["variable", "file", "long file", "key of a reference", "key of an account", "provider"],
)
def test_a_secret_in_the_wrong_place_is_not_shown(problem, text, message):
    """In capitals and digits it looks like a name, and is none."""
    shown = problem(f"{SHOP}{text}")

    assert message in shown
    assert BASE32 not in shown


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
        ('["x", { env = "NONE" }]', "webhook_key[1]: the environment variable NONE is not set, or not exported"),
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
    lines = problem(f'{TILL}"x"\nkey_id = ["k"]\n').splitlines()

    assert "account 'till': key_id: expected text, got a list" in lines
