"""The site: the pages of the repository as they are, and the reference from the docstrings; `nox -s docs` builds it.

The source directory is the repository's root, so that the relative links between pages lead to the same places on the
site as they do where the files themselves are shown.
"""

import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.logging import getLogger

from balancekit.version import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT: Final = Path(__file__).parents[1]

_log: Final = getLogger(__name__)

_DEFAULTS: Final = (
    (re.compile(r"<(?:built-in )?(?:function|method) (\w+)[^>]*>"), r"\1"),
    # Of attrs, for a default that is made anew.
    (re.compile(r"\bNOTHING\b"), "..."),
    (re.compile(r"<CIMultiDictProxy\(\)>|mappingproxy\(\{\}\)"), "{}"),
)

project = "balancekit"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
include_patterns = ["*.md", "docs/**", "benchmarks/README.md", "examples/packages/*/README.md"]
# The folders that tools make, which would be searched for pages as well.
exclude_patterns = [".*", "build", "dist"]
# Anchors of headings as GitHub makes them.
myst_heading_anchors = 4

# Docstrings have names in single backticks: a link where the reference has the name, and code anywhere.
default_role = "py:obj"
smartquotes = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
maximum_signature_line_length = 88
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"balancekit {release}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False


def _navigation(folder: str) -> str:
    """Return a hidden table of contents for each list of pages in a folder's README, under the heading of the list."""
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    tables = []
    for section in re.split(r"^##? ", text, flags=re.MULTILINE)[1:]:
        pages = re.findall(r"^[-|] \[[^\]]+\]\(([^)#]+)\.md\)", section, re.MULTILINE)
        paths = [f"/{(ROOT / folder / page).resolve().relative_to(ROOT)}" for page in pages]
        if paths:
            tables += ["```{toctree}", ":hidden:", f":caption: {section.splitlines()[0]}", "", *paths, "```", ""]
    return "\n".join(tables)


def add_navigation(_: "Sphinx", page: str, source: list[str]) -> None:
    """Add to the first page the lists of docs/README.md, and to the list of a folder itself."""
    if page == root_doc:
        source[0] += f"```{{toctree}}\n:hidden:\n\ndocs/README\n```\n\n{_navigation('docs')}"
    elif page in {"docs/hosts/README", "docs/reference/README"}:
        source[0] += _navigation(page.removesuffix("/README"))


def shorten_signature(
    _: "Sphinx", _what: str, _name: str, named: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write defaults as code, and leave out the arguments of a protocol's constructor: Python invents them."""
    if getattr(named, "_is_protocol", False):
        return "", returns
    for pattern, code in _DEFAULTS:
        signature = signature and pattern.sub(code, signature)
    return signature, returns


def describe_data(_: "Sphinx", what: str, name: str, _named: object, _options: object, lines: list[str]) -> None:
    """Take what is written below a constant where it is defined; its own docstring is that of its type."""
    if what == "data":
        key = ("", name.rpartition(".")[2])
        modules = [module for module in sys.modules if module.partition(".")[0] == "balancekit"]
        found = [docs[key] for docs in map(_docs_of_attributes, modules) if key in docs]
        if not found:
            _log.warning("%s has no docstring where it is defined", name)
        lines[:] = found[0] if found else []


@cache
def _docs_of_attributes(module: str) -> dict[tuple[str, str], list[str]]:
    return ModuleAnalyzer.for_module(module).find_attr_docs()


def copy_first_page(app: "Sphinx", error: Exception | None) -> None:
    """Have the site begin where servers look for it."""
    if error is None:
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: "Sphinx") -> dict[str, Any]:
    """Connect the functions above."""
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", describe_data)
    app.connect("build-finished", copy_first_page)
    return {"parallel_read_safe": True}
