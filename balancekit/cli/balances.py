"""`balancekit balances`: what the accounts of a configuration file hold."""

import logging
import sys
from contextlib import aclosing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from balancekit.cli.exit_codes import exit_code_for_result
from balancekit.cli.logging_option import verbose_option

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from balancekit.cli.view import View
    from balancekit.config import Config
    from balancekit.money.balances import AccountFailure
    from balancekit.money.merge import MergedBalances

_log = logging.getLogger(__name__)

# So few accounts are read before a progress bar could be noticed.
_MAX_WITHOUT_PROGRESS: Final = 5


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default="accounts.toml",
    envvar="BALANCEKIT_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The file that lists the accounts.",
)
@click.option("--by-account", is_flag=True, help="Show the balances of each account instead of the totals.")
@click.option("--currency", "currencies", multiple=True, metavar="CODE", help="Show this currency only. Repeatable.")
@click.option("--account", "labels", multiple=True, metavar="LABEL", help="Read this account only. Repeatable.")
@click.option("--all", "zeros", is_flag=True, help="Show zeros, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How to write the result to stdout.",
)
@verbose_option
@click.pass_context
def balances(
    context: click.Context,
    *,
    path: Path,
    by_account: bool,
    currencies: tuple[str, ...],
    labels: tuple[str, ...],
    zeros: bool,
    form: str,
) -> None:
    """Read the balances of all accounts and show their totals by currency.

    Only the result goes to stdout; errors go to stderr. The exit code is 0 if every account was read,
    3 if the totals lack one (the last line on stderr says which), 1 if nothing could be read, and 2 if an option or
    the configuration is wrong.

    JSON always holds both the totals and the accounts, and why any could not be read; MergedBalances.from_json reads
    it back. CSV holds the totals, or with --by-account the balances, and says in each row if an account is
    missing; a text that a spreadsheet would take for a formula has a ' in front.
    """
    import asyncio

    from balancekit.cli.output import echo_error, echo_failures
    from balancekit.cli.view import View
    from balancekit.config import load_config

    config = load_config(path)
    _log.debug("%s lists %d accounts", path, len(config.providers))
    merged = asyncio.run(_fetch(config, labels, tables=form == "table"))
    view = View(currencies, zeros=zeros)
    _print_result(merged, view, form, by_account=by_account)
    for code in view.not_held(merged):
        echo_error(f"{code} is held in none of the accounts that were read")
    echo_failures(merged)
    context.exit(exit_code_for_result(merged))


async def _fetch(config: "Config", labels: "Iterable[str]", *, tables: bool) -> "MergedBalances":
    import asyncio

    from balancekit.client.double_counting import count_once
    from balancekit.money.balances import AccountBalances
    from balancekit.money.merge import merge_counted

    snapshots: list[AccountBalances] = []
    failures: list[AccountFailure] = []
    chosen = list(dict.fromkeys(labels)) or None
    async with config.make_client() as client, aclosing(client.stream(chosen)) as outcomes:
        # Importing rich takes a tenth of a second: done in a thread while the responses are on their way.
        importing = asyncio.create_task(asyncio.to_thread(_import_tables)) if tables else None
        count = len(client.accounts) if chosen is None else len(chosen)
        with _progress(count) as advance:
            async for outcome in outcomes:
                if isinstance(outcome, AccountBalances):
                    _log.debug("%s (%s) is read", outcome.account, outcome.provider)
                    snapshots.append(outcome)
                else:
                    _log.debug(
                        "%s (%s) is not read: %s", outcome.account, outcome.provider, type(outcome.error).__name__
                    )
                    failures.append(outcome)
                advance()
        if importing is not None:
            await importing
    origins = {provider.account: provider.origin for provider in config.providers}
    counted, failed = count_once(snapshots, failures, origin_of=origins.__getitem__, labels=client.accounts)
    return merge_counted(counted, failed, aliases=config.aliases, chosen_accounts=chosen)


def _import_tables() -> None:
    for name in ("rich.console", "rich.table"):
        import_module(name)


@contextmanager
def _progress(count: int) -> "Generator[Callable[[], None], None, None]":
    if count <= _MAX_WITHOUT_PROGRESS or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from balancekit.cli.output import make_console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=make_console(sys.stderr), transient=True) as progress:
        task = progress.add_task("Reading accounts", total=count)
        yield lambda: progress.advance(task)


def _print_result(merged: "MergedBalances", view: "View", form: str, *, by_account: bool) -> None:
    from balancekit.cli import output, tables
    from balancekit.cli.messages import describe_hidden_zeros

    shown = view.apply(merged)
    if form == "json":
        output.write_raw(f"{shown.to_json()}\n")
    elif form == "csv":
        output.write_raw(shown.to_csv(by="balance" if by_account else "total"))
    elif merged.accounts:
        hidden = view.hidden_balances(merged) if by_account else view.hidden_totals(merged)
        note = describe_hidden_zeros(hidden, " (see --all)")
        output.print_table(
            tables.render_accounts(shown, note=note) if by_account else tables.render_totals(shown, note=note)
        )
