"""The documentation: every command that it names exists, every link leads somewhere, and every page is listed."""

import re
import shlex
from importlib.metadata import entry_points

import click
import pytest

from balancekit.cli import cli
from tests.support.pages import PAGES, PYPROJECT, ROOT, SESSIONS, anchors, blocks, links

COMMANDS = [
    (block.place, command)
    for block in blocks("console")
    for line in block.code.splitlines()
    for command in line.split(" && ")
]


@pytest.mark.parametrize("command", [command for _, command in COMMANDS], ids=[place for place, _ in COMMANDS])
def test_a_command_exists(command):
    """Every command line names a program, a command, options, sessions, extras and files that there are."""
    program, *arguments = shlex.split(command)

    match program.rpartition("/")[2]:
        case "balancekit":
            cli.commands[arguments[0]].make_context(arguments[0], arguments[1:])
        case "nox" if arguments:
            assert arguments[0] == "-s"
            assert arguments[1] in SESSIONS
        case "pip":
            extras = [extra for argument in arguments for extra in re.findall(r"\[(.*)\]", argument)]
            assert arguments[0] == "install"
            assert set(extras) <= set(PYPROJECT["project"]["optional-dependencies"])
        case known:
            assert known in {"python3", "pytest", "nox", "celery", "jupyter"}
    for file in re.findall(r"\btests/\S+", command):
        assert (ROOT / file).exists()


def test_extras_that_are_mentioned_exist():
    """What a page tells a reader to install can be installed."""
    mentioned = {extra for text in PAGES.values() for extra in re.findall(r"'balancekit\[(\w+)\]'", text)}

    assert mentioned <= set(PYPROJECT["project"]["optional-dependencies"])


def test_sessions_that_are_mentioned_exist():
    """What a page tells a contributor to run can be run."""
    mentioned = {session for text in PAGES.values() for session in re.findall(r"nox -s (\w+)", text)}

    assert mentioned <= SESSIONS


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """A link within the repository is relative, and its file and heading exist."""
    for link in links(page):
        if link.startswith("https://"):
            assert "github.com" not in link
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.relative_to(ROOT).as_posix()), link


@pytest.mark.parametrize("folder", ["docs", "docs/hosts", "docs/reference"])
def test_every_page_is_listed(folder):
    """The lists of pages are complete; that of `docs/`, to which the README leads, has those of its folders."""
    index = f"{folder}/README.md"
    listed = {(ROOT / folder / link).resolve() for link in links(index) if "//" not in link}
    pages = {page for page in PAGES if page.rpartition("/")[0] == folder} - {index}
    lists = {page for page in PAGES if re.fullmatch(rf"{folder}/\w+/README\.md", page)}

    assert [page for page in pages | lists if (ROOT / page) not in listed] == []
    assert "docs/README.md" in links("README.md")


def test_pages_beside_their_subject_are_listed():
    """So are those in other folders: the site takes its pages from the list."""
    listed = {(ROOT / "docs" / link).resolve() for link in links("docs/README.md") if "//" not in link}
    pages = {*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("examples/packages/*/*.md")}

    assert pages <= listed


def test_the_readme_can_be_read_in_two_minutes():
    """What is for later is on a page of its own."""
    assert len(PAGES["README.md"].splitlines()) <= 220


def test_ci_runs_the_readmes_test_command():
    """The command that a newcomer reads is the one that is run before a change lands."""
    (command,) = [
        line
        for block in blocks("console")
        if block.page == "README.md"
        for line in block.code.splitlines()
        if line.endswith("nox")
    ]

    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_command_is_installed():
    """The name that the pages use is the name of the command."""
    (script,) = entry_points(group="console_scripts", name="balancekit")

    assert script.value == "balancekit.__main__:main"
    assert isinstance(cli, click.Group)
