"""`balancekit balances`: what the accounts of a configuration file hold."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from balancekit.cli.config_option import (
    account_option,
    check_codes,
    complete_currencies,
    config_option,
    currency_option,
    read_config,
)
from balancekit.cli.exit_codes import ExitCode, exit_code_for_result
from balancekit.cli.logging_option import verbose_option

if TYPE_CHECKING:
    from balancekit.cli.reading import Reading
    from balancekit.cli.view import View
    from balancekit.money.merged import MergedBalances

_log = logging.getLogger(__name__)


@click.command()
@config_option
@click.option(
    "--group-by",
    type=click.Choice(["currency", "account", "provider"]),
    default="currency",
    show_default=True,
    help="Show totals, the balances of each account, or the totals at each provider.",
)
@click.option("--by-account", is_flag=True, help="The same as --group-by account.")
@currency_option
@account_option
@click.option("--all", "zeros", is_flag=True, help="Show zeros, too.")
@click.option(
    "--value-in",
    "target",
    callback=check_codes,
    metavar="CODE",
    shell_complete=complete_currencies,
    help="Show the value in this currency, too.",
)
@click.option(
    "--rates",
    type=click.Choice(["ecb"]),
    expose_value=False,
    default="ecb",
    show_default=True,
    help="Whose rates --value-in takes: the reference rates of the European Central Bank, for fiat money.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Show what has been read by then.  [default: the deadline in the file, or 30]",
)
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
    group_by: str,
    by_account: bool,
    currencies: tuple[str, ...],
    labels: tuple[str, ...],
    zeros: bool,
    target: str | None,
    timeout: float | None,
    form: str,
) -> None:
    """Read the balances of all accounts and show their totals by currency.

    Only the result goes to stdout; errors go to stderr. The exit code is 0 if every account was read,
    3 if the totals lack one (the last line on stderr says which), 1 if nothing could be read, and 2 if an option or
    the configuration is wrong. Ctrl-C shows what has been read.

    JSON always holds both the totals and the accounts, and why any could not be read; MergedBalances.from_json reads
    it back. CSV holds the totals, or the balances unless they are grouped by currency, and says in each row if an
    account is missing; a text that a spreadsheet would take for a formula has a ' in front.
    """
    if target is not None and form != "table":
        raise click.UsageError("--value-in shows a table: leave out --format")
    config = read_config(path, labels)

    from balancekit.cli.event_loop import run
    from balancekit.cli.output import echo_error, echo_failures, end_interrupted_line
    from balancekit.cli.reading import Reading
    from balancekit.cli.view import View

    _log.debug("%s lists %d accounts", path, len(config.providers))
    reading = Reading(config, labels, timeout)
    interrupted = False
    try:
        run(reading.run(tables=form == "table"))
    except KeyboardInterrupt:
        if not reading.has_read:
            raise
        interrupted = True
        end_interrupted_line()
    merged = reading.result()
    view = View(currencies, zeros=zeros)
    _print_result(merged, view, form, group_by="account" if by_account else group_by)
    for currency in view.not_held(merged):
        echo_error(f"{currency} is held in none of the accounts that were read")
    echo_failures(merged)
    code = exit_code_for_result(merged)
    if interrupted:
        echo_error("Interrupted.")
        code = ExitCode.INTERRUPTED
    elif target is not None and merged.accounts and not _print_value(reading, merged, view, target):
        code = code or ExitCode.INCOMPLETE
    context.exit(code)


def _print_result(merged: "MergedBalances", view: "View", form: str, *, group_by: str) -> None:
    from balancekit.cli import output, tables
    from balancekit.cli.messages import describe_hidden_zeros

    by_account = group_by == "account"
    if form == "json":
        output.write_raw(f"{view.apply(merged).to_json()}\n")
    elif form == "csv":
        by = "total" if group_by == "currency" else "balance"
        output.write_raw(view.apply_to_balances(merged).to_csv(by=by))
    elif merged.accounts:
        shown = view.apply_to_balances(merged) if by_account else view.apply(merged)
        hidden = view.hidden_balances(merged) if by_account else view.hidden_totals(merged)
        render = {
            "currency": tables.render_totals,
            "account": tables.render_accounts,
            "provider": tables.render_providers,
        }[group_by]
        output.print_table(render(shown, note=describe_hidden_zeros(hidden, " (see --all)")))


def _print_value(reading: "Reading", merged: "MergedBalances", view: "View", target: str) -> bool:
    """Print the value of what is shown; returns whether it is complete."""
    import asyncio

    from balancekit.cli import output
    from balancekit.cli.valuation import load_rates, render_value, value_of
    from balancekit.config.client_table import proxy_of
    from balancekit.errors import ProviderError
    from balancekit.money.currencies import normalize_code

    try:
        rates = asyncio.run(load_rates(proxy_of(reading.config.client_settings)))
    except ProviderError as error:
        problem = f"No value in {normalize_code(target)}: {error.account} ({error.provider}): {error.message}"
        output.echo_error(problem, output.ERROR_STYLE)
        # It is the last line whatever else went wrong.
        if merged.notice is not None:
            output.echo_error(merged.notice, output.ERROR_STYLE)
        return False
    valuation = value_of(view.apply(merged), target, rates)
    output.echo("")
    output.print_table(render_value(valuation))
    return valuation.complete
