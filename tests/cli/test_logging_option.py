"""`--verbose`: the log on stderr."""

import logging

import pytest


@pytest.mark.parametrize("places", ["before", "after", "both"])
def test_verbose_logs_each_outcome_once(run, accounts_toml, wrong_secret, places):
    """The option may stand before or after the command, or both; the handler is removed when the command ends."""
    before = ["-v"] if places != "after" else []
    after = ["-v"] if places != "before" else []

    result = run(*before, "balances", *after, "--config", accounts_toml)

    assert result.stderr.count("DEBUG balancekit.cli.reading: shop-us (cryptoprocessing) is read") == 1
    assert "shop-eu (cryptoprocessing) is not read: AuthenticationError" in result.stderr
    assert logging.getLogger("balancekit").handlers == []
