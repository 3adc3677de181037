"""stdout and stderr that cannot encode a character, or whose reader closed the pipe."""

import io
import os
import sys

import pytest

from balancekit.cli import output
from balancekit.cli.stream_errors import escape_unencodable, silence_broken_pipes


def test_a_closed_pipe_is_an_error_once(monkeypatch):
    """Writing to a closed pipe raises BrokenPipeError; after that, output to it is discarded."""
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
    """An escape replaces the character; a stream without an encoding is left as it is."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    escape_unencodable()
    output.echo("₿")

    assert raw.getvalue() == b"\\u20bf\n"
