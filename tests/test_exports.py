"""The public surface, and what importing it costs."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import balancekit


def public_names():
    """Return the names without an underscore that stand in the package itself."""
    return {
        name for name, value in vars(balancekit).items() if not name.startswith("_") and not inspect.ismodule(value)
    }


def test_all_is_sorted_and_complete():
    """`__all__` is every public name that the package has, used or not yet, and nothing else."""
    for name in dir(balancekit):
        getattr(balancekit, name)

    assert set(balancekit.__all__) == (public_names() | {"__version__"}) - {"TYPE_CHECKING"}
    assert len(balancekit.__all__) == len(set(balancekit.__all__))


def test_a_name_is_where_the_table_says_and_where_type_checkers_are_told():
    """A name that is imported on its first use is the one that type checkers see."""
    tree = ast.parse(Path(balancekit.__file__).read_text())
    told = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("balancekit.")
        for alias in node.names
    }

    assert set(told) == set(balancekit.__all__)
    for name, module in told.items():
        assert getattr(balancekit, name) is getattr(importlib.import_module(module), name)


def test_a_name_that_is_used_is_looked_up_once():
    """From its first use on, a name costs what it would have cost had it been there from the start."""
    merge = balancekit.merge

    assert vars(balancekit)["merge"] is merge


def test_a_name_that_is_not_there_is_an_attribute_error():
    """A misspelt name is told as in any module."""
    with pytest.raises(AttributeError, match="module 'balancekit' has no attribute 'Aggregator'"):
        balancekit.Aggregator  # noqa: B018 - looking is enough
    with pytest.raises(ImportError, match="cannot import name 'Aggregator'"):
        exec("from balancekit import Aggregator", {})


def test_everything_can_be_imported_at_once():
    """Names that are not there yet are listed, found by their star and completed by a shell."""
    code = """if True:
        import balancekit
        listed = dir(balancekit)
        from balancekit import *
        print({*listed} >= {*balancekit.__all__} <= {*globals()})
    """

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "True"


@pytest.mark.parametrize("name", sorted(set(balancekit.__all__) - {"__version__", "CRYPTOPROCESSING_2026"}))
def test_every_public_name_is_documented(name):
    """Whoever asks for help on a name gets a sentence, and so on each of its public methods."""
    named = getattr(balancekit, name)

    assert named.__doc__
    for attribute, member in vars(named).items() if inspect.isclass(named) else ():
        if inspect.isfunction(member) and not attribute.startswith("_"):
            assert member.__doc__, f"{name}.{attribute}"


@pytest.mark.parametrize(
    "heavy",
    [
        "aiohttp.web",
        "cryptography",
        "click",
        "rich",
        "opentelemetry",
        "redis",
        "balancekit.sandbox",
        "balancekit.cli",
    ],
)
def test_importing_the_package_leaves_heavy_parts_alone(heavy):
    """A service that awaits balances does not pay for the terminal, the sandbox or keys that it has not."""
    code = f"import sys; from balancekit import *; print({heavy!r} in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"


def test_the_type_checked_file_uses_every_public_name():
    """What the type checkers prove, they prove of the whole surface."""
    text = (Path(__file__).parent / "typing" / "api.py").read_text()

    assert [name for name in balancekit.__all__ if text.count(name) < 2] == []
