"""What is written to Redis and read from it."""

import json
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs
import pytest

from balancekit.http.fields import MAX_BALANCES
from balancekit.stores import Change
from balancekit.stores.redis import values
from balancekit.stores.redis.values import (
    ParsedSnapshot,
    ParsedSnapshots,
    parse_change,
    seal,
    write_change,
    write_snapshot,
)


@pytest.fixture
def parsed():
    """Give a place for parsed snapshots, without any."""
    return ParsedSnapshots()


def test_a_value_of_several_fields_has_a_version(snapshot):
    """A later release can tell what an earlier one wrote."""
    written = [write_snapshot("shop", snapshot), write_change(Change("shop"))]

    assert [json.loads(value)["v"] for value in written] == [1] * 2


def test_amounts_are_text(snapshot):
    """No reader can take them for floats."""
    assert json.loads(write_snapshot("shop", snapshot))["balances"][0]["amount"] == "1.50"


def test_a_snapshot_is_parsed_as_it_was_written(parsed, snapshot):
    """Nothing is lost on the way."""
    assert parsed.parse("shop", b"mark", write_snapshot("shop", snapshot)).snapshot == snapshot


def test_a_snapshot_keeps_the_parts_and_the_moment_that_the_provider_reported(parsed, snapshot):
    """What another process is given is as much, and as old, as it was for the one that read it."""
    held = tuple(attrs.evolve(one, available=Decimal("1e-30"), pending=Decimal("-2.50")) for one in snapshot.balances)
    reported_at = snapshot.fetched_at - timedelta(hours=1)
    snapshot = attrs.evolve(snapshot, balances=held, reported_at=reported_at)

    assert parsed.parse("shop", b"mark", write_snapshot("shop", snapshot)).snapshot == snapshot


def test_what_a_provider_does_not_report_takes_no_place(snapshot):
    """Most report neither parts nor a moment."""
    written = write_snapshot("shop", snapshot)

    assert not any(name in written for name in (b"available", b"pending", b"reported_at"))


def test_a_snapshot_of_an_earlier_release_is_parsed(parsed, snapshot):
    """Replicas are replaced one after another, and the earlier release writes all of its fields."""
    fields = json.dumps(
        {
            "account": "shop",
            "provider": "fake",
            "balances": [
                {
                    "currency": "BTC",
                    "amount": "1.50",
                    "asset_type": "crypto",
                    "account": "shop",
                    "provider": "fake",
                    "code": "BTC",
                    "chain": None,
                    "reference": None,
                }
            ],
            "fetched_at": snapshot.fetched_at.isoformat(),
            "stale": False,
        }
    )

    assert parsed.parse("shop", b"mark", seal("shop", fields[1:].encode())).snapshot == snapshot


def test_the_last_snapshot_of_an_account_is_kept(parsed, snapshot, make_snapshot):
    """With its mark, by which another can be told from it."""
    assert parsed.get("shop") is None
    for mark, one in ((b"1", snapshot), (b"2", make_snapshot("shop"))):
        parsed.parse("shop", mark, write_snapshot("shop", one))

        assert parsed.get("shop") == ParsedSnapshot(mark, one)


def test_snapshots_that_were_parsed_do_not_fill_the_memory(parsed, snapshot, monkeypatch):
    """Beyond a number of accounts, the one that was parsed first is forgotten."""
    monkeypatch.setattr(values, "MAX_CACHED", 2)

    for key in ("shop", "till", "shop", "desk"):
        parsed.parse(key, b"mark", write_snapshot(key, snapshot))

    assert [parsed.get(key) is None for key in ("shop", "till", "desk")] == [False, True, False]


