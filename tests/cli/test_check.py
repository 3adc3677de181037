"""`balancekit check`: whether each account can be read, how fast, and what to do if not."""

import io
import re
import time

import pytest
from rich.console import Console

from balancekit import Config, CryptoprocessingProvider
from balancekit.cli.checking import check_accounts, render_checks
from balancekit.cli.sandbox_settings import write_settings
from balancekit.sandbox import Fault, Sandbox


def rows(result):
    """Return the cells of each line of the table."""
    return [re.split(r" {2,}", line.strip()) for line in result.stdout.splitlines()]


def test_every_account_has_a_row_without_its_amounts(run, accounts_toml, stand_in):
    """With its result, its latency and its clock; each is asked once."""
    result = run("check", "--config", accounts_toml)

    assert (result.exit_code, result.stderr) == (0, "")
    assert "3 of 3 accounts can be read" in result.stdout
    found = {row[0]: row[1:] for row in rows(result)}
    for label, provider in (("shop-eu", "cryptoprocessing"), ("treasury", "getmany")):
        assert found[label][:2] == [provider, "ok"]
        assert re.fullmatch(r"\d+ ms", found[label][2])
        assert found[label][3] == "ok"
    assert len(stand_in.requests) == 3
    assert "1.5" not in result.stdout


def test_what_went_wrong_is_in_the_table_and_what_to_do_on_stderr(run, accounts_toml, wrong_secret, stand_in):
    """Status and code, and the hint; the exit code is 3, and a failure is not tried again."""
    stand_in.fail("treasury", Fault(status=503))

    result = run("check", "--config", accounts_toml)

    found = {row[0]: row[1:] for row in rows(result)}
    assert result.exit_code == 3
    assert found["shop-eu"][1] == "403 bad_header_signature"
    assert found["treasury"][1].startswith("503")
    assert "Check that the secret belongs to the key" in result.stderr
    assert len(stand_in.requests) == 3


def test_a_failure_is_not_shown_by_the_status_of_a_success(run, accounts_toml, stand_in):
    """The reason is in the table instead, so that its row does not differ from others by colour alone."""
    stand_in.fail("treasury", Fault(body="[]"))

    result = run("check", "--config", accounts_toml)

    assert {row[0]: row[2] for row in rows(result) if len(row) == 5}["treasury"] == "malformed response"


def test_no_account_that_can_be_read_ends_with_1(run, accounts_toml, stand_in):
    """A provider that does not respond has no latency and no clock."""
    for account in stand_in.accounts:
        stand_in.fail(account.label, Fault(hang=True))

    result = run("check", "--config", accounts_toml, "--timeout", "0.3")

    assert result.exit_code == 1
    assert ["shop-us", "cryptoprocessing", "timed out", "-", "-"] in rows(result)


@pytest.mark.parametrize(("seconds", "shown"), [(400, "+400 s"), (-400, "-400 s"), (1, "ok")])
async def test_a_clock_that_differs_is_shown(seconds, shown):
    """By how many seconds the provider's is ahead, to the second."""
    async with Sandbox(clock=lambda: time.time() + seconds) as sandbox:
        shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
        config = Config((CryptoprocessingProvider("shop", **shop.settings),))
        checks = await check_accounts(config, [], None, lambda: None)

    console = Console(file=io.StringIO())
    console.print(render_checks(checks, everything=False))
    figure = r"[+-](39\d|40\d) s" if abs(seconds) > 5 else "ok"
    assert re.search(figure, console.file.getvalue())
    assert shown[0] in console.file.getvalue()


def test_many_accounts_are_counted(run, stand_in, tmp_path):
    """A row for each provider, and a line for each reason; --all shows every account."""
    for number in range(40):
        stand_in.add_cryptoprocessing(f"till-{number}")
    for number in range(10):
        stand_in.fail(f"till-{number}", Fault(status=400))
    path = write_settings(tmp_path, stand_in.accounts)

    result = run("check", "--config", path)
    everything = run("check", "--config", path, "--all")

    assert [row[:3] for row in rows(result) if row[0] in {"cryptoprocessing", "getmany"}] == [
        ["cryptoprocessing", "42", "32"],
        ["getmany", "1", "1"],
    ]
    assert result.stderr.startswith("10 accounts: request rejected. First till-0 (cryptoprocessing): ")
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stdout.splitlines()) < 10
    assert ["Provider", "Accounts", "Readable", "Median", "Slowest", "Clock"] in rows(result)
    assert sum(row[0].startswith("till-") for row in rows(everything)) == 40


def test_an_unknown_account_is_a_usage_error(run, accounts_toml):
    """As for balances."""
    result = run("check", "--config", accounts_toml, "--account", "shop-uk")

    assert (result.exit_code, result.stderr) == (
        2,
        "Error: --account: no account is labelled 'shop-uk'; did you mean 'shop-us'?\n",
    )
