"""Tables at every width: what is too wide for one line stands in several, and no word and no number is broken."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from balancekit.cli.table_layout import Table


@pytest.fixture
def shown():
    """Print a table at some width, and return its lines without the blank ones around it."""

    def shown(table, width, encoding="utf-8"):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        Console(file=out, width=width, color_system=None).print(table, crop=False)
        out.seek(0)
        first, *lines, last = out.read().splitlines()
        assert (first, last) == ("", "")
        return lines

    return shown


@pytest.fixture
def table():
    """Make a table of two sections whose first column is the head of a row and whose last its end."""
    table = Table("Place", "Code", "Amount", "Held by", whole=("Amount",), leading=1, trailing=1)
    table.add_row(Text("north"), Text("BTC"), Text(" 1.25"), Text("anna, berta"))
    table.add_row(Text(), Text("ETH"), Text("20.5 "), Text("carla"))
    table.add_section()
    table.add_row(Text("south"), Text("none"))
    return table


def test_columns_are_far_apart_where_there_is_room(shown, table):
    """Three blanks are between columns, a line below their names, and none ends in blanks."""
    assert shown(table, 80) == [
        " Place   Code   Amount   Held by",
        " ───────────────────────────────────",
        " north   BTC     1.25    anna, berta",
        "         ETH    20.5     carla",
        "",
        " south   none",
    ]


def test_columns_are_close_where_that_is_enough(shown, table):
    """One blank is between them, and no cell is wrapped."""
    assert shown(table, 29) == [
        "Place Code Amount Held by",
        "─────────────────────────────",
        "north BTC   1.25  anna, berta",
        "      ETH  20.5   carla",
        "",
        "south none",
    ]


@pytest.mark.parametrize("width", [25, 28])
def test_cells_are_wrapped_between_words(shown, table, width):
    """A column gives way as far as its longest word, and one whose cells are whole does not."""
    assert shown(table, width)[2:4] == ["north BTC   1.25  anna,", "                  berta"]


def test_what_a_row_is_about_stands_above_it_and_its_end_below(shown, table):
    """Where the columns have no room, the first and the last of them stand in lines of their own."""
    assert shown(table, 15) == [
        "Place",
        " Code   Amount",
        "   Held by",
        " ─────────────",
        "north",
        " BTC     1.25",
        "   anna, berta",
        " ETH    20.5",
        "   carla",
        "",
        "south",
        " none",
    ]


def test_each_cell_has_a_line_where_nothing_else_fits(shown, table):
    """It stands after the name of its column, an empty one has none, and an amount is whole, however wide it is."""
    table.add_row(Text("east"), Text("LTC"), Text("9" * 40), Text("daniel, emil, frida"))

    lines = shown(table, 25)

    assert lines[:7] == [
        "north",
        "  Code     BTC",
        "  Amount   1.25",
        "  Held by  anna, berta",
        "  Code     ETH",
        "  Amount   20.5",
        "  Held by  carla",
    ]
    assert lines[-5:] == [
        "east",
        "  Code     LTC",
        "  Amount   " + "9" * 40,
        "  Held by  daniel, emil,",
        "           frida",
    ]


def test_wide_characters_take_two_columns(shown):
    """Cells are as wide as a terminal shows them."""
    table = Table("Name", "Total")
    table.add_row(Text("東京"), Text("1"))
    table.add_row(Text("x"), Text("2"))

    assert shown(table, 80)[2:] == [" 東京   1", " x      2"]


def test_an_encoding_without_the_line_has_a_plain_one(shown, table):
    """The names of the columns are underlined in any encoding."""
    assert set(shown(table, 80, encoding="latin-1")[1]) == {" ", "-"}