def line_about(parsed, text, caplog):
    """Return the one line that is logged about a text that is no snapshot of the shop."""
    with caplog.at_level(logging.WARNING):
        assert parsed.parse("shop", b"mark", text).snapshot is None
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("a snapshot in Redis cannot be read, and counts as absent: ")
    assert "canary" not in line
    assert len(line) < 200
    return line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty"),
        (b"\xff", "not UTF-8"),
        (b"canary", "not JSON"),
        (b"[" * 1000, "nested too deeply"),
        (b"[" + b"0," * 100_000 + b"0]", "more than 60000 values"),
        (b" " * (10 * 2**20 + 1), "more than 10485760 bytes"),
        (b"[]", "no JSON object"),
        (b'{"v":2}', "of another version"),
        (b'{"v":1}', "digest"),
        (b'{"v":1,"digest":"canary","account":"canary"}', "digest"),
        (seal("shop", b'"balances":[{"amount":1.5}]}'), "account"),
        (seal("shop", b'"account":5}'), "account"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_a_snapshot_that_cannot_be_parsed_is_absent(parsed, text, reason, caplog):
    """It costs one line in the log, which shows nothing of it."""
    assert reason in line_about(parsed, text, caplog)


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("account", "balances[0]"),
        ("code", "balances[0]"),
        ("asset_type", "balances[0].asset_type"),
        ("amount", "balances[0].amount"),
        ("fetched_at", "fetched_at"),
        ("balances", "balances"),
    ],
)
def test_the_line_has_only_the_path_of_what_does_not_fit(parsed, field, path, snapshot, caplog):
    """The value may be somebody's secret, and as long as Redis can hold."""
    data = json.loads(write_snapshot("shop", snapshot))
    del data["v"], data["digest"]
    (data if field in ("fetched_at", "balances") else data["balances"][0])[field] = "canary\n" * 100_000

    line = line_about(parsed, seal("shop", json.dumps(data)[1:].encode()), caplog)

    assert line.endswith(f": {path}")


def test_a_changed_amount_makes_a_snapshot_absent(parsed, snapshot, caplog):
    """A text that was not written as a whole is believed in no part."""
    text = write_snapshot("shop", snapshot).replace(b"1.50", b"9.50")

    assert "digest" in line_about(parsed, text, caplog)


def test_the_snapshot_of_another_key_is_absent(parsed, snapshot, caplog):
    """Though label and provider are the same, as for one shop behind two gateways."""
    assert "digest" in line_about(parsed, write_snapshot("gateway/shop", snapshot), caplog)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stale": True}, "stale"),
        ({"fetched_at": datetime(9999, 12, 31, tzinfo=UTC)}, "fetched_at"),
        ({"fetched_at": datetime(1970, 1, 1, tzinfo=UTC)}, "fetched_at"),
    ],
    ids=["stale", "9999", "1970"],
)
def test_what_no_fresh_read_gives_is_absent(parsed, snapshot, changes, reason, caplog):
    """Even if it is bound to the account, as by a replica whose clock is not set."""
    assert reason in line_about(parsed, write_snapshot("shop", attrs.evolve(snapshot, **changes)), caplog)


def test_a_snapshot_may_have_as_many_balances_as_a_response(parsed, make_snapshot, caplog):
    """One more, and it is absent."""
    most = make_snapshot("shop", *[("BTC", "1")] * MAX_BALANCES)
    more = make_snapshot("shop", *[("BTC", "1")] * (MAX_BALANCES + 1))

    assert parsed.parse("shop", b"mark", write_snapshot("shop", most)).snapshot == most
    assert "more than 5000 entries" in line_about(parsed, write_snapshot("shop", more), caplog)


@pytest.mark.parametrize(
    "change", [Change("shop"), Change("løja", invalidated=True), Change("a", released=True), Change(None)], ids=str
)
def test_a_change_is_parsed_as_it_was_written(change):
    """Of a change without a key, anything may have happened."""
    assert parse_change(write_change(change).encode()) == change


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"v": 2}', '{"v": 1}', '{"v": 1, "key": 5}', "[" * 100_000])
def test_of_a_change_that_cannot_be_parsed_anything_may_have_happened(text):
    """Another release may write more than this one knows."""
    assert parse_change(text) == Change(None)
