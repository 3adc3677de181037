"""The console script, with and without the dependencies of the extra `cli`."""

import runpy
import sys
from types import ModuleType

import pytest

from balancekit.__main__ import main


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


def test_ctrl_c_while_modules_are_imported_is_no_traceback(monkeypatch, capsys):
    """It ends the command as it does later."""

    class Interrupted(ModuleType):
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "balancekit.cli", Interrupted("balancekit.cli"))

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 130
    assert capsys.readouterr() == ("", "Interrupted.\n")
