"""`balancekit init`: a configuration without a secret, and what to do next."""

import contextlib
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib

import pytest

from balancekit import Secret, load_config
from balancekit.config.schema import schema_uri
from tests.support.plugins import TokenProvider, install_plugin

SIGNING_KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
BOTH = ["--account", "shop-eu=cryptoprocessing", "--account", "treasury=getmany"]
ENVIRON = {
    "SHOP_EU_KEY": "pk_1",
    "SHOP_EU_SECRET": "s3cret",
    "TREASURY_KEY_ID": "key_1",
    "TREASURY_SIGNING_KEY": SIGNING_KEY,
}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Run each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_it_writes_is_read_once_the_keys_are_there(run, folder):
    """The commands that put them there are printed, without a value."""
    result = run("init", *BOTH)

    assert (result.exit_code, result.stderr) == (0, "")
    for name in ENVIRON:
        assert f"export {name}=…" in result.stdout
    assert "balancekit check --config accounts.toml" in result.stdout
    config = load_config(folder / "accounts.toml", environ=ENVIRON)
    assert [provider.account for provider in config.providers] == ["shop-eu", "treasury"]


def test_the_first_line_names_the_schema(run, folder):
    """Language servers of TOML look for it there."""
    run("init", *BOTH)

    assert (folder / "accounts.toml").read_text().splitlines()[0] == f"#:schema {schema_uri()}"


def test_a_home_folder_that_is_unknown_is_an_error(run):
    """It is said in one line, not by a traceback."""
    result = run("init", "--config", "~nobody-has-this-name/accounts.toml", *BOTH)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "the home folder that ~ stands for is unknown" in result.stderr


def test_a_setting_with_few_values_is_written_with_them(run):
    """As a comment, like all that is optional."""
    result = run("init", "--config", "-", "--account", "shop=cryptoprocessing")

    assert "# brand = …  # one of alphapo, coinspaid, cryptoprocessing\n" in result.stdout


@pytest.mark.parametrize(
    ("place", "reference", "command"),
    [
        ("file", {"file": "shop-eu.secret"}, "(umask 077 && cat > shop-eu.secret)"),
        ("keyring", {"keyring": "shop-eu.secret"}, "keyring set balancekit shop-eu.secret"),
    ],
)
def test_secrets_may_be_elsewhere(run, folder, place, reference, command):
    """In files, or in the keyring; what is no secret stays in the environment."""
    result = run("init", "--secrets", place, "--account", "shop-eu=cryptoprocessing")

    shop = tomllib.loads((folder / "accounts.toml").read_text())["accounts"]["shop-eu"]
    assert (shop["key"], shop["secret"]) == ({"env": "SHOP_EU_KEY"}, reference)
    assert command in result.stdout


@pytest.mark.parametrize(
    ("labels", "secrets"),
    [(["shop-eu", "shop_eu"], "env"), (["a/b", "a_b"], "file"), (["日本", "中国"], "env")],
    ids=["marks", "slash", "scripts"],
)
def test_two_labels_of_one_place_are_refused(run, folder, labels, secrets):
    """The key of one account would be taken for that of the other."""
    accounts = [f"--account={label}=cryptoprocessing" for label in labels]

    result = run("init", "--secrets", secrets, *accounts)

    assert result.exit_code == 2
    assert re.search(f"account {labels[1]!r}: its (env|file) .* would be that of {labels[0]!r}, too", result.stderr)
    assert not (folder / "accounts.toml").exists()


def test_a_label_that_begins_with_a_digit_has_a_variable_that_a_shell_exports(run, folder):
    """And that the file may name."""
    result = run("init", "--account", "1shop=cryptoprocessing")

    assert "export _1SHOP_KEY=…" in result.stdout
    assert load_config(folder / "accounts.toml", environ={"_1SHOP_KEY": "k", "_1SHOP_SECRET": "s"}).providers


@pytest.mark.parametrize("label", ["shop eu", "$(touch x)", "a;b", "~", "-rf", "it's"])
def test_the_commands_are_one_word_for_each_label(run, folder, label):
    """They are to be copied, and do what they say: the file has the names that they make."""
    result = run("init", "--config", "my accounts.toml", "--secrets", "file", "--account", f"{label}=cryptoprocessing")

    (command,) = re.findall(r"\(umask 077 && cat > (.*)\)", result.stdout)
    (name,) = shlex.split(command)
    assert not name.startswith(("-", "~"))
    assert "balancekit check --config 'my accounts.toml'" in result.stdout
    (folder / name).write_text("s3cret")
    (variable,) = re.findall(r"export (\w+)=", result.stdout)
    assert load_config(folder / "my accounts.toml", environ={variable: "k"}).providers


