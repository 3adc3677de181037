"""The public surface, and what importing it costs."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import balancekit


def names_for_type_checkers():
    """Return the names that the package exports to type checkers, each with its module."""
    nodes = ast.walk(ast.parse(Path(balancekit.__file__).read_text()))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module.startswith("balancekit.")]
    return {alias.asname: node.module for node in imports for alias in node.names}


def test_type_checkers_see_the_names_that_there_are():
    """A name that is imported on its first use is the one that type checkers see, of the same module."""
    seen = names_for_type_checkers()

    assert set(seen) == set(balancekit.__all__)
    for name, module in seen.items():
        assert getattr(balancekit, name) is getattr(importlib.import_module(module), name)


def test_the_package_has_no_other_names():
    """What is not exported begins with an underscore, or is there for type checkers."""
    for name in dir(balancekit):
        getattr(balancekit, name)
    names = {name for name, value in vars(balancekit).items() if not inspect.ismodule(value) and name[0] != "_"}

    assert names - {"TYPE_CHECKING"} == set(balancekit.__all__) - {"__version__"}


def test_the_type_checked_file_uses_every_public_name():
    """What the type checkers prove, they prove of the whole surface."""
    tree = ast.parse((Path(__file__).parent / "typing" / "api.py").read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}

    assert set(balancekit.__all__) <= used


def test_a_name_that_is_used_is_looked_up_once():
    """From its first use on, a name costs no more than in any module."""
    merge = balancekit.merge

    assert vars(balancekit)["merge"] is merge


def test_a_name_that_is_not_there_is_an_attribute_error():
    """A misspelt name raises what it would in any module."""
    with pytest.raises(AttributeError, match="module 'balancekit' has no attribute 'Aggregator'"):
        balancekit.Aggregator  # noqa: B018 - looking is enough
    with pytest.raises(ImportError, match="cannot import name 'Aggregator'"):
        exec("from balancekit import Aggregator", {})


def test_everything_can_be_imported_at_once():
    """Names that are not imported yet are listed by `dir`, imported by `*` and completed by a shell."""
    code = """if True:
        import balancekit
        listed = dir(balancekit)
        from balancekit import *
        print({*listed} >= {*balancekit.__all__} <= {*globals()})
    """

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "True"


@pytest.mark.parametrize("name", sorted(name for name in balancekit.__all__ if not name.isupper() and name[0] != "_"))
def test_every_public_name_is_documented(name):
    """`help` shows a docstring of every name, and of each of its public methods."""
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
    """A service that reads balances does not pay for the terminal, the sandbox or keys that it does not use."""
    code = f"import sys; from balancekit import *; print({heavy!r} in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"
