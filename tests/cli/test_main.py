"""The console script: with and without the dependencies of the extra `cli`, and interrupted."""

import runpy
import signal
import sys
from types import ModuleType

import pytest

from balancekit.__main__ import main
from balancekit.cli import cli


@pytest.mark.parametrize(
    ("missing", "named"), [(["click"], "click"), (["rich"], "rich"), (["click", "rich"], "click and rich")]
)
def test_without_its_extra_it_says_what_to_install(monkeypatch, capsys, missing, named):
    """If click or rich is missing, stderr says what to install, and the exit code is 2."""
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 2
    assert capsys.readouterr() == (
        "",
        f"The balancekit command needs {named}. Install it with: pip install 'balancekit[cli]'\n",
    )


def _run_module():
    runpy.run_module("balancekit", run_name="__main__")


@pytest.mark.parametrize("start", [main, _run_module], ids=["console script", "python -m"])
def test_it_runs_the_command_line(monkeypatch, capsys, start):
    """The console script and `python -m balancekit` print the version."""
    monkeypatch.setattr(sys, "argv", ["balancekit", "--version"])
    monkeypatch.delitem(sys.modules, "balancekit.__main__")

    with pytest.raises(SystemExit) as caught:
        start()

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("balancekit, version ")


@pytest.fixture
def same_handler():
    """Put the handler of Ctrl-C back, which the end of a command replaces."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_modules_are_imported_is_no_traceback(monkeypatch, capsys, same_handler):
    """It ends the command as it does later."""

    class Interrupted(ModuleType):
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "balancekit.cli", Interrupted("balancekit.cli"))

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 130
    assert capsys.readouterr() == ("", "Interrupted.\n")


def test_ctrl_c_while_options_are_read_is_an_interrupt(run, monkeypatch):
    """It ends the command as it does later."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "get_help", interrupt)

    result = run("--help")

    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


INTERRUPTED_LATE = """
import atexit, signal
atexit.register(signal.raise_signal, signal.SIGINT)
"""
INTERRUPTED_TWICE = """
import signal
from balancekit.cli import output

output.print_table = output.end_interrupted_line = lambda *_: signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process does not end by Ctrl-C there")
@pytest.mark.parametrize("first", [INTERRUPTED_LATE, INTERRUPTED_TWICE], ids=["after the result", "twice"])
def test_ctrl_c_while_the_process_ends_is_no_traceback(start, first):
    """It ends at once, with the signal, from which a shell makes the same exit code."""
    process = start("currencies", first=first)

    stderr = process.communicate()[1]

    assert (process.returncode, stderr) == (-signal.SIGINT, "")


@pytest.mark.skipif(sys.platform == "win32", reason="a process does not end by Ctrl-C there")
def test_ctrl_c_after_options_that_cannot_be_read_is_no_traceback(start):
    """It ends the process as it does after a command."""
    process = start("--no-such-option", first=INTERRUPTED_LATE)

    stderr = process.communicate()[1]

    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in stderr


def test_ctrl_c_that_is_ignored_stays_so(start):
    """As a shell lets a job in the background ignore it."""
    process = start("currencies", first=f"{INTERRUPTED_LATE}signal.signal(signal.SIGINT, signal.SIG_IGN)")

    stderr = process.communicate()[1]

    assert (process.returncode, stderr) == (0, "")
