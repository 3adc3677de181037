"""Results in a notebook."""

from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import given

from balancekit import AccountBalances, AccountFailure, ServiceUnavailableError, merge
from tests.support.results import merged_results


def _failure(account, message="503"):
    return AccountFailure(account, "fake", ServiceUnavailableError(message, account=account, provider="fake"))


class _Page(HTMLParser):
    """Reads HTML as a browser does: its tags, and its text apart from what is folded up."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "details" not in self.open or "summary" in self.open:
            self.text.append(data)


def read(merged):
    """Return what a browser reads of a result."""
    page = _Page(merged._repr_html_())
    assert page.open == []
    return page


def test_the_notice_comes_first(make_snapshot):
    """What is missing is read before any number, and then what the result is a view of."""
    merged = merge([make_snapshot("a", ("BTC", "1"))], [_failure("b")])

    assert read(merged).text[0] == merged.notice
    assert read(merged.only("BTC")).text[:2] == [merged.notice, "Only BTC"]
    assert read(merge([make_snapshot("a", ("BTC", "1E-8"))])).text[:10] == [
        "Currency",
        "Type",
        "Total",
        "As of",
        "Accounts",
        "BTC",
        "crypto",
        "0.00000001",
        "2026-01-01 00:00 UTC",
        "a",
    ]


def test_what_is_available_and_pending_has_columns_where_it_is_reported(make_balance):
    """They are numbers of their own, of a total only if each balance in it has them, and stand beside each balance."""
    parts = {"available": Decimal("8.5"), "pending": Decimal("1E-8")}
    balances = (evolve(make_balance("BTC", "9", account="a"), **parts), make_balance("ETH", "2", account="a"))
    merged = merge([AccountBalances("a", "fake", balances, datetime(2026, 1, 1, tzinfo=UTC))])

    text = read(merged).text
    assert text[2:5] == ["Total", "Available", "Pending"]
    assert text[text.index("BTC") + 2 :][:3] == ["9", "8.5", "0.00000001"]
    assert text[text.index("ETH") + 2 :][:2] == ["2", "2026-01-01 00:00 UTC"]
    assert "<td>BTC 9 (8.5 available, 0.00000001 pending), ETH 2</td>" in merged._repr_html_()


def test_a_total_names_the_accounts_where_something_is_pending(make_balance):
    """There is no amount there yet."""
    balance = make_balance("LTC", "0", pending=Decimal(7))

    merged = merge([AccountBalances("shop", "fake", [balance], datetime(2026, 1, 1, tzinfo=UTC))])

    assert "shop" in read(merged).text


def test_an_old_number_says_so_beside_it(make_snapshot):
    """The row of a total with a stale balance is marked, and only that."""
    merged = merge([make_snapshot("a", ("BTC", "1"), stale=True), make_snapshot("b", ("EUR", "1", "fiat"))])

    text = read(merged).text
    assert text[text.index("BTC") + 3] == "2026-01-01 00:00 UTC, stale"
    assert text[text.index("EUR") + 3] == "2026-01-01 00:00 UTC"


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "a&b", '"><img/src=x>', "<!--"])
def test_no_name_is_read_as_html(make_snapshot, hostile):
    """Codes, labels and messages are shown as they are."""
    merged = merge([make_snapshot(hostile, (hostile, "1"))], [_failure(f"{hostile}2", hostile)])

    page = read(merged)
    assert not {"script", "img"} & {*page.tags}
    assert hostile in page.text


def test_300_accounts_are_readable(make_snapshot):
    """What is not folded up has a line for each currency and names few accounts; all are in the folded parts."""
    snapshots = [make_snapshot(f"account-{number}", ("BTC", "1"), ("EUR", "2", "fiat")) for number in range(300)]
    merged = merge(snapshots, [_failure(f"late-{number}") for number in range(300)])

    text = read(merged).text
    assert text[0] == "INCOMPLETE: 300 of 600 accounts could not be read"
    assert sum(map(len, text)) < 600
    assert all(f"{label}," in merged._repr_html_() for label in ("late-0", "late-298"))
    assert all(f"<td>account-{number}</td>" in merged._repr_html_() for number in range(300))


@given(merged_results())
def test_every_result_is_well_formed(merged):
    """All that is opened is closed, and an incomplete result begins with its notice."""
    assert merged.complete or read(merged).text[0] == merged.notice
