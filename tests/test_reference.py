"""The reference in docs/reference: an entry for every public name, and for whatever pages and programs import."""

import ast
import importlib
import pkgutil
import re
from collections import Counter

import balancekit
from balancekit.testing import ProviderContract, pytest_plugin
from tests.support.pages import PAGES, ROOT, blocks

ENTRIES = [
    name
    for page, text in PAGES.items()
    if page.startswith("docs/reference/")
    for name in re.findall(r"^\.\. auto\w+:: ([\w.]+)(?:\(\))?$", text, re.MULTILINE)
]


def public_names():
    """Return the public names of the package, of the packages in it, and of the fixtures, each by its shortest path."""
    modules = ["balancekit", *(module.name for module in pkgutil.iter_modules(balancekit.__path__, "balancekit."))]
    # Its one name is the command, whose reference is its --help.
    exported = [
        (module, name)
        for module in modules
        if module not in {"balancekit.__main__", "balancekit.cli"}
        for name in getattr(importlib.import_module(module), "__all__", ())
    ]
    fixtures = {f"{pytest_plugin.__name__}.{name}" for name in vars(pytest_plugin) if name.startswith("balancekit_")}
    return fixtures | {
        f"{module}.{name}" for module, name in exported if module == "balancekit" or name not in balancekit.__all__
    }


def imported_names():
    """Return what the blocks of the pages and the programs in `examples/` import from the package, with its module."""
    programs = [block.code for block in blocks("python")]
    programs += [path.read_text(encoding="utf-8") for path in ROOT.glob("examples/**/*.py")]
    return {
        (node.module, alias.name)
        for code in programs
        # A block may begin inside a function.
        if code[:1].strip()
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "balancekit"
        for alias in node.names
    }


def test_every_public_name_has_one_entry():
    """A new name in `__all__` needs an entry, and a removed one leaves none; what programs import may have one."""
    imported = {f"{module}.{name}" for module, name in imported_names()}

    assert {name: count for name, count in Counter(ENTRIES).items() if count != 1} == {}
    assert public_names() - {*ENTRIES} == set()
    assert {*ENTRIES} - public_names() - imported == set()


def test_the_contract_shows_all_that_an_author_defines():
    """Its entry names each method and attribute that is no test."""
    listed = re.findall(r"^   \.\. auto(?:method|attribute):: (\w+)$", PAGES["docs/reference/testing.md"], re.MULTILINE)
    public = {name for name in dir(ProviderContract) if not name.startswith(("_", "test_", "pytest_"))}

    assert sorted(listed) == sorted(public)


def test_what_programs_import_has_an_entry():
    """A reader finds every name that a page or an example imports."""
    documented = [_resolve(name) for name in ENTRIES]

    missing = [
        f"{module}.{name}"
        for module, name in sorted(imported_names())
        if not any(_resolve(f"{module}.{name}") is each for each in documented)
    ]

    assert missing == []


def _resolve(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)
