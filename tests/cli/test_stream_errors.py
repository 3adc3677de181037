"""stdout and stderr that cannot encode a character, or whose reader closed the pipe."""

import io
import os
import shlex
import subprocess
import sys

import pytest

from balancekit.cli import output
from balancekit.cli.stream_errors import discard_unwritten, prepare_streams


def test_a_closed_pipe_is_an_error_once(monkeypatch):
    """Writing to a closed pipe raises BrokenPipeError; after that, output to it is discarded."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)

        with pytest.raises(BrokenPipeError):
            output.echo("anything")
        discard_unwritten()

        stream.write("more")
        stream.flush()


def test_a_character_that_the_encoding_lacks_is_escaped(monkeypatch):
    """An escape replaces the character; a stream without an encoding is left as it is."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    prepare_streams()
    output.echo("₿")

    assert raw.getvalue() == b"\\u20bf\n"


@pytest.mark.parametrize(
    "arguments",
    [("demo",), ("balances", "--config", "{}"), ("--help",), ("--version",)],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.parametrize(
    ("target", "reason"), [("/dev/full", "No space left on device"), ("&-", "Bad file descriptor")]
)
def test_a_result_that_cannot_be_written_is_an_error(accounts_toml, arguments, target, reason):
    """Of a full disk, or a stdout that is closed: one line on stderr, an exit code of its own, and no traceback."""
    command = shlex.join([sys.executable, "-m", "balancekit", *(each.format(accounts_toml) for each in arguments)])

    ran = subprocess.run(["sh", "-c", f"{command} >{target}"], capture_output=True, text=True, check=False)

    if arguments[0].startswith("--") and target == "&-":
        # click writes nothing to a stdout that is closed.
        return
    assert ran.stderr == f"Error: stdout: {reason}\n"
    assert ran.returncode == 4


def test_a_closed_stderr_does_not_change_the_result(accounts_toml, wrong_secret):
    """What would be written there is lost, and the exit code tells."""
    command = shlex.join([sys.executable, "-m", "balancekit", "balances", "--config", str(accounts_toml)])

    ran = subprocess.run(["sh", "-c", f"{command} 2>&-"], capture_output=True, text=True, check=False)

    assert ran.returncode == 3
    assert "INCOMPLETE: 1 of 3 accounts could not be read: shop-eu" in ran.stdout
