"""What is read as a result, and is none: the error names the path of what does not fit."""

import pytest

from balancekit import AccountBalances, AccountFailure, MergedBalances, ServiceUnavailableError, merge
from balancekit.money import serialization


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data["totals"][0].update(amount=0.1), "amount"),
        (lambda data: data["totals"][0].update(amount="NaN"), "amount"),
        (lambda data: data["totals"][0].pop("amount"), "amount"),
        (lambda data: data["totals"][0].update(currency=5), "currency"),
        (lambda data: data["totals"][0].update(asset_type="gold"), "asset_type"),
        (lambda data: data["accounts"][0].update(fetched_at="yesterday"), "fetched_at"),
        (lambda data: data["accounts"][0].update(stale="no"), "stale"),
        (lambda data: data["accounts"][0]["balances"][0].update(amount=True), "amount"),
        (lambda data: data["totals"][0].update(amount="0.2"), "do not add up"),
        (lambda data: data["totals"].append(data["totals"][0]), "not those of the accounts"),
        (lambda data: data.update(accounts=[]), "not those of the accounts"),
        (lambda data: data["accounts"].append(data["accounts"][0]), "would be counted twice"),
        (lambda data: data["totals"].pop(0), "the total of BTC is missing"),
        (lambda data: data.update(totals=[]), "the total of BTC is missing"),
        (lambda data: data["totals"][0].update(amount="0"), "do not add up to its total"),
        (lambda data: data["totals"][0].update(available="0.10"), "do not add up to its total"),
        (lambda data: data["accounts"][0]["balances"][0].update(amount="1e2"), "do not add up to its total"),
        (lambda data: data["accounts"][0]["balances"][0].update(account="b"), "belongs to another account"),
        (lambda data: data["accounts"][0]["balances"][0].update(pending=0.5), r"balances\[0\]\.pending"),
        (lambda data: data["accounts"][0].update(reported_at="2026-01-01T00:00:00"), "time zone"),
        (lambda data: data["accounts"][0].update(account="a\nBTC 1000"), "not printable"),
        (lambda data: data["accounts"][0].pop("account"), r"accounts\[0\]\.account: missing"),
        (lambda data: data["failures"][0].update(last_known=None, last_known_in_accounts=True), "of 'c' is missing"),
        (lambda data: data["failures"][0]["last_known"].update(account="a"), "of 'c' is that of 'a'"),
        (lambda data: data.update(chosen_currencies=["BTC", "EUR", "BTC"]), "BTC is asked for twice"),
        (lambda data: data.update(chosen_currencies=["EUR"]), "a total of a currency that was not chosen"),
        (lambda data: data.update(chosen_currencies="BTC"), "chosen_currencies: .*expected a list"),
        (lambda data: data.update(chosen_accounts=["a"]), "an account that was not chosen"),
        (lambda data: data.update(chosen_accounts=["a", "b", "c", 5]), r"chosen_accounts"),
        (lambda data: data.update(format="balancekit.rates"), "format: expected 'balancekit.balances'"),
        (lambda data: data.pop("format"), "format: expected 'balancekit.balances'"),
        (lambda data: data.pop("version"), "version: expected a whole number"),
        (lambda data: data.update(version=True), "version: expected a whole number"),
        (lambda data: data.update(version="1"), "version: expected a whole number"),
        (lambda data: data.update(version=0), "version: expected a whole number"),
        (lambda data: data.update(version=2), "version: 2 is later than 1"),
        (lambda data: data["totals"][0].update(currency="ETH"), "of another currency"),
        (lambda data: data["totals"][0].update(asset_type="fiat"), "of another currency or type"),
        (lambda data: data["failures"][0]["error"].update(type="IncompleteError", retryable="yes"), "retryable"),
        (lambda data: data["failures"][0].update(error=None), "error"),
        (
            lambda data: data["failures"][0]["error"].update(retry_after=float("nan")),
            "retry_after: not a finite number",
        ),
        (
            lambda data: data["failures"][0]["error"].update(retry_after=10**400),
            "retry_after: not a finite number",
        ),
        (lambda data: data["failures"][0]["error"].update(status=10**400), "status: not a finite number"),
        (lambda data: data["failures"][0]["error"].update(account="shop\nBTC 1000"), "not printable"),
    ],
    ids=[
        "float",
        "nan",
        "missing",
        "code",
        "type",
        "moment",
        "stale",
        "bool",
        "sum",
        "total twice",
        "no accounts",
        "account twice",
        "no total",
        "no totals",
        "zero",
        "available",
        "balance",
        "owner",
        "pending",
        "no zone",
        "label",
        "no label",
        "no last snapshot",
        "last snapshot of another",
        "currency twice",
        "another currency",
        "text",
        "another account",
        "no label",
        "format",
        "no format",
        "no version",
        "version a bool",
        "version a text",
        "no such version",
        "later version",
        "renamed",
        "retyped",
        "retryable",
        "error",
        "nan seconds",
        "seconds of 400 digits",
        "status of 400 digits",
        "two lines",
    ],
)
def test_what_is_no_result_is_refused(merged, change, reason):
    """A damaged or forged result is a ValueError that names the place, never a wrong number."""
    data = merged.to_dict()
    change(data)

    with pytest.raises(ValueError, match=rf"not a merged result: .*{reason}"):
        MergedBalances.from_dict(data)


