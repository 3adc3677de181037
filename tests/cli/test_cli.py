"""The command as a whole: its help, its exit codes, and its streams."""

import os
import signal
import sys

import pytest

from balancekit import ConfigError, __version__
from balancekit.sandbox import Fault
from tests.support.terminal import read_all


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_commands(run, option):
    """The help names every command and recommends the demo."""
    result = run(option)

    assert result.exit_code == 0
    assert "balancekit demo" in result.stdout
    assert all(
        f"\n  {name}  " in result.stdout
        for name in ("balances", "check", "demo", "init", "sandbox", "watch", "webhook-test")
    )


def test_version_is_printed(run):
    """--version prints the package's version."""
    assert run("--version").stdout == f"balancekit, version {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "stderr"),
    [
        (
            ConfigError("accounts.toml: one\naccounts.toml: two"),
            2,
            "Error: accounts.toml: one\nError: accounts.toml: two\n",
        ),
        (ConfigError("[red]\x1b[31m"), 2, "Error: [red]?[31m\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (BrokenPipeError(), 141, ""),
    ],
    ids=["configuration", "hostile text", "Ctrl-C", "closed pipe"],
)
def test_an_error_ends_a_command_with_its_code(run, monkeypatch, error, code, stderr):
    """Each class of error has its exit code and its message, and no traceback."""

    def fail(path):
        raise error

    monkeypatch.setattr("balancekit.config.load_config", fail)

    result = run("balances")

    assert (result.exit_code, result.stderr, result.stdout) == (code, stderr, "")


def test_an_unexpected_error_is_raised(run, monkeypatch):
    """An error of any other class is raised, with its traceback."""

    def fail(path):
        raise ZeroDivisionError

    monkeypatch.setattr("balancekit.config.load_config", fail)

    with pytest.raises(ZeroDivisionError):
        run("balances")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 2), (("blances",), 2), (("balances", "--format", "xml"), 2), (("sandbox", "--port", "x"), 2)],
    ids=["no command", "no such command", "no such format", "no port"],
)
def test_wrong_usage_ends_with_2(run, arguments, code):
    """A wrong option has the same exit code as a wrong configuration."""
    result = run(*arguments)

    assert result.exit_code == code
    assert result.stdout == ""


def test_the_module_runs_as_a_command(start, accounts_toml):
    """`python -m balancekit` reads balances, and stdout has nothing but the data."""
    process = start("balances", "--config", accounts_toml, "--format", "csv")

    stdout, stderr = process.communicate()

    assert (process.returncode, stderr) == (0, "")
    assert [line.split(",")[:3] for line in stdout.splitlines()[:2]] == [
        ["currency", "asset_type", "amount"],
        ["BTC", "crypto", "1.54000001"],
    ]


def test_a_missing_configuration_ends_a_process_with_2(start, tmp_path):
    """The error names the file and the reason, and what to do next."""
    process = start("balances", cwd=tmp_path)

    stdout, stderr = process.communicate()

    assert (process.returncode, stdout) == (2, "")
    assert stderr == (
        "Error: accounts.toml: the file cannot be read: No such file or directory; "
        "`balancekit init` writes one, and `balancekit demo` needs none\n"
    )


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_closed_pipe_ends_a_command_with_141(start, accounts_toml, form):
    """`balancekit balances | head -0` exits with the code that a shell reports for SIGPIPE, without a traceback."""
    read, write = os.pipe()
    os.close(read)

    process = start("balances", "--config", accounts_toml, "--format", form, stdout=write)
    os.close(write)

    assert process.communicate()[1] == ""
    assert process.returncode == 141


def test_ctrl_c_ends_a_command_without_a_traceback(start, accounts_toml, stand_in):
    """Ctrl-C during a request exits with 130."""
    stand_in.fail("treasury", Fault(hang=True))
    process = start("balances", "-v", "--config", accounts_toml)
    while "shop-us (cryptoprocessing) is read" not in process.stderr.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGINT)

    stderr = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "Interrupted."


@pytest.mark.parametrize("command", ["balances", "demo"])
def test_there_are_no_escape_codes_in_a_pipe(start, accounts_toml, command):
    """A file or another program gets plain text."""
    process = start(command, *(["--config", accounts_toml] if command == "balances" else []))

    assert "\x1b" not in "".join(process.communicate())


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(("colours", "styled"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["usual", "NO_COLOR"])
def test_no_color_is_respected_on_a_terminal(start, accounts_toml, colours, styled):
    """A terminal gets bold text and colours unless NO_COLOR is set."""
    terminal, inside = os.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", **colours}

    process = start("balances", "--config", accounts_toml, stdout=inside, stderr=inside, env=environ)
    process.wait()
    os.close(inside)

    assert ("\x1b[" in read_all(terminal)) is styled


def test_a_terminal_without_unicode_shows_escapes(start, accounts_toml, stand_in):
    """A character that the encoding lacks does not end the command."""
    stand_in.accounts[0].set("₿", "1")

    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start("balances", "--config", accounts_toml, env=environ)

    assert "\\u20bf" in process.communicate()[0]
    assert process.returncode == 0
