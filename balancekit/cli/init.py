"""`balancekit init`: write a configuration that names where the secrets are, and has none itself."""

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from balancekit.cli.config_option import config_option
from balancekit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_STDOUT: Final = "-"


@click.command()
@partial(config_option, use="The file to write; - for standard output.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="LABEL=PROVIDER",
    help="Add an account, such as shop=getmany. Repeatable; without it, you are asked.",
)
@click.option(
    "--secrets",
    type=click.Choice(["env", "file", "keyring"]),
    default="env",
    show_default=True,
    help="Where the secrets will be.",
)
def init(*, path: Path, accounts: tuple[str, ...], secrets: str) -> None:
    """Write an accounts.toml, and say what to do next.

    The file names where each secret is, and never holds one. Its first line names a schema, by which editors complete
    it. A file that exists is not changed. With --config - it is written to stdout.
    """
    try:
        file_path = path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{path}: the home folder that ~ stands for is unknown") from None
    try:
        exists = str(path) != _STDOUT and file_path.exists()
    except OSError as error:
        raise _not_written(path, error) from None
    if exists:
        raise ConfigError(f"{path}: the file exists, and is not changed; --config names another one")
    chosen = [_split(account) for account in accounts] or _ask()

    from balancekit.cli.new_config import next_steps, render_config
    from balancekit.cli.output import echo, write_raw

    text = render_config(chosen, secrets)
    if str(path) == _STDOUT:
        write_raw(text)
        return
    try:
        # Refused if another program has written it since.
        with file_path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _not_written(path, error) from None
    echo(f"Wrote {path}.\n")
    echo(next_steps(chosen, secrets, str(path)))


def _not_written(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: the file cannot be written: {error.strerror}")


def _split(account: str) -> tuple[str, str]:
    label, separator, provider = account.partition("=")
    if not separator:
        raise click.BadParameter(f"expected LABEL=PROVIDER, got {account!r}", param_hint="--account")
    return label, provider


def _ask() -> "Sequence[tuple[str, str]]":
    from balancekit.providers import BUILT_IN

    accounts: list[tuple[str, str]] = []
    try:
        while not accounts or click.confirm("Another account?", default=False, err=True):
            provider = click.prompt(f"Provider ({', '.join(BUILT_IN)}, or that of a plug-in)", err=True)
            number = sum(provider == each for _, each in accounts) + 1
            default = re.sub(r"\W", "-", provider) + (f"-{number}" if number > 1 else "")
            accounts.append((click.prompt("Label of the account", default=default, err=True), provider))
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        from balancekit.cli.output import echo_error

        # The question that was not answered is a line without an end.
        echo_error("")
        raise click.UsageError("give --account LABEL=PROVIDER, or answer the questions") from None
    return accounts
