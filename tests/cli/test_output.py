"""Writing to stdout and stderr."""

import io
import os
import sys

import pytest

from balancekit import merge
from balancekit.cli import output, stream_errors


def test_a_reader_that_has_gone_is_an_error(monkeypatch):
    """It is told as what it is, and what is left to write goes nowhere."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)

        with pytest.raises(BrokenPipeError):
            output.say("anything")
        output.abandon_closed()

        stream.write("more")
        stream.flush()


def test_a_line_on_stderr_is_one_line_without_control_characters(capsys):
    """Whatever an adapter put into its message, the terminal is not changed by it, and nothing is wrapped."""
    output.tell("one\ntwo \x1b[31m[bold]:smile: " + "x" * 100)

    assert capsys.readouterr().err == f"one two ?[31m[bold]:smile: {'x' * 100}\n"


def test_data_is_utf_8_on_any_terminal(monkeypatch):
    """JSON is UTF-8 by definition, and CSV for whoever reads it next."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))

    output.write("₿\n")

    assert raw.getvalue() == "₿\n".encode()


def test_a_character_that_the_encoding_lacks_is_escaped(monkeypatch):
    """Text for people is shown as far as it can be; a stream of another kind is left as it is."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    stream_errors.forgive_encoding()
    output.say("₿")

    assert raw.getvalue() == b"\\u20bf\n"


def test_the_last_line_on_stderr_says_what_is_old(make_snapshot, capsys):
    """An earlier snapshot in the totals is told with its moment and its age."""
    output.tell_failures(merge([make_snapshot("shop", ("BTC", "1"), stale=True)]))

    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("INCOMPLETE: 1 of 1 account could not be read anew; the totals hold an earlier shop (as of ")
    assert "2026-01-01 00:00 UTC, " in last