def test_a_value_in_a_failure_is_named_by_its_whole_path(merged):
    """The path leads through the failure and its error to the value."""
    data = merged.to_dict()
    data["failures"][0]["error"]["status"] = "429"

    with pytest.raises(
        ValueError, match=r"^not a merged result: failures\[0\]\.error\.status: expected a number, got a str"
    ):
        MergedBalances.from_dict(data)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "5", "null", '{"totals": 5}', "[" * 100_000])
def test_text_that_is_no_result_is_refused(text):
    """Any other text is a ValueError."""
    with pytest.raises(ValueError, match=r"not a merged result|Expecting value"):
        MergedBalances.from_json(text)


@pytest.mark.parametrize("data", [None, [], {}, {"account": "shop", "balances": {}}], ids=str)
def test_what_is_no_snapshot_is_refused(data):
    """Anything else is a ValueError that begins with what was expected."""
    with pytest.raises(ValueError, match="not a snapshot: "):
        serialization.from_dict(data, AccountBalances, "a snapshot")


@pytest.fixture
def incomplete(make_snapshot):
    """Be a result that lacks an account."""
    down = ServiceUnavailableError("503", account="till", provider="fake")
    return merge([make_snapshot("shop", ("BTC", "1"))], [AccountFailure("till", "fake", down)])


@pytest.mark.parametrize("name", ["complete", "failures", "chosen_accounts", "chosen_currencies"])
def test_a_text_that_lacks_what_says_what_is_missing_is_refused(incomplete, name):
    """A result without its failures would be complete."""
    written = incomplete.only("BTC").to_dict()
    del written[name]

    with pytest.raises(ValueError, match=f"{name}: it is missing"):
        MergedBalances.from_dict(written)


@pytest.mark.parametrize(("name", "value"), [("failures", []), ("complete", True)])
def test_a_text_that_contradicts_itself_is_refused(incomplete, name, value):
    """It says that it is incomplete, and names nothing that is missing; or the other way round."""
    with pytest.raises(ValueError, match="complete: its accounts and failures say something else"):
        MergedBalances.from_dict(incomplete.to_dict() | {name: value})


def test_a_key_that_is_given_twice_is_refused(incomplete):
    """Most decoders take the last one."""
    text = incomplete.to_json()

    with pytest.raises(ValueError, match="a key is given twice"):
        MergedBalances.from_json(f'{text[:-1]},"failures":[]}}')


@pytest.mark.parametrize(
    ("place", "name"), [("totals", "currency"), ("totals", "asset_type"), ("accounts", "fetched_at")]
)
def test_what_is_refused_is_quoted_in_part_alone(incomplete, place, name):
    """The error is one short printable line, whatever the text has."""
    data = incomplete.to_dict()
    data[place][0][name] = "\x1b[2J\n\ud800" + "x" * 100_000

    with pytest.raises(ValueError, match="not a merged result") as caught:
        MergedBalances.from_dict(data)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["message", "hint", "code"])
def test_what_an_error_says_is_one_printable_line(merged, name):
    """It is shown, and written again: a control character would move the cursor, half a character has no bytes.

    What keeps a name from reordering the line stays.
    """
    data = merged.to_dict()
    data["failures"][0]["error"][name] = "shop\x1b[2J\n\ud800 \u2068\u05d0\u2069"

    read = MergedBalances.from_dict(data)

    assert getattr(read.failures[0].error, name) == "shop?[2J ? \u2068\u05d0\u2069"
    assert MergedBalances.from_json(read.to_json().encode()) == read
