"""The documentation as data: its pages, and their blocks of code, tables, links and headings."""

import ast
import re
import tomllib
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    ROOT / "benchmarks" / "README.md",
    *sorted(ROOT.glob("examples/packages/*/README.md")),
]
PAGES = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SESSIONS = {
    node.name
    for node in ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
}


@attrs.frozen
class Block:
    """One block of code; `output` is the block of text right below it, if there is one."""

    page: str
    line: int
    kind: str
    code: str
    output: str | None

    @property
    def place(self) -> str:
        """The page and the line of the block."""
        return f"{self.page}:{self.line}"


def blocks(kind: str) -> list[Block]:
    """Return all blocks of a kind, such as "python"."""
    pattern = re.compile(rf"^```{kind}\n(.*?)^```$(?:\n+^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, kind, found[1], found[2])
        for page, text in PAGES.items()
        for found in pattern.finditer(text)
    ]


def rows(page: str, column: str) -> list[dict[str, str]]:
    """Return the rows of the page's table that has the column, by the heads of its columns."""
    for table in re.findall(r"(?:^\|.*\|\n)+", PAGES[page], re.MULTILINE):
        head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        if column in head:
            return [dict(zip(head, cells, strict=True)) for cells in body]
    raise LookupError(f"{page} has no table with the column {column!r}")


def words(cell: str) -> list[str]:
    """Return what a cell shows as code, without arguments: the names `a` and `b` of "`a(x)`, `b`"."""
    return [word.partition("(")[0] for word in re.findall(r"`([^`]+)`", cell)]


def links(page: str) -> list[str]:
    """Return where the links and images of a page lead."""
    return re.findall(r"\]\(([^)\s]+)\)", PAGES[page])


def anchors(page: str) -> set[str]:
    """Return the names by which links lead to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", PAGES[page], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
