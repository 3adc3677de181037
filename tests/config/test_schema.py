"""The JSON Schema of accounts.toml: that of the code, installed, and right about what is accepted."""

import json
import tomllib
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jsonschema
import pytest

from balancekit import ConfigError, load_config
from balancekit.config.schema import make_schema, schema_uri
from tests.support.pages import blocks

INSTALLED = json.loads(Path(url2pathname(urlsplit(schema_uri()).path)).read_text())
SHOP = '[accounts.shop]\nprovider = "cryptoprocessing"\nkey = "pk_1"\nsecret = { env = "SHOP_SECRET" }\n'


def mistakes(text):
    """Return what is wrong with a text by the schema."""
    return [error.message for error in jsonschema.Draft7Validator(INSTALLED).iter_errors(tomllib.loads(text))]


def test_the_installed_schema_is_that_of_the_code():
    """After a change of the settings, write what `make_schema` returns to the file."""
    assert make_schema() == INSTALLED
    jsonschema.Draft7Validator.check_schema(INSTALLED)


@pytest.mark.parametrize(
    "text",
    [
        SHOP,
        SHOP.replace("env", "file"),
        SHOP.replace('env = "SHOP_SECRET"', 'keyring = "shop", service = "acme"'),
        '[accounts.till]\nprovider = "getmany"\nallow_http_to = ["signer"]\nwebhook_key = ["a", { env = "B" }]\n',
        '[accounts.bank]\nprovider = "mybank"\nanything = 1\n',
        f'{SHOP}brand = "coinspaid"\n',
        f'{SHOP}[providers.cryptoprocessing]\nbase_url = "https://pay.example"\n[aliases]\nA = "B"\n',
        f'{SHOP}[client]\ndeadline = 1.5\ntimeout = 1\ntrust_env = true\nstore = {{ env = "REDIS_URL" }}\n',
        f'{SHOP}[client]\nretry = {{ first = 1 }}\nrate_limits."https://x.example" = {{ requests = 1, per = 2.5 }}\n',
        f'{SHOP}[client]\nproxy = "http://proxy.example:3128"\n',
        f"{SHOP}[client]\nsettle_delay = 0\nretry = {{ attempts = 1, first = 0, cap = 0 }}\n",
        SHOP.replace("shop]", '"Магазин 1"]'),
        f'{SHOP}[client]\nproxy = {{ file = "proxy.url" }}\n',
        f'{SHOP}[client.store]\nurl = "redis://db"\nprefix = "p"\n',
        *(block.code for block in blocks("toml") if "[accounts." in block.code),
    ],
)
def test_what_is_accepted_is_valid(text):
    """Accounts of plug-ins may have any settings."""
    assert mistakes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[accounts]\n",
        SHOP.replace("provider =", "provder ="),
        SHOP.replace("key =", "kye ="),
        SHOP.replace('{ env = "SHOP_SECRET" }', '"s3cret"'),
        SHOP.replace("env", "evn"),
        f'{SHOP}brand = "coinpaid"\n',
        SHOP.replace('env = "SHOP_SECRET"', 'env = "A", file = "b"'),
        SHOP.replace('env = "SHOP_SECRET"', 'env = "A", service = "b"'),
        f"{SHOP}[clent]\n",
        f"{SHOP}[client]\ndeadlin = 1\n",
        f'{SHOP}[client]\ndeadline = "1"\n',
        f"{SHOP}[client]\nconcurrency = 1.5\n",
        f"{SHOP}[client]\nproxy = 1\n",
        f"{SHOP}[client.retry]\natempts = 1\n",
        f'{SHOP}[client.rate_limits]\n"https://x.example" = {{ requests = 1 }}\n',
        f"{SHOP}[providers.getmany]\nbase_ul = 1\n",
        f"{SHOP}[aliases]\nA = 1\n",
        *(f"{SHOP}[client]\n{name} = 0\n" for name in ("timeout", "deadline", "concurrency", "attempts")),
        f"{SHOP}[client]\nsettle_delay = -1\n",
        f"{SHOP}[client.retry]\nattempts = 0\n",
        f"{SHOP}[client.retry]\nfirst = -1\n",
        f'{SHOP}[client]\nrate_limits."https://x.example" = {{ requests = 0, per = 1 }}\n',
        f'{SHOP}[client]\nrate_limits."https://x.example" = {{ requests = 1, per = 0 }}\n',
        f'{SHOP}[client.store]\nurl = "redis://db"\nkeep = 0\n',
        f'{SHOP}[client]\nproxy = ""\n',
        f'{SHOP}[client]\nstore = ""\n',
        *(SHOP.replace("shop]", f"{label}]") for label in ('""', '" a"', '"a "', '"a\\tb"', f'"{"a" * 1000}"')),
        SHOP.replace("cryptoprocessing", ""),
        SHOP.replace("pk_1", ""),
        f'{SHOP}base_url = ""\n',
    ],
)
def test_what_is_a_mistake_is_not_valid(text, tmp_path, monkeypatch):
    """An editor shows it before the file is read, which is a mistake as well."""
    monkeypatch.setenv("SHOP_SECRET", "invented")
    (tmp_path / "accounts.toml").write_text(text)

    assert mistakes(text)
    with pytest.raises(ConfigError):
        load_config(tmp_path / "accounts.toml")
