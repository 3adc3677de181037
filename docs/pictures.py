"""Pictures of the command line for the pages: its commands run against a sandbox, as SVG in docs/pictures.

`nox -s pictures` draws them again. What differs from one run to the next is replaced: moments, times and ports.
"""

import asyncio
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs
from rich.console import Console
from rich.text import Text

from balancekit.cli.example_accounts import add_example_accounts
from balancekit.cli.sandbox_settings import write_settings
from balancekit.sandbox import Sandbox

FOLDER: Final = Path(__file__).parent / "pictures"
WIDTH: Final = 80

_REPLACED: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "2026-01-01 12:00:00 UTC"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:8080"),
    (re.compile(r"in \d+ ms"), "in 20 ms"),
    # In a table, at its width.
    (re.compile(r"\d+ ms( *)"), lambda found: "20 ms".ljust(len(found[0]))),
)
# rich's SVG loads a font from another host.
_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


@attrs.frozen
class Picture:
    """A command to show: with three accounts if they are set up, of which one with a `wrong_secret` is not read."""

    name: str
    arguments: str
    is_set_up: bool = True
    wrong_secret: bool = False
    shows_exit_code: bool = False


PICTURES: Final = (
    Picture("demo", "demo", is_set_up=False),
    Picture("init", "init --account shop-eu=cryptoprocessing --account treasury=getmany", is_set_up=False),
    Picture("check", "check", wrong_secret=True),
    Picture("balances", "balances"),
    Picture("by-account", "balances --group-by account"),
    Picture("incomplete", "balances --currency BTC", wrong_secret=True, shows_exit_code=True),
)


async def draw(picture: Picture) -> str:
    """Run the command, and return what a terminal would show as SVG."""
    async with Sandbox() as sandbox:
        with tempfile.TemporaryDirectory() as folder:
            if picture.is_set_up:
                write_settings(Path(folder), add_example_accounts(sandbox))
            if picture.wrong_secret:
                (Path(folder) / "shop-us.secret").write_text("of-another-key\n")
            shown, code = await _run(picture.arguments.split(), Path(folder))
    for pattern, replacement in _REPLACED:
        shown = pattern.sub(replacement, shown)
    lines = [Text.assemble(("$ ", "bold green"), f"balancekit {picture.arguments}"), Text.from_ansi(shown.rstrip())]
    if picture.shows_exit_code:
        lines += [Text.assemble(("$ ", "bold green"), "echo $?"), Text(str(code))]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in Text("\n").join(lines).split(allow_blank=True):
        # A terminal breaks a line where it ends, and not between words.
        for part in line.divide(range(WIDTH, len(line), WIDTH)):
            console.print(part)
    svg = console.export_svg(title=f"balancekit {picture.arguments.split()[0]}", unique_id=f"terminal-{picture.name}")
    return _FONTS.sub("", svg).rstrip() + "\n"


async def _run(arguments: list[str], folder: Path) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "BALANCEKIT_CONFIG"}}
    environment |= {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH), "PYTHONIOENCODING": "utf-8"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "balancekit", *arguments),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode(), process.returncode or 0


def main() -> None:
    """Draw all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        (FOLDER / f"{picture.name}.svg").write_text(asyncio.run(draw(picture)), encoding="utf-8")


if __name__ == "__main__":
    main()
