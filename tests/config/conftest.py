"""What the tests of configurations share: a text that is loaded, and the mistakes that are found in it."""

import pytest

from balancekit import ConfigError, load_config

ENVIRON = {"SHOP_SECRET": "s3cret", "REDIS_URL": "redis://:canary3f9a@127.0.0.1:6379/0"}


@pytest.fixture
def load(tmp_path):
    """Write a text as accounts.toml and load it."""

    def load(text, environ=ENVIRON):
        path = tmp_path / "accounts.toml"
        path.write_text(text)
        return load_config(path, environ=environ)

    return load


@pytest.fixture
def mistakes(load, tmp_path):
    """Load a text that is wrong and return the lines of the message, each without the folder of the file."""

    def mistakes(text):
        with pytest.raises(ConfigError) as caught:
            load(text)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return mistakes
