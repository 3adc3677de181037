"""What the tests of configurations share: a text that is loaded, and the mistakes that are found in it."""

import re

import pytest

from balancekit import ConfigError, load_config
from tests.support.plugins import install_plugin

CANARY = "canary3f9a"
SHOP = '[accounts.shop]\nprovider = "cryptoprocessing"\nkey = "pk_1"\n'
GOOD = f'{SHOP}secret = {{ env = "SHOP_SECRET" }}\n'
PLUGGED = '[accounts.a]\nprovider = "plugin"\ntoken = { env = "SHOP_SECRET" }\n'
REFERENCES = '{ env = "NAME" }, { file = "path" } or { keyring = "name" }'
ENVIRON = {
    "SHOP_SECRET": "s3cret",
    "REDIS_URL": f"redis://:{CANARY}@127.0.0.1:6379/0",
    "EMPTY": "",
    "BROKEN": "\udcff",
    "lower": "",
}


@pytest.fixture
def load(tmp_path):
    """Write a text, or bytes, as accounts.toml and load it."""

    def load(text, environ=ENVIRON):
        path = tmp_path / "accounts.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path, environ=environ)

    return load


@pytest.fixture
def mistakes(load, tmp_path):
    """Load a text that is wrong and return the lines of the message, each without the folder of the file."""

    def mistakes(text, environ=ENVIRON):
        with pytest.raises(ConfigError) as caught:
            load(text, environ)
        return str(caught.value).replace(f"{tmp_path}/", "").replace(str(tmp_path), ".").splitlines()

    return mistakes


@pytest.fixture
def problem(mistakes):
    """Load a text that is wrong and return the message without the name of the file and the numbers of its lines."""

    def problem(text, environ=ENVIRON):
        lines = [re.fullmatch(r"accounts\.toml:(?:\d+:)? (.*)", line) for line in mistakes(text, environ)]
        return "\n".join(line[1] for line in lines)

    return problem


@pytest.fixture
def install(monkeypatch, tmp_path_factory):
    """Install a distribution with an adapter named `plugin`."""
    return lambda adapter: install_plugin(monkeypatch, tmp_path_factory.mktemp("plugin"), plugin=adapter)
