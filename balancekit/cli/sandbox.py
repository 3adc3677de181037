"""`balancekit sandbox`: a stand-in of both APIs that runs until it is stopped."""

import os
import signal
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from balancekit.cli.logging_option import verbose_option
from balancekit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balancekit.sandbox import Sandbox, SandboxAccount


def _loopback(_: click.Context, __: click.Parameter, host: str) -> str:
    with suppress(ValueError):
        if host == "localhost" or ip_address(host).is_loopback:
            return host
    raise click.BadParameter("expected a loopback address, such as 127.0.0.1: there is nothing to protect it")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, callback=_loopback, help="The loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port; any that is free unless given.")
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write accounts.toml and its secrets as files to this folder, rather than print them.",
)
@verbose_option
def sandbox(*, host: str, port: int, folder: Path | None) -> None:
    """Run a stand-in of both APIs on this machine, with a few invented accounts.

    Prints an accounts.toml and the environment for it, to be copied to another terminal, and the totals that
    `balancekit balances` shows with them. Runs until Ctrl-C or SIGTERM.
    """
    import asyncio

    asyncio.run(_run(host, port, folder))


async def _run(host: str, port: int, folder: Path | None) -> None:
    import asyncio

    from balancekit.cli.example_accounts import add_example_accounts
    from balancekit.cli.output import echo_error, end_interrupted_line
    from balancekit.sandbox import Sandbox

    # Before anything is printed, because its reader may stop the command at once.
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers; Ctrl-C then ends the command as it ends any other.
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    running = Sandbox(host=host, port=port)
    accounts = add_example_accounts(running)
    try:
        await running.start()
    except OSError as error:
        # asyncio puts more into `strerror`.
        problem = os.strerror(error.errno) if error.errno else error
        remedy = "; without --port, it takes one that is free" if port else ""
        raise ConfigError(f"--port: cannot listen on port {port} of {host}: {problem}{remedy}") from None
    try:
        await _print_instructions(running, accounts, folder)
        await stopped.wait()
    finally:
        await running.aclose()
    end_interrupted_line()
    echo_error("Stopped.")


async def _print_instructions(running: "Sandbox", accounts: "Sequence[SandboxAccount]", folder: Path | None) -> None:
    from balancekit.cli import sandbox_settings
    from balancekit.cli.example_accounts import fetch_balances
    from balancekit.cli.output import echo, print_table
    from balancekit.cli.tables import render_totals
    from balancekit.cli.view import View

    # Everything but settings and commands is a comment, so that all of it can be copied at once.
    echo(f"# A stand-in of both APIs runs at\n# {running.address}.\n# Its accounts and their keys are invented.")
    if folder is None:
        echo("\n# Save as accounts.toml:\n", "bold")
        echo(sandbox_settings.toml_with_env_references(accounts))
        echo("# In another terminal:\n", "bold")
        echo(sandbox_settings.export_commands(accounts) + "balancekit balances --config accounts.toml")
    else:
        path = sandbox_settings.write_settings(folder, accounts)
        echo("\n# In another terminal:\n", "bold")
        echo(f"balancekit balances --config {path}")
    echo("\n# It shows:\n", "bold")
    print_table(render_totals(View().apply(await fetch_balances(accounts))))
    echo("# Ctrl-C stops it.", "bold")
