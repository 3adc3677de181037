"""Tables: every digit is shown, and text from outside is never markup."""

import io
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from attrs import evolve
from rich.console import Console

from balancekit import AccountBalances, merge
from balancekit.cli import output
from balancekit.cli.tables import changed_totals, render_accounts, render_providers, render_totals
from balancekit.cli.view import View

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG = "-" + "9" * 60 + "." + "123456789" * 4


@pytest.fixture
def shown(monkeypatch):
    """Print a table on a terminal, or to a pipe, of some width."""

    def shown(rendered, *, width=80, attached=True):
        out = io.StringIO()
        monkeypatch.setattr(
            output,
            "make_console",
            lambda stream: Console(file=out, width=width, force_terminal=attached, color_system=None, markup=False),
        )
        output.print_table(rendered)
        return out.getvalue()

    return shown


@pytest.mark.parametrize("attached", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("render", [render_totals, render_accounts])
def test_no_digit_is_cut_off_at_any_width(make_snapshot, shown, render, width, attached):
    """An amount of a hundred characters stands whole in one line, however narrow the terminal is."""
    merged = merge([make_snapshot("an-account-with-a-name-of-some-length", ("BTC", LONG), ("ETH", "0.5"))])

    text = shown(render(merged), width=width, attached=attached)

    assert LONG in text
    assert "…" not in text


@pytest.mark.parametrize(("width", "attached", "lines"), [(40, True, 2), (40, False, 1), (120, True, 1)])
def test_labels_give_way_to_amounts(make_snapshot, shown, width, attached, lines):
    """On a narrow terminal the list of accounts is wrapped; in a pipe a row is always one line."""
    merged = merge([make_snapshot(f"account-{name}", ("BTC", "1.25")) for name in "ab"])

    text = shown(render_totals(merged), width=width, attached=attached)

    assert len(re.findall("account-", text)) == 2
    assert len([line for line in text.splitlines() if "account-" in line]) == lines


@pytest.mark.parametrize("render", [render_totals, render_accounts])
def test_markup_is_only_text(make_snapshot, shown, render):
    """Square brackets and names of emoji in a code or a label are shown as they are."""
    merged = merge([make_snapshot("[red]shop[/red]", ("[BOLD]", "1"), (":SMILE:", "2"))])

    text = shown(render(merged), width=200)

    assert "[red]shop[/red]" in text
    assert "[BOLD]" in text
    assert ":SMILE:" in text


def test_a_total_names_the_accounts_that_hold_it(make_snapshot, shown):
    """Accounts whose balance is zero are not named."""
    merged = merge([make_snapshot("a", ("BTC", "1"), ("LTC", "0")), make_snapshot("b", ("BTC", "0"))])

    rows = [line.split() for line in shown(render_totals(merged)).splitlines()]

    assert ["BTC", "crypto", "1", "a"] in rows
    assert ["LTC", "crypto", "0", "-"] in rows


def test_a_total_names_the_accounts_where_something_is_pending(make_balance, shown):
    """There is no amount there yet."""
    balance = evolve(make_balance("LTC", "0", account="a"), available=Decimal(0), pending=Decimal(7))

    text = shown(render_totals(merge([AccountBalances("a", "fake", (balance,), NOW)])))
    rows = [line.split() for line in text.splitlines()]

    assert ["LTC", "crypto", "0", "0", "7", "a"] in rows


def test_a_changed_total_has_its_change(make_snapshot, shown):
    """With an earlier result each changed total has its exact change, with a sign."""
    before = merge([make_snapshot("a", ("BTC", LONG), ("ETH", "2"), ("LTC", "3"))])
    after = merge([make_snapshot("a", ("BTC", LONG), ("ETH", "1.50"), ("LTC", "3"), ("XRP", "7"))])

    table = render_totals(after, changes=changed_totals(before, after))
    rows = [line.split() for line in shown(table, width=200).splitlines()]

    assert ["BTC", "crypto", LONG, "a"] in rows
    assert ["ETH", "crypto", "1.50", "-0.50", "a"] in rows
    assert ["LTC", "crypto", "3", "a"] in rows
    assert ["XRP", "crypto", "7", "+7", "a"] in rows


@pytest.mark.parametrize("is_listed", [False, True])
def test_a_total_that_falls_to_zero_has_its_change(make_snapshot, shown, is_listed):
    """Whether its zero is hidden, or its provider does not list what is not held."""
    before = merge([make_snapshot("a", ("BTC", "5"), ("EUR", "1", "fiat"))])
    held = [("BTC", "0")] if is_listed else []
    after = merge([make_snapshot("a", *held, ("EUR", "1", "fiat"))])

    table = render_totals(View().apply(after), changes=changed_totals(before, after))
    rows = [line.split() for line in shown(table, width=200).splitlines()]

    assert ["BTC", "crypto", "0", "-5", "-"] in rows


@pytest.mark.parametrize(
    ("accounts_before", "accounts_after", "expected"),
    [
        pytest.param(
            [("cash", ("BGN", "110", "unknown")), ("shop", ("BGN", "50", "fiat"))],
            [("cash", ("BGN", "120", "unknown")), ("shop", ("BGN", "50", "fiat"), "stale")],
            [["BGN", "fiat", "170", "+10", "cash,", "shop"]],
            id="its type is known from an account that is stale",
        ),
        pytest.param(
            [("cash", ("BGN", "110", "unknown")), ("shop", ("BGN", "50", "fiat"))],
            [("cash", ("BGN", "120", "unknown"))],
            [["BGN", "unknown", "120", "+10", "cash"]],
            id="its type was known from an account that is missing",
        ),
        pytest.param(
            [("cash", ("BGN", "110", "unknown")), ("shop", ("BGN", "0", "fiat"))],
            [("cash", ("BGN", "120", "unknown")), ("shop", ("BGN", "0", "fiat")), ("till", ("BGN", "9", "crypto"))],
            [
                ["BGN", "crypto", "9", "till"],
                ["BGN", "unknown", "120", "+10", "cash"],
            ],
            id="another account makes its type ambiguous",
        ),
        pytest.param(
            [("cash", ("BGN", "110", "unknown")), ("shop",)],
            [("cash", ("BGN", "110", "unknown")), ("shop", ("BGN", "0", "fiat"))],
            [["BGN", "fiat", "110", "cash"]],
            id="its type becomes known",
        ),
        pytest.param(
            [("cash", ("BGN", "3", "fiat")), ("shop", ("BGN", "-5", "fiat"))],
            [("cash", ("BGN", "5", "fiat")), ("shop", ("BGN", "-5", "fiat"), "stale")],
            [["BGN", "fiat", "0", "+2", "cash,", "shop"]],
            id="the total is hidden as zero",
        ),
    ],
)
def test_a_change_stands_beside_the_total_of_all_accounts(
    make_snapshot, shown, accounts_before, accounts_after, expected
):
    """It is of the accounts that were read anew; each balance is in one row, and no row is of a part of them."""
    before, after = (
        merge(
            make_snapshot(label, *(one for one in held if one != "stale"), fetched_at=NOW, stale="stale" in held)
            for label, *held in accounts
        )
        for accounts in (accounts_before, accounts_after)
    )

    table = render_totals(View().apply(after), changes=changed_totals(before, after), now=NOW)

    rows = [line.replace("as of 12:00 UTC, 0 s old", "").split() for line in shown(table, width=200).splitlines()]
    assert [row for row in rows if "BGN" in row] == expected


def test_chains_and_codes_have_columns_only_where_there_are_any(make_snapshot, shown):
    """A column for chains or sent codes exists only if a row fills it."""
    plain = merge([make_snapshot("a", ("BTC", "1"))])
    renamed = merge([make_snapshot("a", ("USDCE", "1"))], aliases={"USDCE": "USDC"})

    assert "Chain" not in shown(render_accounts(plain))
    assert "Sent as" not in shown(render_accounts(plain))
    assert ["a", "fake", "USDC", "USDCE", "1"] in [
        line.split() for line in shown(render_accounts(renamed)).splitlines()
    ]


@pytest.mark.parametrize("render", [render_totals, render_accounts, render_providers])
def test_what_is_available_and_pending_has_columns_where_it_is_reported(make_balance, make_snapshot, shown, render):
    """A row whose provider does not report it has blanks there, and a total has it only if each balance does."""
    parts = {"available": Decimal("8.5"), "pending": Decimal("1E-8")}
    balances = (evolve(make_balance("BTC", "9", account="a"), **parts), make_balance("ETH", "2", account="a"))
    snapshot = AccountBalances("a", "fake", balances, NOW)

    text = shown(render(merge([snapshot])), width=200)
    assert re.search(r"Available +Pending", text)
    assert re.search(r"BTC .* 9 +8\.5 +0\.00000001", text)
    assert re.search(r"ETH .* 2( +a)? *$", text, re.MULTILINE)
    with_another = shown(render(merge([snapshot, make_snapshot("b", ("BTC", "1"))])), width=200)
    assert ("8.5" in with_another) is (render is render_accounts)
    assert "Available" not in shown(render(merge([make_snapshot("b", ("BTC", "1"))])))


def test_an_account_that_holds_nothing_has_its_line(make_snapshot, shown):
    """An account without balances has a row."""
    rows = [line.split() for line in shown(render_accounts(merge([make_snapshot("a")]))).splitlines()]

    assert ["a", "fake", "-"] in rows


def test_a_total_at_a_provider_names_the_accounts_that_hold_it(make_snapshot, shown):
    """As a total of all does."""
    merged = merge([make_snapshot("a", ("BTC", "1")), make_snapshot("b", ("BTC", "0"))])

    assert ["fake", "BTC", "crypto", "1", "a"] in [
        line.split() for line in shown(render_providers(merged)).splitlines()
    ]


@pytest.mark.parametrize("render", [render_totals, render_accounts])
def test_the_notice_stands_above_the_table(make_snapshot, shown, failure, render):
    """The heading counts the accounts that were read, and the notice of an incomplete result stands below it."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [failure])

    lines = shown(render(merged, note="a note")).splitlines()

    assert lines[0].rstrip().endswith("of 1 of 2 accounts, as of 2026-01-01 00:00:00 UTC")
    assert lines[1] == "INCOMPLETE: 1 of 2 accounts could not be read: late"
    assert lines[-1] == "a note"


def test_a_stale_total_has_its_age(partly_stale, shown):
    """A total has the age of the oldest stale snapshot in it, also if that holds zero; a fresh total has none."""
    text = shown(render_totals(partly_stale, now=NOW), width=200)

    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["BTC", "crypto", "2.5", "as of 09:00 UTC, 3 h old", "a, b"] in rows
    assert ["ETH", "crypto", "2", "as of 10:00 UTC, 2 h old", "b"] in rows
    assert ["EUR", "fiat", "5", "a"] in rows
    assert rows[1] == [
        "INCOMPLETE: 1 of 3 accounts could not be read anew: late; 1 of 3 accounts may have changed since: b"
    ]


def test_what_one_provider_holds_and_another_is_owed_is_shown_at_both(make_snapshot, shown):
    """Together they are zero, which is hidden; at either provider they are not."""
    loan = make_snapshot("loan", ("BTC", "-5"))
    balances = [evolve(balance, provider="bank") for balance in loan.balances]
    merged = merge([make_snapshot("shop", ("BTC", "5")), evolve(loan, provider="bank", balances=balances)])

    text = shown(render_providers(View().apply(merged)), width=200)

    rows = [line.split() for line in text.splitlines()]
    assert ["bank", "BTC", "crypto", "-5", "loan"] in rows
    assert ["fake", "BTC", "crypto", "5", "shop"] in rows


def test_a_hidden_zero_shows_no_balance_twice_at_a_provider(make_snapshot, shown):
    """A balance of unknown type has one row, of the type that a zero elsewhere gives its currency."""
    merged = merge([make_snapshot("shop", ("BGN", "0", "fiat")), make_snapshot("cash", ("BGN", "3.00", "unknown"))])

    text = shown(render_providers(View().apply(merged)), width=200)

    assert [line.split() for line in text.splitlines() if "BGN" in line] == [["fake", "BGN", "fiat", "3.00", "cash"]]


def test_a_stale_total_at_a_provider_has_its_age(partly_stale, shown):
    """A total at a provider has the age of the oldest stale snapshot in it."""
    text = shown(render_providers(partly_stale, now=NOW), width=200)

    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["fake", "BTC", "crypto", "2.5", "as of 09:00 UTC, 3 h old", "a, b"] in rows
    assert ["EUR", "fiat", "5", "a"] in rows


def test_a_stale_balance_has_its_age(partly_stale, shown):
    """Every balance of a stale account has its age."""
    text = shown(render_accounts(partly_stale, now=NOW), width=200)

    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert ["a", "fake", "BTC", "1"] in rows
    assert ["b", "fake", "BTC", "1.5", "as of 10:00 UTC, 2 h old"] in rows
    assert ["ETH", "2", "as of 10:00 UTC, 2 h old"] in rows
    assert ["late", "fake", "BTC", "0", "as of 09:00 UTC, 3 h old"] in rows
    assert "not read" not in text.partition("Account")[2]


def test_a_stale_account_without_balances_has_its_age(make_snapshot, shown):
    """A stale account without balances to show has a row with its age."""
    merged = merge([make_snapshot("a", fetched_at=NOW, stale=True)])

    rows = [line.split() for line in shown(render_accounts(merged, now=NOW), width=200).splitlines()]

    assert ["a", "fake", "-", "as", "of", "12:00", "UTC,", "0", "s", "old"] in rows
