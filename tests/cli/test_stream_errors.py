"""What stdout and stderr do where they cannot take what is written."""

import io
import os
import sys

import pytest

from balancekit.cli import output
from balancekit.cli.stream_errors import escape_unencodable, silence_broken_pipes


def test_a_reader_that_has_gone_is_an_error(monkeypatch):
    """It is told as what it is, and what is left to write goes nowhere."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)

        with pytest.raises(BrokenPipeError):
            output.echo("anything")
        silence_broken_pipes()

        stream.write("more")
        stream.flush()


def test_a_character_that_the_encoding_lacks_is_escaped(monkeypatch):
    """Text for people is shown as far as it can be; a stream of another kind is left as it is."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    escape_unencodable()
    output.echo("₿")

    assert raw.getvalue() == b"\\u20bf\n"
