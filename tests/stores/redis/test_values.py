"""What is written to Redis and read from it."""

import json
import logging

import pytest

from balancekit.stores import Change
from balancekit.stores.redis import values
from balancekit.stores.redis.values import (
    EVENT,
    SnapshotParser,
    parse_change,
    write_change,
    write_owner,
    write_snapshot,
)


@pytest.fixture
def parser():
    """Give a parser that knows nothing."""
    return SnapshotParser()


def test_every_value_is_json_of_a_version(snapshot):
    """A later release can tell what an earlier one wrote."""
    written = [write_snapshot(snapshot), write_change(Change("shop")), write_owner("me"), EVENT]

    assert [json.loads(value)["v"] for value in written] == [1] * 4


def test_amounts_are_text(snapshot):
    """No reader can take them for floats."""
    assert json.loads(write_snapshot(snapshot))["balances"][0]["amount"] == "1.50"


def test_a_snapshot_is_parsed_as_it_was_written(parser, snapshot):
    """Nothing is lost on the way."""
    assert parser.parse("shop", write_snapshot(snapshot).encode()) == snapshot


def test_the_same_bytes_are_parsed_once(parser, snapshot, make_snapshot):
    """Until the account has other ones."""
    text = write_snapshot(snapshot).encode()
    first = parser.parse("shop", text)

    assert parser.parse("shop", bytes(text)) is first
    assert parser.parse("shop", write_snapshot(make_snapshot("shop")).encode()) == make_snapshot("shop")


def test_snapshots_that_were_parsed_do_not_fill_the_memory(parser, snapshot, monkeypatch):
    """Beyond a number of accounts, all are forgotten and parsed again."""
    monkeypatch.setattr(values, "MAX_CACHED", 2)
    text = write_snapshot(snapshot).encode()
    first = parser.parse("shop", text)

    for key in ("till", "desk"):
        parser.parse(key, text)

    assert parser.parse("shop", text) == first
    assert parser.parse("shop", text) is not first


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"canary", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"v":2}', "of another version"),
        (b'{"v":1}', "account: missing"),
        (b'{"v":1,"balances":[{"amount":1.5}]}', "account: missing"),
    ],
    ids=["empty", "no UTF-8", "text", "deep", "a list", "version 2", "no fields", "a float"],
)
def test_a_snapshot_that_cannot_be_parsed_is_absent(parser, text, reason, caplog):
    """It costs one line in the log, however often it is read; the line shows nothing of it."""
    with caplog.at_level(logging.WARNING):
        assert [parser.parse("shop", text) for _ in range(3)] == [None] * 3

    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("a snapshot in Redis cannot be read, and counts as absent: ")
    assert reason in line
    assert "canary" not in line


@pytest.mark.parametrize("change", [Change("shop"), Change("løja", invalidated=True), Change(None)], ids=str)
def test_a_change_is_parsed_as_it_was_written(change):
    """Of a change without a key, anything may have happened."""
    assert parse_change(write_change(change).encode()) == change


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"v": 2}', '{"v": 1}', '{"v": 1, "key": 5}', "[" * 100_000])
def test_of_a_change_that_cannot_be_parsed_anything_may_have_happened(text):
    """Another release may write more than this one knows."""
    assert parse_change(text) == Change(None)
