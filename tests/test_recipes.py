"""The recipes of docs/accounting.md: by the grammar of the tools, and with the tools where they are installed."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from decimal import Decimal

import attrs
import pytest

from balancekit import AccountBalances, AccountFailure, AssetType, Balance, TransportError, merge
from tests.support.pages import blocks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
# As the manuals of Beancount ("Balance Assertions", "Precision & Tolerances") and of hledger ("Amounts", "Balance
# assertions") have it.
BEANCOUNT = re.compile(
    r"\d{4}-\d\d-\d\d balance Assets(?::[A-Z0-9][A-Za-z0-9-]*)+  -?\d+(?:\.\d+)? ~ 0 [A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]"
)
HLEDGER = re.compile(r'    [A-Z][A-Za-z0-9-]*(?::[A-Z0-9][A-Za-z0-9-]*)+  0 ("[^"\n]+") = -?\d+(?:\.\d+)? \1')
BEANCOUNT_BOOKS = """2025-12-31 open Assets:Shop-eu
2025-12-31 open Equity:Opening
2026-01-01 * "Opening"
  Assets:Shop-eu   {} USDC
  Assets:Shop-eu   0.00000001 BTC
  Equity:Opening
"""
HLEDGER_BOOKS = """
2026-01-01 Opening
    Assets:Shop-eu  {} "USDC"
    Assets:Shop-eu  0.00000001 "BTC"
    Equity:Opening
"""


@pytest.fixture(scope="module")
def recipes():
    """Run the page's last program, and return what it defines."""
    code = next(block.code for block in blocks("python") if "def to_beancount" in block.code)
    namespace = {"__name__": "recipes"}
    exec(code, namespace)
    return namespace


@pytest.fixture
def merged():
    """Return an account with one currency on two chains and one satoshi, and another that is down."""
    held = [("USDC", "0.1", "base"), ("USDC", "1234567.20", "tron"), ("BTC", "1E-8", None)]
    kind = AssetType.CRYPTO
    balances = [Balance(code, Decimal(text), kind, "shop-eu", "fake", code, chain) for code, text, chain in held]
    failure = AccountFailure("till", "fake", TransportError("reset", account="till", provider="fake"))
    return merge([AccountBalances("shop-eu", "fake", tuple(balances), NOON)], [failure])


def test_assertions_are_what_the_manuals_allow(recipes, merged):
    """Every line but a comment is a directive, a transaction or a posting, with exact amounts in plain notation."""
    beancount, hledger = recipes["to_beancount"](merged), recipes["to_hledger"](merged)

    assert [bool(BEANCOUNT.fullmatch(line)) for line in beancount.splitlines()] == [False, True, True]
    assert len(re.findall(HLEDGER, hledger)) == 2
    assert " 1234567.30 ~ 0 USDC" in beancount
    assert '= 0.00000001 "BTC"' in hledger


def test_an_account_that_was_not_read_is_a_comment(recipes, merged):
    """Nor is one that is old an assertion: the books would be checked against a number that is none."""
    old = attrs.evolve(merged.accounts[0], stale=True)

    for write in (recipes["to_beancount"], recipes["to_hledger"]):
        assert f"; {merged.notice}" in write(merged)
        assert "till" not in write(merged).replace(merged.notice, "")
        assert "USDC" not in write(merge([old], merged.failures))


@pytest.mark.parametrize(
    ("code", "label"), [("A;B", "shop"), ("USDC", "shop: eu"), ("usdc-é", "shop"), ("USDC", "Shop")]
)
def test_what_a_ledger_would_read_as_something_else_is_refused(recipes, code, label):
    """A code or a label that is none there is named."""
    balance = Balance(code, Decimal(1), AssetType.CRYPTO, label, "fake", code)

    with pytest.raises(ValueError, match="needs other names in a ledger"):
        recipes["to_beancount"](merge([AccountBalances(label, "fake", (balance,), NOON)]))


@pytest.mark.parametrize(("booked", "holds"), [("1234567.30", True), ("1234567.31", False)])
@pytest.mark.parametrize(
    ("tool", "arguments", "books", "write"),
    [
        ("bean-check", ["{}"], BEANCOUNT_BOOKS, "to_beancount"),
        ("hledger", ["-f", "{}", "check"], HLEDGER_BOOKS, "to_hledger"),
    ],
    ids=["beancount", "hledger"],
)
def test_the_books_are_checked(recipes, merged, tmp_path, tool, arguments, books, write, booked, holds):
    """The tool accepts books that have what was read, and rejects those that are a cent off."""
    command = shutil.which(tool) or pytest.skip(f"{tool} is not installed")
    path = tmp_path / "books"
    assertions = recipes[write](merged)
    # What hledger writes begins with its decimal mark, which counts for what comes after it.
    path.write_text(books.format(booked) + assertions)

    ran = subprocess.run(
        [command, *(one.format(path) for one in arguments)], capture_output=True, text=True, check=False
    )

    assert (ran.returncode == 0) is holds, ran.stderr
    assert holds or "USDC" in ran.stdout + ran.stderr
