"""`balancekit balances --value-in`: the value of what is held, by the reference rates of the European Central Bank."""

import asyncio
import inspect

import pytest

from balancekit.rates import EcbRates
from balancekit.sandbox.event_loop import loop_in_thread
from tests.support.loopback_origin import LoopbackOrigin, raw_response
from tests.support.pages import ROOT

TABLE = (ROOT / "tests" / "samples" / "ecb" / "eurofxref-daily.xml").read_bytes()


@pytest.fixture
def bank(monkeypatch):
    """Serve the table of one day, or whatever the origin is made to respond with, as the bank does."""
    origin = LoopbackOrigin()
    origin.response = raw_response(200, TABLE, "Connection: close")
    with loop_in_thread() as loop:
        asyncio.run_coroutine_threadsafe(origin.start(), loop).result()
        monkeypatch.setitem(inspect.unwrap(EcbRates.__init__).__kwdefaults__, "url", origin.url)
        yield origin
        asyncio.run_coroutine_threadsafe(origin.stop(), loop).result()


def test_the_value_is_shown_below_the_totals(run, accounts_toml, bank):
    """In cents, with the rates and their day; what has no rate is listed, and the exit code says so."""
    result = run("balances", "--config", accounts_toml, "--value-in", "eur", "--currency", "USD", "--currency", "EUR")

    lines = [line.split() for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr) == (0, "")
    assert ["USD", "980.15", "1", "/", "1.0944", "895.60"] in lines
    assert ["Value", "1511146.00"] in lines
    assert "Rates: ECB, " in result.stdout


def test_what_has_no_rate_is_listed(run, accounts_toml, bank):
    """The bank has no rates of crypto-currencies, and they are in no sum."""
    result = run("balances", "--config", accounts_toml, "--value-in", "EUR")

    assert result.exit_code == 3
    assert "NOT VALUED, without a rate: BTC 1.54000001, ETH 12.123456789012345679, USDC 2180.200000" in result.stdout


def test_the_totals_are_shown_though_the_rates_cannot_be_loaded(run, accounts_toml, bank):
    """Stderr says so, and so does the exit code."""
    bank.response = raw_response(503, b"", "Connection: close")

    result = run("balances", "--config", accounts_toml, "--value-in", "EUR")

    assert result.exit_code == 3
    assert result.stderr.startswith("No value in EUR: reference rates (ECB): 503")
    assert "980.15" in result.stdout


def test_the_last_line_is_the_notice_though_the_rates_cannot_be_loaded(run, accounts_toml, wrong_secret, bank):
    """What the totals lack is not lost behind what the value lacks."""
    bank.response = raw_response(503, b"", "Connection: close")

    result = run("balances", "--config", accounts_toml, "--value-in", "EUR")

    assert "No value in EUR: " in result.stderr
    assert result.stderr.splitlines()[-1] == "INCOMPLETE: 1 of 3 accounts could not be read: shop-eu"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["XYZ"], "the rates of ECB have none for XYZ"), (["EUR", "--format", "json"], "--value-in shows a table")],
    ids=["no currency", "no table"],
)
def test_a_value_that_cannot_be_shown_is_a_usage_error(run, accounts_toml, bank, arguments, message):
    """The message says what is wrong."""
    result = run("balances", "--config", accounts_toml, "--value-in", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
