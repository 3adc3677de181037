"""`balancekit sandbox`: it serves in one terminal what a command in another one reads."""

import errno
import os
import re
import signal
import socket

import pytest

from balancekit.cli import output

CSV = ["currency,asset_type,amount,", "BTC,crypto,1.54000001,", "ETH,crypto,12.123456789012345679,"]


def _starts(text):
    """Return the starts of the lines that `CSV` has."""
    return [line[: len(start)] for start, line in zip(CSV, text.splitlines(), strict=False)]


def _read_until(stream, line):
    lines = list(iter(lambda: stream.readline().rstrip("\n"), line))
    return "\n".join(lines)


@pytest.fixture
def stop_when_ready(monkeypatch):
    """Press Ctrl-C as soon as the last line is printed."""
    echo = output.echo

    def echo_and_stop(text, style=""):
        echo(text, style)
        if text.startswith("# Ctrl-C"):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(output, "echo", echo_and_stop)


def test_it_prints_settings_and_the_totals_that_they_give(run, stop_when_ready):
    """Stdout has a file, an environment, a command, and the totals that it is going to show."""
    result = run("sandbox")

    assert result.exit_code == 0
    assert '[accounts.shop-eu]\nprovider = "cryptoprocessing"\n' in result.stdout
    assert 'secret = { env = "SHOP_EU_SECRET" }' in result.stdout
    assert re.search("^export TREASURY_SIGNING_KEY='[A-Za-z0-9+/=]+'$", result.stdout, re.MULTILINE)
    assert "12.123456789012345679" in result.stdout
    assert result.stderr == "Stopped.\n"


def test_its_comments_fit_a_narrow_terminal(run, stop_when_ready):
    """They are not wrapped, since what is copied to a shell has to stay a comment."""
    comments = [line for line in run("sandbox").stdout.splitlines() if line.startswith("#")]

    assert len(comments) > 3
    assert max(map(len, comments)) <= 50


def test_it_writes_settings_to_a_folder(run, stop_when_ready, tmp_path):
    """With --write no secret is printed."""
    result = run("sandbox", "--write", tmp_path / "here")

    assert result.exit_code == 0
    assert f"balancekit balances --config {tmp_path / 'here' / 'accounts.toml'}" in result.stdout
    assert "export" not in result.stdout


def test_a_port_in_use_is_an_error(run):
    """A port that is in use ends the command with 2 and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        result = run("sandbox", "--port", port)

    assert result.exit_code == 2
    reason = f"{os.strerror(errno.EADDRINUSE)}; without --port, it takes one that is free"
    assert result.stderr == f"Error: --port: cannot listen on port {port} of 127.0.0.1: {reason}\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", ""])
def test_it_listens_on_loopback_only(run, host):
    """A host that is not a loopback address is a usage error."""
    result = run("sandbox", "--host", host)

    assert result.exit_code == 2
    assert "expected a loopback address" in result.stderr


def test_localhost_is_loopback(run, stop_when_ready):
    """The name localhost is accepted as an address."""
    assert "http://localhost:" in run("sandbox", "--host", "localhost").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_it_cleanly(start, number):
    """SIGINT and SIGTERM exit with 0."""
    process = start("sandbox")
    _read_until(process.stdout, "# Ctrl-C stops it.")

    process.send_signal(number)

    assert process.communicate() == ("", "Stopped.\n")
    assert process.returncode == 0


def test_what_it_prints_is_all_that_the_other_terminal_needs(start, tmp_path):
    """The printed file and environment give the totals that were announced."""
    stand_in = start("sandbox")
    printed = _read_until(stand_in.stdout, "# Ctrl-C stops it.")
    (tmp_path / "accounts.toml").write_text(printed.partition("[")[1] + printed.partition("[")[2].partition("#")[0])
    environ = {**os.environ, **dict(re.findall("^export (.*)='(.*)'$", printed, re.MULTILINE))}

    table = start("balances", cwd=tmp_path, env=environ).communicate()[0]
    data = start("balances", "--format", "csv", cwd=tmp_path, env=environ).communicate()[0]

    announced = [line for line in printed.splitlines() if re.match(" [A-Z]+ ", line)]
    assert announced == [line for line in table.splitlines() if re.match(" [A-Z]+ ", line)]
    assert len(announced) == 5
    assert _starts(data) == CSV


def test_what_it_writes_is_all_that_the_other_terminal_needs(start, tmp_path):
    """The written files give the totals; with one wrong secret, the totals without its account."""
    stand_in = start("sandbox", "--write", tmp_path)
    _read_until(stand_in.stdout, "# Ctrl-C stops it.")
    command = ("balances", "--config", tmp_path / "accounts.toml", "--format", "csv")

    whole = start(*command).communicate()[0]
    (tmp_path / "shop-us.secret").write_text("of-another-key")
    process = start(*command)
    part, stderr = process.communicate()

    assert _starts(whole) == CSV
    assert part.splitlines()[1].startswith("BTC,crypto,0.04,")
    assert process.returncode == 3
    assert stderr.splitlines()[-1].endswith("could not be read: shop-us")
