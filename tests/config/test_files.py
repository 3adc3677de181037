"""Hostile and careless input of accounts.toml: odd files, secrets in the wrong place, adapters that raise anything."""

import os
import re
import socket

import pytest

from balancekit import ConfigError, HttpProvider, Secret
from balancekit.config import load_config
from tests.support.plugins import install_plugin

CANARY = "canary3f9a"
BASE32 = "JBSWY3DPEHPK3PXP"
SHOP = '[accounts.shop]\nprovider = "cryptoprocessing"\nkey = "pk_1"\n'
GOOD = f'{SHOP}secret = {{ env = "SHOP_SECRET" }}\n'
FROM_FILE = f'{SHOP}secret = {{ file = "secret" }}\n'


@pytest.fixture
def problem(tmp_path):
    """Load a configuration with a problem and return the message without the path of the folder."""

    def problem(text, environ=None):
        path = tmp_path / "accounts.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as caught:
            load_config(path, environ={"SHOP_SECRET": "s3cret"} if environ is None else environ)
        return re.sub(rf"{path}:(?:\d+:)? ", "", str(caught.value)).replace(str(tmp_path), "")

    return problem


class PlugIn(HttpProvider):
    """An adapter of another distribution, with one secret."""

    provider = "plugin"
    secret_settings = frozenset({"token"})
    raised: "BaseException | type[BaseException] | None" = None

    def __init__(self, account, *, token) -> None:
        super().__init__(account, base_url="https://x.example")
        self.token = Secret.of(token)
        if self.raised is not None:
            raise self.raised

    def build_request(self, *, now, nonce):
        """Build no request."""
        raise NotImplementedError

    def read_response(self, response):
        """Read no response."""
        raise NotImplementedError


PLUGGED = '[accounts.a]\nprovider = "plugin"\ntoken = { env = "SHOP_SECRET" }\n'


@pytest.fixture
def install(monkeypatch, tmp_path_factory):
    """Install a distribution with an adapter named `plugin`."""
    return lambda adapter: install_plugin(monkeypatch, tmp_path_factory.mktemp("plugin"), plugin=adapter)


@pytest.mark.parametrize("place", ["secret", "accounts.toml"])
def test_a_fifo_is_a_problem_and_is_not_waited_for(problem, tmp_path, place):
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / place)

    if place == "secret":
        assert problem(FROM_FILE) == "account 'shop': secret: the file '/secret' is a FIFO, not a regular file"
    else:
        with pytest.raises(ConfigError, match="the file is a FIFO, not a regular file"):
            load_config(tmp_path / place)


def test_a_device_is_a_problem(problem):
    """`/dev/zero` has no end."""
    message = "account 'shop': secret: the file '/dev/zero' is a device, not a regular file"

    assert problem(f'{SHOP}secret = {{ file = "/dev/zero" }}') == message
    with pytest.raises(ConfigError, match="the file is a device, not a regular file"):
        load_config("/dev/zero")


def test_a_socket_and_a_folder_are_problems(problem, tmp_path, monkeypatch):
    """What cannot be read as a file is named with the reason of the operating system."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("secret")
        assert problem(FROM_FILE).startswith("account 'shop': secret: the file '/secret' cannot be read: ")
    with pytest.raises(ConfigError, match="the file cannot be read: Is a directory"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("s3cret".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        (b"\xfe\xff\0s", "is UTF-16 text; save it as UTF-8"),
        ("s3cret".encode("utf-16-le"), "contains null characters, as UTF-16 text does; save it as UTF-8"),
        (b"s3\0cret", "contains null characters, as UTF-16 text does; save it as UTF-8"),
        (b'"s3cret"\n', "has quotes around its text; remove them"),
        (b"'s3cret'", "has quotes around its text; remove them"),
    ],
    ids=["UTF-16", "UTF-16BE", "UTF-16LE without a mark", "null", "quotes", "single quotes"],
)
def test_a_secret_file_with_another_content_is_named(problem, tmp_path, content, message):
    """Each usual mistake has its message, before the provider rejects the secret."""
    (tmp_path / "secret").write_bytes(content)

    assert problem(FROM_FILE) == f"account 'shop': secret: the file '/secret' {message}"


def test_two_lines_in_a_secret_file_are_a_problem(problem, tmp_path):
    """A key and a comment, or two keys, are not one secret."""
    (tmp_path / "secret").write_text("s3cret\nnext\n")

    assert problem(FROM_FILE) == "account 'shop': secret: expected one line, got 2"


def test_a_configuration_in_utf_16_is_a_problem(problem):
    """The encoding is named, not the first character that does not fit."""
    assert problem(GOOD.encode("utf-16")) == "the file is UTF-16 text; save it as UTF-8"


def test_quotes_around_a_variable_are_a_problem_for_every_adapter(problem, install):
    """An env file for a shell has quotes that other readers of env files keep."""
    install(PlugIn)

    assert problem(PLUGGED, {"SHOP_SECRET": '"s3cret"'}) == (
        "account 'a': token: the environment variable SHOP_SECRET has quotes around its text; remove them"
    )


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    """In the path of the configuration and in those in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "shop").write_text("s3cret")
    (tmp_path / "accounts.toml").write_text(f'{SHOP}secret = {{ file = "~/keys/shop" }}')

    assert load_config("~/accounts.toml").providers[0].account == "shop"


