"""Secrets that are in the keyring of the machine, through the extra `keyring`."""

import sys
from types import SimpleNamespace

import pytest

SHOP = '[accounts.shop]\nprovider = "cryptoprocessing"\nkey = "pk_1"\nsecret = {{ {} }}\n'
COMMAND = "keyring set balancekit shop-uk"
ENTRIES = {("balancekit", "shop-eu"): "s3cret", ("acme", "shop-eu"): "other", ("balancekit", "empty"): ""}


class LockedError(Exception):
    """What a backend raises."""


def get_password(service, username):
    """Return an entry as the keyring does."""
    if username == "locked":
        raise LockedError("canary3f9a")
    return ENTRIES.get((service, username))


@pytest.fixture
def keyring(monkeypatch):
    """Install a keyring with a few entries."""
    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=get_password))


def _sent(config):
    return config.providers[0].build_request(now=0, nonce="").headers


@pytest.mark.parametrize(
    ("reference", "secret"),
    [('keyring = "shop-eu"', "s3cret"), ('keyring = "shop-eu", service = "acme"', "other")],
    ids=["own service", "another service"],
)
def test_a_secret_may_be_an_entry_of_the_keyring(load, keyring, reference, secret):
    """Of the service `balancekit`, unless another one is named."""
    from_keyring = load(SHOP.format(reference))
    from_variable = load(SHOP.format('env = "SAME"'), {"SAME": secret})

    assert _sent(from_keyring) == _sent(from_variable)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (
            'keyring = "shop-uk"',
            f"the entry 'shop-uk' of 'balancekit' in the keyring is missing; set it with: {COMMAND}",
        ),
        ('keyring = "empty"', "the entry 'empty' of 'balancekit' in the keyring is empty"),
        ('keyring = "canary3f9a"', "the entry of that name is missing"),
        ('keyring = "locked"', "keyring: it cannot be read here: LockedError"),
        ("keyring = 5", "keyring: expected text, got a number"),
        ('keyring = "shop-eu", service = 5', "service: expected text, got a number"),
        ('keyring = "shop-eu", sevice = "x"', "'sevice' is unknown; did you mean 'service'?"),
    ],
    ids=["missing", "empty", "a secret as its name", "locked", "number", "service", "mistyped"],
)
def test_an_entry_that_cannot_be_used_is_named(mistakes, keyring, reference, problem):
    """The message has the command that sets it, and no word of the keyring's own."""
    assert mistakes(SHOP.format(reference)) == [f"accounts.toml:4: account 'shop': secret: {problem}"]


def test_without_the_extra_it_says_what_to_install(mistakes, monkeypatch):
    """The keyring is imported only if a secret is in it."""
    monkeypatch.setitem(sys.modules, "keyring", None)

    (line,) = mistakes(SHOP.format('keyring = "shop-eu"'))

    assert line.endswith("secret: keyring: it needs the extra: pip install 'balancekit[keyring]'")
