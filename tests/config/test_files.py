"""Files: accounts.toml and those with secrets, of any kind and with any content."""

import os
import socket

import pytest

from balancekit import ConfigError
from balancekit.config import load_config
from tests.config.conftest import CANARY, GOOD, SHOP

FROM_FILE = f'{SHOP}secret = {{ file = "secret" }}\n'


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """The error has the path of the file and the reason of the operating system."""
    with pytest.raises(ConfigError, match=r"none\.toml: the file cannot be read: No such file or directory"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize("place", ["secret", "accounts.toml"])
def test_a_fifo_is_a_problem_and_is_not_waited_for(problem, tmp_path, place):
    """Nobody may ever write to it."""
    os.mkfifo(tmp_path / place)

    if place == "secret":
        assert problem(FROM_FILE) == "account 'shop': secret: the file 'secret' is a FIFO, not a regular file"
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
        assert problem(FROM_FILE).startswith("account 'shop': secret: the file 'secret' cannot be read: ")
    with pytest.raises(ConfigError, match="the file cannot be read: Is a directory"):
        load_config(tmp_path)


def test_a_byte_order_mark_is_ignored(load):
    """A file that a Windows editor has saved can be loaded."""
    assert load(b"\xef\xbb\xbf" + GOOD.encode()).providers[0].account == "shop"


def test_a_configuration_in_utf_16_is_a_problem(problem):
    """The encoding is named, not the first character that does not fit."""
    assert problem(GOOD.encode("utf-16")) == "the file is UTF-16 text; save it as UTF-8"


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n", "\ufeffs3cret\n"])
def test_a_secret_in_a_file_may_end_with_a_line_break(load, tmp_path, content):
    """One line break at the end, and a byte order mark, are not part of the secret."""
    (tmp_path / "secret").write_bytes(content.encode())

    from_file = load(SHOP + 'secret = { file = "secret" }').providers[0].build_request(now=0, nonce="")

    from_variable = load(GOOD).providers[0].build_request(now=0, nonce="")
    assert from_file.headers == from_variable.headers


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

    assert problem(FROM_FILE) == f"account 'shop': secret: the file 'secret' {message}"


def test_two_lines_in_a_secret_file_are_a_problem(problem, tmp_path):
    """A key and a comment, or two keys, are not one secret."""
    (tmp_path / "secret").write_text("s3cret\nnext\n")

    assert problem(FROM_FILE) == "account 'shop': secret: expected one line, got 2"


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
