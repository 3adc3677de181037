"""Whether the links of the built site lead somewhere, without a network: `python docs/check_links.py FOLDER`.

A link within the site has to lead to a file that there is, and to an anchor that it has. Of a link to another site only
the form is checked: https, and the name of a host.
"""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# No host of the public internet has a name without a dot.
_LABELS = 2


class _Page(HTMLParser):
    """The anchors of a page, and where its links, pictures, styles and scripts come from."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in {"href", "src"}:
                self.links.append(value or "")


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def problems(site: Path) -> list[str]:
    """Return a line for each link that leads nowhere."""
    site = site.resolve()
    return [
        f"{path.relative_to(site)}: {link!r}: {problem}"
        for path in sorted(site.rglob("*.html"))
        for link in dict.fromkeys(_read(path).links)
        if (problem := _problem(site, path, link)) is not None
    ]


def _problem(site: Path, page: Path, link: str) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        host = (parts.hostname or "").split(".")
        well_formed = parts.scheme == "https" and link.isprintable() and " " not in link and not parts.username
        is_public = len(host) >= _LABELS and all(host)
        return None if well_formed and is_public else "not the https:// URL of a public host"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_relative_to(site) or not target.is_file():
        return "no such file in the site"
    if target.suffix == ".html" and unquote(parts.fragment) not in _read(target).anchors:
        return "no such anchor in the page"
    return None


def main() -> None:
    """Print what is wrong, and exit with 1 if anything is."""
    found = problems(Path(sys.argv[1]))
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
