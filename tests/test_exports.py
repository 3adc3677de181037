"""The public surface, and what importing it costs."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import balancekit


def test_all_is_sorted_and_complete():
    """`__all__` is every public name that the package has, and nothing else."""
    public = {
        name for name, value in vars(balancekit).items() if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert set(balancekit.__all__) == public | {"__version__"}
    assert len(balancekit.__all__) == len(set(balancekit.__all__))


@pytest.mark.parametrize("name", sorted(set(balancekit.__all__) - {"__version__", "CRYPTOPROCESSING_2026"}))
def test_every_public_name_is_documented(name):
    """Whoever asks for help on a name gets a sentence, and so on each of its public methods."""
    named = getattr(balancekit, name)

    assert named.__doc__
    for attribute, member in vars(named).items() if inspect.isclass(named) else ():
        if inspect.isfunction(member) and not attribute.startswith("_"):
            assert member.__doc__, f"{name}.{attribute}"


@pytest.mark.parametrize(
    "heavy", ["aiohttp.web", "cryptography", "click", "rich", "opentelemetry", "balancekit.sandbox", "balancekit.cli"]
)
def test_importing_the_package_leaves_heavy_parts_alone(heavy):
    """A service that awaits balances does not pay for the terminal, the sandbox or keys that it has not."""
    code = f"import sys, balancekit; print({heavy!r} in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"


def test_the_type_checked_file_uses_every_public_name():
    """What the type checkers prove, they prove of the whole surface."""
    text = (Path(__file__).parent / "typing" / "api.py").read_text()

    assert [name for name in balancekit.__all__ if text.count(name) < 2] == []
