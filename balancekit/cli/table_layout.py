"""A table that is laid out for the width at which it is shown: none of its words and amounts is broken. Pure."""

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text


class Table:
    """Rows of cells below the names of their columns; a cell of a column in `whole` is never wrapped.

    On a terminal that is too narrow for all columns, the first, as many as `leading`, stand in a line above the others,
    and the last, as many as `trailing`, in one below. Where even this is too wide, each cell has a line with the name
    of its column.
    """

    def __init__(self, *columns: str, whole: Collection[str] = (), leading: int = 0, trailing: int = 0) -> None:
        self._columns = columns
        self._whole = [name in whole for name in columns]
        self._leading = leading
        self._middle = slice(leading, len(columns) - trailing)
        self._rows: list[Sequence[Text]] = []
        self._ends: set[int] = set()

    def add_row(self, *cells: "Text", style: str = "") -> None:
        """Add a row; cells that are left out at its end are empty."""
        from rich.text import Text

        missing = [Text()] * (len(self._columns) - len(cells))
        self._rows.append([Text.assemble(cell, style=style) for cell in (*cells, *missing)])

    def add_section(self) -> None:
        """Leave a line between the rows that are there and those that follow."""
        self._ends.add(len(self._rows))

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        from rich.text import Text

        for line in (Text(), *self._lines(console, options), Text()):
            shown = Text.assemble(line, no_wrap=True, overflow="ignore")
            shown.rstrip()
            yield shown

    def _lines(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        least, most = self._measure()
        every = slice(0, len(self._columns))
        layouts = [(every, most, 1, 3), (every, most, 0, 1), (every, least, 1, 3), (every, least, 0, 1)]
        layouts += [(self._middle, least, 1, 3), (self._middle, least, 1, 1)]
        for middle, needed, edge, gap in layouts:
            available = options.max_width - edge - gap * (len(needed[middle]) - 1)
            if sum(needed[middle]) <= available:
                widths = _share(available, needed[middle], most[middle])
                return self._in_columns(console, middle, widths, " " * edge, " " * gap)
        return self._in_lines(console)

    def _measure(self) -> tuple[list[int], list[int]]:
        """Return how wide each column is with its cells wrapped between all words, and without."""
        from rich.cells import cell_len

        least: list[int] = []
        most: list[int] = []
        for index, name in enumerate(self._columns):
            texts = [name, *(row[index].plain for row in self._rows)]
            most.append(max(map(cell_len, texts)))
            words = (cell_len(word) for text in texts for word in text.split())
            least.append(most[-1] if self._whole[index] else max(words))
        return least, most

    def _in_columns(
        self, console: "Console", middle: slice, widths: list[int], edge: str, gap: str
    ) -> "Iterator[Text]":
        from rich.text import Text

        names = [Text(name, "bold") for name in self._columns]
        for index, row in enumerate([names, *self._rows], start=-1):
            if index == 0:
                rule = "-" if console.options.ascii_only else "─"
                yield Text(edge + rule * len(gap.join(" " * width for width in widths)))
            elif index in self._ends:
                yield Text()
            yield from _in_one(console, row[: middle.start])
            cells = [
                [cell] if whole else cell.wrap(console, width)
                for cell, whole, width in zip(row[middle], self._whole[middle], widths, strict=True)
            ]
            for parts in zip_longest(*cells, fillvalue=Text()):
                padded = (
                    Text.assemble(part, " " * (width - part.cell_len))
                    for part, width in zip(parts, widths, strict=True)
                )
                yield Text.assemble(edge, Text(gap).join(padded))
            yield from _in_one(console, row[middle.stop :], indent=3)

    def _in_lines(self, console: "Console") -> "Iterator[Text]":
        from rich.text import Text

        # One column at least says what the lines are about.
        leading = max(self._leading, 1)
        names = self._columns[leading:]
        indent = max(map(len, names)) + 4
        for index, row in enumerate(self._rows):
            if index in self._ends:
                yield Text()
            yield from _in_one(console, row[:leading])
            for name, cell, whole in zip(names, row[leading:], self._whole[leading:], strict=True):
                # Blanks before an amount align it with the other rows, which are not next to it here.
                value = cell[len(cell.plain) - len(cell.plain.lstrip()) :]
                lines = [value] if whole else value.wrap(console, max(console.width - indent, 1))
                for number, line in enumerate(lines if value else ()):
                    yield Text.assemble(f"  {'' if number else name:<{indent - 2}}", line)


def _share(available: int, least: list[int], most: list[int]) -> list[int]:
    """Return widths of columns between `least` and `most`, with as much as is available."""
    widths = least.copy()
    spare = available - sum(least)
    # Those that lack least come first, and what they leave is for the others.
    for done, index in enumerate(sorted(range(len(widths)), key=lambda index: most[index] - least[index])):
        more = min(most[index] - least[index], spare // (len(widths) - done))
        widths[index] += more
        spare -= more
    return widths


def _in_one(console: "Console", cells: "Sequence[Text]", indent: int = 0) -> "list[Text]":
    """Return cells as one line, or as many as it takes; none if they are empty."""
    from rich.text import Text

    filled = Text("  ").join(cell for cell in cells if cell)
    width = max(console.width - indent, 1)
    return [Text.assemble(" " * indent, line) for line in filled.wrap(console, width)] if filled else []
