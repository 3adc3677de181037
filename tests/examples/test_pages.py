"""The pages in docs/hosts: each is about one program, shows parts of it, and has a test that passes."""

import ast
import asyncio
import inspect
import json
import re

import pytest

from tests.support.pages import PAGES, ROOT, blocks, links

HOSTS = [page for page in PAGES if page.startswith("docs/hosts/") and not page.endswith("README.md")]
HEADINGS = ["Set up", "Use", "Health", "Shut down", "Test"]
BLOCKS = [block for block in blocks("python") if block.page.startswith("docs/hosts/")]
PARTS = [block for block in BLOCKS if "def test_" not in block.code]
TESTS = [block for block in BLOCKS if block not in PARTS]


def program(page):
    """Return the path of the program that a page is about: the first that it links to."""
    link = next(link for link in links(page) if "/examples/" in link)
    return (ROOT / page).parent.joinpath(link).resolve()


def source(page):
    """Return the code of the program that a page is about; of a notebook, that of its cells."""
    text = program(page).read_text()
    if program(page).suffix == ".py":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def without_indent(code):
    """Return code by the content of its lines."""
    return "\n".join(line.strip() for line in code.splitlines())


def test_each_program_has_a_page():
    """There is a page for each program and a program for each page."""
    programs = {path for path in (ROOT / "examples").iterdir() if path.suffix in {".py", ".ipynb"}}

    assert sorted(map(program, HOSTS)) == sorted(programs)


@pytest.mark.parametrize("page", HOSTS)
def test_a_page_has_the_headings_of_all_others(page):
    """A reader finds the same questions on each page, in the same order."""
    assert re.findall(r"^## (.+)$", PAGES[page], re.MULTILINE) == HEADINGS
    assert [block.page for block in TESTS if block.page == page] == [page]


@pytest.mark.parametrize("page", HOSTS)
def test_a_program_is_short(page):
    """It is less than 60 lines."""
    assert len(source(page).splitlines()) < 60


@pytest.mark.parametrize("page", HOSTS)
def test_a_program_has_all_that_its_file_says(page):
    """It makes its client by the configuration, so that aliases, settings and the store come along."""
    assert re.findall(r"\bconfig\.(?!make_)\w+|\)\.(?:providers|aliases|client_settings|store)\b", source(page)) == []


@pytest.mark.parametrize("block", PARTS, ids=[block.place for block in PARTS])
def test_a_page_shows_a_part_of_its_program(block):
    """What a page shows is in the program as it stands."""
    assert without_indent(block.code) in without_indent(source(block.page))


@pytest.mark.parametrize("block", TESTS, ids=[block.place for block in TESTS])
def test_the_test_that_a_page_shows_passes(block, request):
    """A reader can copy it; where what it imports is not installed, it is skipped."""
    for node in ast.walk(ast.parse(block.code + source(block.page))):
        for name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else []:
            pytest.importorskip(name)
        if isinstance(node, ast.ImportFrom):
            pytest.importorskip(node.module)
    names = {}
    exec(compile(block.code, block.place, "exec"), names)

    for name, test in names.items():
        if name.startswith("test_"):
            outcome = test(**{each: request.getfixturevalue(each) for each in inspect.signature(test).parameters})
            if inspect.iscoroutine(outcome):
                asyncio.run(outcome)
