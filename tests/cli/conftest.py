"""Fixtures of the command line: accounts of a sandbox, their accounts.toml, results, and ways to run a command."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from balancekit import AccountFailure, TransportError, merge
from balancekit.cli import cli, example_accounts
from balancekit.cli.example_accounts import add_example_accounts
from balancekit.cli.sandbox_settings import write_settings
from balancekit.sandbox import Fault

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("BALANCEKIT_", "COLUMNS"))}

MAIN = "from balancekit.__main__ import main; main()"


class Watched:
    """A watch of some states, after which there is an interrupt."""

    def __init__(self, states):
        self.states = iter(states)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def __anext__(self):
        for state in self.states:
            return state
        raise asyncio.CancelledError


@pytest.fixture
def stand_in(sandbox):
    """Start a sandbox with the accounts of the demo, in a loop of its own thread."""
    add_example_accounts(sandbox)
    return sandbox


@pytest.fixture
def accounts_toml(stand_in, tmp_path):
    """Write the settings for the accounts of the demo, and return the path of the file."""
    return write_settings(tmp_path / "settings", stand_in.accounts)


@pytest.fixture
def wrong_secret(accounts_toml):
    """Give one of the three accounts the secret of another key."""
    (accounts_toml.parent / "shop-eu.secret").write_text("of-another-key")


@pytest.fixture
def failing_demo(monkeypatch):
    """Let each of the accounts that the demo adds answer with an error."""

    def add_failing_accounts(sandbox):
        accounts = add_example_accounts(sandbox)
        for account in accounts:
            sandbox.fail(account.label, Fault(status=400))
        return accounts

    monkeypatch.setattr(example_accounts, "add_example_accounts", add_failing_accounts)


@pytest.fixture
def run():
    """Run a command in this process, with stdout and stderr apart; an unexpected exception is raised here."""

    def run(*arguments, **options):
        return CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False, **options)

    return run


@pytest.fixture
def start():
    """Start a command in a process of its own, as a shell does; it is killed after the test.

    The process may run a program `first`, which changes what the command meets.
    """
    started = []

    def start(*arguments, first=None, **options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRON, "encoding": "utf-8"}
        program = ["-m", "balancekit"] if first is None else ["-c", f"{first}\n{MAIN}"]
        command = [sys.executable, *program, *map(str, arguments)]
        # A job in the background ignores Ctrl-C, and so would what it starts; the command is to be as at a prompt.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = subprocess.Popen(command, **(pipes | options))
        finally:
            signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()


@pytest.fixture
def failure():
    """Make the failure of one account."""
    return AccountFailure("late", "fake", TransportError("reset", account="late", provider="fake"))


@pytest.fixture
def partly_stale(make_snapshot, failure):
    """Merge a fresh account with two stale ones, of two and of three hours ago; the last has a failure, too."""
    return merge(
        [
            make_snapshot("a", ("BTC", "1"), ("EUR", "5", "fiat"), fetched_at=NOW),
            make_snapshot("b", ("BTC", "1.5"), ("ETH", "2"), fetched_at=NOW - timedelta(hours=2), stale=True),
            make_snapshot("late", ("BTC", "0"), fetched_at=NOW - timedelta(hours=3), stale=True),
        ],
        [failure],
    )