def test_the_home_folder_of_nobody_is_a_problem(problem):
    """A user who does not exist has no home folder."""
    message = "account 'shop': secret: the home folder that ~ stands for is unknown"

    assert problem(f'{SHOP}secret = {{ file = "~nobody-here/x" }}') == message


def test_a_secret_file_that_everybody_can_read_is_logged_once(tmp_path, caplog):
    """The log names the file and what to do; it does so once in a process."""
    (tmp_path / "accounts.toml").write_text(FROM_FILE)
    (tmp_path / "secret").write_text(CANARY)
    (tmp_path / "secret").chmod(0o644)

    load_config(tmp_path / "accounts.toml")
    load_config(tmp_path / "accounts.toml")

    (line,) = caplog.messages
    assert f"chmod o= {tmp_path / 'secret'}" in line
    assert CANARY not in line


def test_a_secret_file_of_the_owner_and_the_group_is_not_logged(tmp_path, caplog):
    """Orchestrators give a service its secrets through its group."""
    (tmp_path / "accounts.toml").write_text(FROM_FILE)
    (tmp_path / "secret").write_text(CANARY)
    (tmp_path / "secret").chmod(0o640)

    load_config(tmp_path / "accounts.toml")

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'secret = {{ env = "{BASE32}" }}', "secret: the environment variable of that name is not set"),
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
    "raised",
    [SystemExit(0), GeneratorExit(), RuntimeError(CANARY), BaseException(CANARY)],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_constructor_raises_is_a_problem_of_its_account(problem, install, raised):
    """An adapter that exits with 0 does not end the program as if all had been read."""
    install(type("PlugIn", (PlugIn,), {"raised": raised}))

    assert problem(PLUGGED) == f"account 'a': PlugIn rejected the settings with {type(raised).__name__}"


class ExitsLater(PlugIn):
    """An adapter that ends the program when its first request is built."""

    def build_request(self, *, now, nonce):
        """End the program."""
        raise SystemExit(0)


def test_whatever_an_adapter_raises_after_its_construction_is_a_problem(problem, install):
    """The accounts are compared by the requests that they send, which the adapters build."""
    install(ExitsLater)

    assert problem(PLUGGED) == "SystemExit while the accounts were made"


class Annotated(PlugIn):
    """An adapter whose secret is known by its annotation alone."""

    secret_settings = frozenset()

    def __init__(self, account, *, token: "Secret | None") -> None:
        super().__init__(account, token=token)


def test_a_setting_annotated_with_secret_is_a_secret(problem, install, tmp_path):
    """It is named by reference, and reaches the constructor hidden."""
    install(Annotated)
    (tmp_path / "accounts.toml").write_text(PLUGGED)

    (provider,) = load_config(tmp_path / "accounts.toml", environ={"SHOP_SECRET": "s"}).providers

    assert provider.token.reveal() == "s"
    assert "token: a secret does not belong in this file" in problem(
        f'[accounts.a]\nprovider = "plugin"\ntoken = "{CANARY}"'
    )


class OddAnnotations(PlugIn):
    """An adapter whose annotations cannot be evaluated."""

    def __init__(self, account, *, token: "str | Secret", pages: "os.missing" = 1, more: "1 +" = 2) -> None:  # noqa: F722 - not an expression
        super().__init__(account, token=token)
        self.pages = pages


def test_annotations_that_cannot_be_evaluated_do_no_harm(tmp_path, install):
    """The value goes to the constructor as it is."""
    install(OddAnnotations)
    (tmp_path / "accounts.toml").write_text(f"{PLUGGED}pages = [1]\n")

    (provider,) = load_config(tmp_path / "accounts.toml", environ={"SHOP_SECRET": "s"}).providers

    assert provider.pages == [1]


def test_a_number_that_is_no_float_is_a_problem(problem):
    """A whole number in TOML may be larger than any float."""
    for key in ("timeout", "deadline"):
        assert problem(f"{GOOD}[client]\n{key} = 1{'0' * 400}\n").startswith(f"client: {key}: expected seconds above")


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit], ids=lambda error: error.__name__)
def test_no_environment_is_in_a_frame_whatever_is_raised(tmp_path, install, everything_shown_by, raised):
    """Error trackers collect the local variables of every frame, of an interrupt too."""
    install(type("PlugIn", (PlugIn,), {"raised": raised}))
    (tmp_path / "accounts.toml").write_text(PLUGGED)
    expected = KeyboardInterrupt if raised is KeyboardInterrupt else ConfigError

    with pytest.raises(expected) as caught:
        load_config(tmp_path / "accounts.toml", environ={"SHOP_SECRET": CANARY})

    assert CANARY not in everything_shown_by(caught.value)


def test_hosts_for_unsigned_requests_may_be_listed(tmp_path, problem):
    """A gateway in a private network is named in the file; one host is a list of one."""
    account = '[accounts.till]\nprovider = "getmany"\nbase_url = "http://signer:8080"\n'
    (tmp_path / "accounts.toml").write_text(f'{account}allow_http_to = ["signer"]\n')

    assert load_config(tmp_path / "accounts.toml").providers[0].base_url == "http://signer:8080"
    assert problem(f'{account}allow_http_to = "signer"\n') == (
        "account 'till': allow_http_to: expected a list of hosts"
    )
