"""An accounts.toml for the accounts of a sandbox."""

import errno
import os
import re
import shlex
import stat

import pytest

from balancekit import ConfigError
from balancekit.cli.sandbox_settings import export_commands, toml_with_env_references, write_settings
from balancekit.config import load_config


@pytest.fixture
def accounts(sandbox):
    """Add two accounts with known credentials; the first has a label that is no name of a variable."""
    sandbox.add_cryptoprocessing("shop-eu", key="pk_1", secret="it's")
    sandbox.add_getmany("treasury", signed=False)
    return sandbox.accounts


def test_printed_settings_can_be_loaded(accounts, tmp_path):
    """With the exported variables, the printed text is a valid accounts.toml."""
    path = tmp_path / "accounts.toml"
    path.write_text(toml_with_env_references(accounts))
    environ = dict(one.removeprefix("export ").split("=") for one in export_commands(accounts).splitlines())

    providers = load_config(path, environ={name: shlex.split(value)[0] for name, value in environ.items()}).providers

    assert [provider.account for provider in providers] == ["shop-eu", "treasury"]
    assert list(environ) == ["SHOP_EU_SECRET"]
    assert "it's" not in path.read_text()


def test_the_public_key_of_webhooks_is_printed_as_it_is(accounts):
    """The public key of a provider's webhooks stands in the file itself."""
    text = toml_with_env_references(accounts)

    assert f'webhook_key = "{accounts[1].settings["webhook_key"]}"\n' in text


def test_a_secret_is_quoted_for_the_shell(accounts):
    """The shell reads the secret unchanged."""
    assert shlex.split(export_commands(accounts)) == ["export", "SHOP_EU_SECRET=it's"]


def test_written_settings_can_be_loaded_and_are_private(accounts, tmp_path):
    """Each secret has a file of its own, and only the owner can read the files."""
    path = write_settings(tmp_path / "new" / "folder", accounts)

    assert len(load_config(path).providers) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert sorted(file.name for file in path.parent.iterdir()) == ["accounts.toml", "shop-eu.secret"]
    assert "it's" not in path.read_text()


def test_settings_that_were_written_before_are_replaced(accounts, tmp_path):
    """Files that an earlier run has written are replaced."""
    write_settings(tmp_path, accounts)
    (tmp_path / "shop-eu.secret").write_text("old")

    write_settings(tmp_path, accounts)

    assert (tmp_path / "shop-eu.secret").read_text() == "it's\n"


@pytest.mark.parametrize("name", ["accounts.toml", "shop-eu.secret"])
def test_files_of_the_user_are_not_replaced(accounts, tmp_path, name):
    """A file of the user's own is an error, and nothing is written."""
    (tmp_path / name).write_text("mine")

    with pytest.raises(ConfigError, match=re.escape(f"--write: {tmp_path / name} exists and is not of this command's")):
        write_settings(tmp_path, accounts)

    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_that_cannot_be_created_is_an_error(accounts, tmp_path):
    """A folder that cannot be created is an error with the reason of the operating system."""
    (tmp_path / "file").write_text("")

    folder = tmp_path / "file" / "folder"
    with pytest.raises(ConfigError, match=f"^{re.escape(f'--write: {folder}: {os.strerror(errno.ENOTDIR)}')}$"):
        write_settings(folder, accounts)
