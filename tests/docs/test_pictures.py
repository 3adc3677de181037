"""The pictures of the command line: they show what the commands print, and nothing that differs between two runs."""

import html
import re

import pytest

from docs.pictures import FOLDER, PICTURES, draw


def text_of(svg):
    """Return the text of a picture; how it is divided, and how long a rule is, is up to the version of rich."""
    return re.sub(r"[\s─]+", "", html.unescape("".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))))


@pytest.mark.parametrize("picture", PICTURES, ids=[picture.name for picture in PICTURES])
async def test_a_picture_shows_what_the_command_prints(picture):
    """If not, `nox -s pictures` draws it again."""
    kept = (FOLDER / f"{picture.name}.svg").read_text(encoding="utf-8")

    assert text_of(await draw(picture)) == text_of(kept)


def test_every_picture_has_its_command():
    """A command that is not drawn any more leaves no picture."""
    assert {path.stem for path in FOLDER.glob("*.svg")} == {picture.name for picture in PICTURES}


@pytest.mark.parametrize("picture", PICTURES, ids=[picture.name for picture in PICTURES])
def test_a_picture_loads_nothing(picture):
    """A reader of the page is not known to another host."""
    kept = (FOLDER / f"{picture.name}.svg").read_text(encoding="utf-8")

    assert re.findall(r"url\((?!#)[^)]*\)|(?:href|src)=|@import", kept) == []
