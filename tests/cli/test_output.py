"""Writing to stdout and stderr."""

import io
import sys

from balancekit import AccountFailure, ServiceUnavailableError, merge
from balancekit.cli import output


def test_a_line_on_stderr_is_one_line_without_control_characters(capsys):
    """Line breaks, control characters and markup of a message have no effect on the terminal."""
    output.echo_error("one\ntwo \x1b[31m[bold]:smile: " + "x" * 100)

    assert capsys.readouterr().err == f"one two ?[31m[bold]:smile: {'x' * 100}\n"


def test_a_name_stays_isolated_on_stderr(make_snapshot, capsys):
    """A label that is written from right to left does not reorder the line, and has no mark around it."""
    output.echo_failures(merge([make_snapshot("\u05d0\u05d1 [red]", ("BTC", "1"), stale=True)]))

    assert capsys.readouterr().err.endswith("since: \u2068\u05d0\u05d1 [red]\u2069\n")


def test_nothing_else_that_reorders_a_line_reaches_stderr(capsys):
    """What is in a name or beside it cannot turn the line around."""
    output.echo_error("\u2068\u05d0\u202e\u05d1\u2069 \u2066a\u2067b\u202d\u200fc")

    assert capsys.readouterr().err == "\u2068\u05d0?\u05d1\u2069 ?a?b??c\n"


def test_data_is_utf_8_on_any_terminal(monkeypatch):
    """JSON and CSV are UTF-8, whatever the encoding of the terminal is."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))

    output.write_raw("₿\n")

    assert raw.getvalue() == "₿\n".encode()


def test_the_last_line_on_stderr_is_the_notice(make_snapshot, capsys):
    """The last line is the notice of the result."""
    output.echo_failures(merge([make_snapshot("shop", ("BTC", "1"), stale=True)]))

    assert capsys.readouterr().err.splitlines()[-1] == "INCOMPLETE: 1 of 1 account may have changed since: shop"


def test_labels_of_any_script_keep_their_place_on_stderr(make_snapshot, capsys):
    """One that is written from right to left is isolated from what is around it, in each line."""
    error = ServiceUnavailableError("503", account="\u05d0\u05d1", provider="fake")
    merged = merge([make_snapshot("shop", ("BTC", "1"))], [AccountFailure("\u05d0\u05d1", "fake", error)])

    output.echo_failures(merged)

    failure, notice = capsys.readouterr().err.splitlines()
    assert failure == "\u2068\u05d0\u05d1\u2069 (fake): 503"
    assert notice == merged.notice
    assert "\u2068\u05d0\u05d1\u2069" in notice
