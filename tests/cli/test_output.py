"""Writing to stdout and stderr."""

import io
import sys

from balancekit import merge
from balancekit.cli import output


def test_a_line_on_stderr_is_one_line_without_control_characters(capsys):
    """Whatever an adapter put into its message, the terminal is not changed by it, and nothing is wrapped."""
    output.echo_error("one\ntwo \x1b[31m[bold]:smile: " + "x" * 100)

    assert capsys.readouterr().err == f"one two ?[31m[bold]:smile: {'x' * 100}\n"


def test_data_is_utf_8_on_any_terminal(monkeypatch):
    """JSON is UTF-8 by definition, and CSV for whoever reads it next."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))

    output.write_raw("₿\n")

    assert raw.getvalue() == "₿\n".encode()


def test_the_last_line_on_stderr_says_what_is_old(make_snapshot, capsys):
    """An earlier snapshot in the totals is told with its moment and its age."""
    output.echo_failures(merge([make_snapshot("shop", ("BTC", "1"), stale=True)]))

    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("INCOMPLETE: 1 of 1 account could not be read anew; the totals hold an earlier shop (as of ")
    assert "2026-01-01 00:00 UTC, " in last
