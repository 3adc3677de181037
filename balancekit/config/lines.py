"""On which line of a TOML text each key is: the parser of the standard library does not say. Pure."""

import re
import tomllib
from collections.abc import Iterator
from typing import Final, cast

_PART: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}\n=]"
    r"""|[^"'#\[\]{}\n=]+""",
    re.DOTALL,
)


def lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """Return the line, from 1, on which each key of a valid document begins, by its path.

    Keys within an inline table are not in it; they are on the line of the key that has the table, or soon after.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for line, head in _statements(text):
        if head.startswith("["):
            table = _path_of(head)
            path = table
        else:
            path = (*table, *_path_of(f"{head} = 0"))
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
    return lines


def line_of(lines: dict[tuple[str, ...], int], path: tuple[str, ...]) -> int | None:
    """Return the line of a path, or of the part of the document that it is in."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Give the line and the head of each statement: a table's name in brackets, or what is in front of a `=`."""
    line, begun, head, depth, has_value = 1, 1, "", 0, False
    for match in _PART.finditer(text.replace("\r\n", "\n") + "\n"):
        part = match[0]
        if part == "\n" and depth == 0:
            if head.strip():
                yield begun, head.strip()
            head, has_value = "", False
        elif not part.startswith("#"):
            is_header = head.lstrip().startswith("[") or (not head.strip() and part == "[")
            if part == "=" and not is_header:
                has_value = True
            if not has_value:
                begun = begun if head.strip() else line
                head += part
            elif part in {"[", "{"}:
                depth += 1
            elif part in {"]", "}"}:
                depth -= 1
        line += part.count("\n")


def _path_of(head: str) -> tuple[str, ...]:
    node: object = tomllib.loads(head)
    path: tuple[str, ...] = ()
    while node:
        # An array of tables has one for each of its headers.
        table = cast("list[object]", node)[0] if isinstance(node, list) else node
        if not isinstance(table, dict) or not table:
            break
        ((name, node),) = cast("dict[str, object]", table).items()
        path += (name,)
    return path
