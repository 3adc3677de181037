"""The options that several commands have, completion of what a configuration names, and reading it."""

import errno
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from balancekit.errors import ConfigError

if TYPE_CHECKING:
    from balancekit.config import Config

_COMMAND = TypeVar("_COMMAND", bound=Callable[..., Any])
_STDIN: Final = "-"
_HARMLESS: Final = re.compile(r"(?!-)(?:[\w.:@+/-]|[^\x00-\x7f])+", re.ASCII)
_NEXT: Final = "`balancekit init` writes one, and `balancekit demo` needs none"


def check_codes(_: click.Context, __: click.Parameter, given: Any) -> Any:  # noqa: ANN401 - of both options
    """Return the code or the codes of an option; BadParameter, before anything is read, for what no currency has."""
    from balancekit.money.currencies import check_code

    for code in [given] if isinstance(given, str) else [*(given or ())]:
        try:
            check_code(code)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return given


def config_option(command: _COMMAND, use: str = "The file that lists the accounts; - for standard input.") -> _COMMAND:
    """Add the option `--config` to a command."""
    option = click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path, allow_dash=True),
        default="accounts.toml",
        envvar="BALANCEKIT_CONFIG",
        show_default=True,
        show_envvar=True,
        help=use,
    )
    return option(command)


def account_option(command: _COMMAND) -> _COMMAND:
    """Add the option `--account` to a command."""
    option = click.option(
        "--account",
        "labels",
        multiple=True,
        metavar="LABEL",
        shell_complete=complete_labels,
        help="Read this account only. Repeatable.",
    )
    return option(command)


def currency_option(command: _COMMAND) -> _COMMAND:
    """Add the option `--currency` to a command."""
    option = click.option(
        "--currency",
        "currencies",
        callback=check_codes,
        multiple=True,
        metavar="CODE",
        shell_complete=complete_currencies,
        help="Show this currency only. Repeatable.",
    )
    return option(command)


class Hooks:
    """Functions that are called during a command in a process of its own; in click's context, for commands to find.

    `imported` is called once all is imported, before an adapter is made: `gc.freeze` then freezes nothing of an
    adapter, whose open files are still closed at the end. `ended` is called when the command has ended.
    """

    def __init__(self, imported: Callable[[], object], ended: Callable[[], object]) -> None:
        self.imported = imported
        self.ended = ended


def read_config(path: Path, labels: Iterable[str]) -> "Config":
    """Read the configuration at a path; if there is none, ConfigError says what to do next.

    Each of the labels has to be that of an account.
    """
    from balancekit.config.problems import unknown_label

    config = _read(path)
    known = [provider.account for provider in config.providers]
    for label in labels:
        if label not in known:
            raise ConfigError(f"--account: {unknown_label(label, known)}")
    return config


def _read(path: Path) -> "Config":
    from balancekit.config import load_config, parse_config
    from balancekit.config.loading import MAX_CONFIG_SIZE

    if (hooks := click.get_current_context().find_object(Hooks)) is not None:
        hooks.imported()
    if str(path) == _STDIN:
        with suppress(OSError, AttributeError):
            # Without this, what another program sends later would be left out. Windows has no such pipes.
            os.set_blocking(sys.stdin.fileno(), True)
        try:
            content = sys.stdin.buffer.read(MAX_CONFIG_SIZE + 1)
        except OSError as error:
            raise ConfigError(f"standard input cannot be read: {error.strerror or error}") from None
        return parse_config(content, name="standard input", folder=Path())
    with next_step_for(path):
        return load_config(path)


@contextmanager
def next_step_for(path: Path) -> Generator[None]:
    """Add what to do next to the error that there is no file at a path."""
    try:
        yield
    except ConfigError as error:
        problem = str(error)
        # Not for the missing file of a secret, which is a ConfigError as well.
        if problem != f"{path}: the file cannot be read: {os.strerror(errno.ENOENT)}":
            raise
    else:
        return
    raise ConfigError(f"{problem}; {_NEXT}")


def complete_currencies(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the codes that begin like what was typed: those of ISO 4217, and of the currencies that are known."""
    from balancekit.money.currencies import ISO_4217_CODES
    from balancekit.providers.brands import BRANDS

    codes = ISO_4217_CODES | {each.currency for brand in BRANDS.values() for each in brand.codes}
    return sorted(code for code in codes if code.startswith(incomplete.upper()))


def complete_labels(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the labels of accounts that begin like what was typed, and that a shell may insert as they are."""
    import tomllib

    from balancekit.money.currencies import check_label

    def is_harmless(label: str) -> bool:
        # What no account can be called may be a sequence for the terminal: the file of a folder may be anybody's.
        with suppress(ValueError):
            return _HARMLESS.fullmatch(check_label(label)) is not None
        return False

    # Not by `load_config`: whatever is wrong with a secret, a label can be completed.
    path = context.params.get("path") or os.environ.get("BALANCEKIT_CONFIG") or "accounts.toml"
    # An error would be shown in the middle of what is typed, and a FIFO waited for.
    with suppress(Exception):
        file = Path(path).expanduser()
        accounts: object = tomllib.loads(file.read_text("utf-8-sig"))["accounts"] if file.is_file() else {}
        if isinstance(accounts, dict):
            labels = filter(is_harmless, cast("dict[str, object]", accounts))
            return [label for label in labels if label.startswith(incomplete)]
    return []
