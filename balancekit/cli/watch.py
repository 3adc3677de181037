"""`balancekit watch`: the totals, and again each time that one changes."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from balancekit.cli.config_option import account_option, config_option, currency_option, read_config
from balancekit.cli.exit_codes import ExitCode, exit_code_for_result
from balancekit.cli.logging_option import verbose_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balancekit.cli.view import View
    from balancekit.config import Config
    from balancekit.money.merged import MergedBalances

_KEPT_FOR: Final = 3600.0
"""How many seconds the last balances of an account are shown that cannot be read."""

_REDRAWN_EVERY: Final = 10.0
"""Seconds after which a terminal shows the ages anew."""

_AT_ONCE: Final = 10.0
"""Seconds without a new state after which a terminal shows the changes of the next one; until then, those of all."""

_LEAST_INTERVAL: Final = 60.0
CLEAR: Final = "\x1b[H\x1b[2J"


@click.command()
@config_option
@account_option
@currency_option
@click.option("--all", "zeros", is_flag=True, help="Show zeros, too.")
@click.option(
    "--every",
    type=click.FloatRange(_LEAST_INTERVAL),
    default=_LEAST_INTERVAL,
    show_default=True,
    metavar="SECONDS",
    help="How often all accounts are read.",
)
@verbose_option
@click.pass_context
def watch(
    context: click.Context,
    *,
    path: Path,
    labels: tuple[str, ...],
    currencies: tuple[str, ...],
    zeros: bool,
    every: float,
) -> None:
    """Show the totals now, and again each time that one changes.

    What changed is in a column, and so is how old the balances of an account are that cannot be read at the moment.
    On a terminal each state replaces the one before; in a pipe they follow one another. Ctrl-C ends it; the exit code
    is that of the last result, as of `balancekit balances`.
    """
    config = read_config(path, labels)

    from balancekit.cli.event_loop import run
    from balancekit.cli.output import echo_error, end_interrupted_line
    from balancekit.cli.view import View

    last = run(_watch(config, labels, View(currencies, zeros=zeros), every))
    end_interrupted_line()
    if last is None:
        echo_error("Interrupted.")
        context.exit(ExitCode.INTERRUPTED)
    context.exit(exit_code_for_result(last))


async def _watch(config: "Config", labels: "Sequence[str]", view: "View", every: float) -> "MergedBalances | None":
    """Show each state until a signal ends it; returns the last one, None if there is none yet."""
    import asyncio

    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers; Ctrl-C then ends the command as it ends any other.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, task.cancel if task else lambda: None)
    last: MergedBalances | None = None
    before: MergedBalances | None = None
    shown_at = since = loop.time()
    with suppress(asyncio.CancelledError):
        async with (
            config.make_client() as client,
            client.watch(labels or None, every=every, stale_if_error=_KEPT_FOR) as states,
        ):
            while True:
                try:
                    async with asyncio.timeout(_REDRAWN_EVERY if last is not None else None):
                        merged = await anext(states)
                except TimeoutError:
                    if last is not None and _can_redraw():
                        _show(last, before, view, again=True)
                    continue
                except StopAsyncIteration:
                    break
                # Accounts are read at nearly the same time: a terminal would show the change of each for a moment only.
                now = loop.time()
                if before is None or not _can_redraw() or now - shown_at >= _AT_ONCE or now - since >= every:
                    before, since = last, now
                last, shown_at = merged, now
                _show(merged, before, view)
    return last


def _show(merged: "MergedBalances", before: "MergedBalances | None", view: "View", *, again: bool = False) -> None:
    from balancekit.cli.messages import describe_hidden_zeros
    from balancekit.cli.output import echo, echo_failures, print_table, write_raw
    from balancekit.cli.tables import changed_totals, render_totals

    if _can_redraw():
        write_raw(CLEAR)
    elif before is not None:
        echo("")
    if merged.accounts:
        note = describe_hidden_zeros(view.hidden_totals(merged), " (see --all)")
        changes = () if before is None else changed_totals(before, merged)
        print_table(render_totals(view.apply(merged), note=note, changes=changes))
    # A file of errors needs them once.
    if sys.stderr.isatty() or not again:
        echo_failures(merged)


def _can_redraw() -> bool:
    """Whether stdout is a terminal that has escape codes."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}