@pytest.mark.parametrize("path", ["a" * 300, "none/accounts.toml", "plain/accounts.toml"])
def test_a_file_that_cannot_be_written_is_a_usage_error(run, folder, path):
    """Its name is too long, or the folder is none."""
    (folder / "plain").touch()

    result = run("init", *BOTH, "--config", path)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {path}: the file cannot be written: ")


def test_a_file_that_exists_is_not_changed(run, folder):
    """It may be somebody's."""
    (folder / "accounts.toml").write_text("mine")

    result = run("init", *BOTH)

    assert result.exit_code == 2
    assert result.stderr == "Error: accounts.toml: the file exists, and is not changed; --config names another one\n"
    assert (folder / "accounts.toml").read_text() == "mine"


def test_it_asks_for_accounts(run, folder):
    """Labels have a default, and the questions are on stderr."""
    result = run("init", input="cryptoprocessing\n\ny\ncryptoprocessing\ntill\nn\n")

    assert result.exit_code == 0
    assert [*tomllib.loads((folder / "accounts.toml").read_text())["accounts"]] == ["cryptoprocessing", "till"]
    assert "Provider (cryptoprocessing, getmany, or that of a plug-in)" in result.stderr
    assert "Provider (" not in result.stdout


def test_without_answers_it_says_which_option_to_give(start, folder):
    """A script has nobody to ask."""
    process = start("init", stdin=subprocess.DEVNULL, cwd=folder)
    _, said = process.communicate()

    assert process.returncode == 2
    assert "give --account LABEL=PROVIDER" in said


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C")
def test_ctrl_c_at_a_question_is_an_interrupt(start, folder):
    """And no mistake in the options; nothing is written."""
    process = start("init", stdin=subprocess.PIPE, cwd=folder)
    while process.stderr.read(1) != ":":
        assert process.poll() is None

    # Python's `input` loses a signal that comes while it flushes its streams, before it waits; one that comes while the
    # process ends kills it.
    while process.poll() is None:
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)

    assert process.communicate()[1].endswith("Interrupted.\n")
    assert process.returncode == 130
    assert not list(folder.iterdir())


def test_it_writes_to_stdout(run, folder):
    """With --config -, for another program."""
    result = run("init", "--config", "-", *BOTH)

    assert [*tomllib.loads(result.stdout)["accounts"]] == ["shop-eu", "treasury"]
    assert [*folder.iterdir()] == []


def test_an_account_of_a_plug_in_has_the_settings_of_its_class(run, folder, monkeypatch, tmp_path_factory):
    """Those that are required or secret are references, and the others are comments."""
    install_plugin(monkeypatch, tmp_path_factory.mktemp("plugin"), token=TokenProvider)

    run("init", "--account", "my bank=token")

    text = (folder / "accounts.toml").read_text()
    assert tomllib.loads(text)["accounts"] == {"my bank": {"provider": "token", "token": {"env": "MY_BANK_TOKEN"}}}
    assert "# timeout = …" in text


def test_the_url_of_an_account_is_a_comment_where_it_has_a_default(run, folder, monkeypatch, tmp_path_factory):
    """It may be a reference, since a gateway may have a token in it, but nobody has to give one."""

    class Bank(TokenProvider):
        PRODUCTION = "https://bank.example"
        secret_settings = frozenset({"token"})

        def __init__(self, account, *, token: str | Secret, base_url: str | Secret = PRODUCTION) -> None:
            super().__init__(account, token=token, base_url=base_url)

    install_plugin(monkeypatch, tmp_path_factory.mktemp("plugin"), bank=Bank)

    run("init", "--account", "shop=bank")

    text = (folder / "accounts.toml").read_text()
    assert tomllib.loads(text)["accounts"]["shop"] == {"provider": "bank", "token": {"env": "SHOP_TOKEN"}}
    assert '# base_url = "https://bank.example"' in text


@pytest.mark.parametrize(
    ("accounts", "problem"),
    [
        (["shop"], "expected LABEL=PROVIDER"),
        (["shop=bank"], "no provider is named 'bank'"),
        (["=getmany"], "account '': "),
        (["a=getmany", "a=getmany"], "account 'a': there are two of that label"),
    ],
)
def test_an_account_that_cannot_be_is_a_usage_error(run, folder, accounts, problem):
    """Nothing is written then."""
    result = run("init", *(word for account in accounts for word in ("--account", account)))

    assert result.exit_code == 2
    assert problem in result.stderr
    assert [*folder.iterdir()] == []


def test_a_folder_that_is_not_there_is_named(run):
    """With the reason of the operating system."""
    result = run("init", "--config", "none/accounts.toml", *BOTH)

    assert result.exit_code == 2
    assert "none/accounts.toml: the file cannot be written: No such file or directory" in result.stderr
