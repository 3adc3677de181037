"""What is installed, in a checkout as from a wheel: every module, the version, the console script and the extras."""

import importlib
import importlib.metadata
import importlib.resources
import pkgutil
import re

import balancekit
from balancekit.__main__ import main


def test_every_module_can_be_imported():
    """No module needs a file that was left out."""
    modules = [module.name for module in pkgutil.walk_packages(balancekit.__path__, "balancekit.")]

    imported = [importlib.import_module(name).__name__ for name in modules if not name.endswith("__main__")]

    assert {"balancekit.client", "balancekit.stores.redis.store", "balancekit.webhooks.asgi"} <= set(imported)


def test_type_checkers_are_invited():
    """The marker of PEP 561 is installed with the package."""
    assert importlib.resources.files(balancekit).joinpath("py.typed").is_file()


def test_the_version_is_that_of_the_distribution():
    """The package and the index name the same version."""
    assert importlib.metadata.version("balancekit") == balancekit.__version__


def test_the_console_script_is_installed():
    """`balancekit` on a command line is the function that `python -m balancekit` runs."""
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="balancekit")

    assert script.load() is main


def test_each_extra_is_offered():
    """An extra that the documentation names can be installed."""
    offered = importlib.metadata.metadata("balancekit").get_all("Provides-Extra")

    assert set(offered) == {"cli", "keyring", "otel", "redis"}


def test_each_dependency_has_a_lowest_version_and_no_other_bound():
    """`nox -s lowest` installs that version, and applications choose any later one."""
    requirements = importlib.metadata.requires("balancekit")

    assert [each for each in requirements if not re.fullmatch(r"[\w-]+>=[\d.]+(; extra == .*)?", each)] == []


def test_no_aiohttp_is_admitted_that_inflates_without_a_bound():
    """In aiohttp 3.14.0, 64 KiB become 4 GiB before anybody can look at their size."""
    requirements = importlib.metadata.requires("balancekit") or []
    (lowest,) = (each.partition(">=")[2] for each in requirements if each.startswith("aiohttp>="))

    assert tuple(map(int, lowest.split("."))) >= (3, 14, 1)
