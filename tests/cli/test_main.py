"""The console script, with its extra and without."""

import runpy
import sys

import pytest

from balancekit.__main__ import main


@pytest.mark.parametrize(
    ("missing", "named"), [(["click"], "click"), (["rich"], "rich"), (["click", "rich"], "click and rich")]
)
def test_without_its_extra_it_says_what_to_install(monkeypatch, capsys, missing, named):
    """A library that was installed without the command line's needs explains itself."""
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
    """With its extra it does what it is told."""
    monkeypatch.setattr(sys, "argv", ["balancekit", "--version"])
    monkeypatch.delitem(sys.modules, "balancekit.__main__")

    with pytest.raises(SystemExit) as caught:
        start()

    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("balancekit, version ")
