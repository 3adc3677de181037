"""`balancekit demo`: read and merge three accounts of a sandbox."""

import time
from typing import TYPE_CHECKING, Final

import click

from balancekit.cli.exit_codes import exit_code_for_result
from balancekit.cli.logging_option import verbose_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balancekit.cli.exit_codes import ExitCode
    from balancekit.sandbox import Sandbox, SandboxAccount

_NEXT: Final = "\nNext:"
_WATCH: Final = "  balancekit demo --watch   shows settlements arriving, and the totals changing"
_OTHERS: Final = """\
  balancekit sandbox        keeps the stand-in running, with an accounts.toml
  balancekit balances       reads the accounts that an accounts.toml lists"""


@click.command()
@click.option("--watch", is_flag=True, help="Then show settlements arriving, and the totals changing.")
@verbose_option
@click.pass_context
def demo(context: click.Context, *, watch: bool) -> None:
    """See it work: read three invented accounts at both providers and merge them.

    It starts a stand-in of both APIs on this machine, so no key is needed and nothing leaves it. The requests, the
    signatures and the arithmetic are real. With --watch, so are the webhooks; it ends by itself after two seconds.
    """
    import asyncio

    context.exit(asyncio.run(_run(watch=watch)))


async def _run(*, watch: bool) -> "ExitCode":
    from balancekit.cli.example_accounts import add_example_accounts
    from balancekit.cli.output import echo
    from balancekit.sandbox import Sandbox

    async with Sandbox() as sandbox:
        accounts = add_example_accounts(sandbox)
        code = await _fetch_and_print(sandbox, accounts)
        if watch and not code:
            from balancekit.cli.demo_watch import watch_settlements

            code = await watch_settlements(sandbox, accounts)
    echo("\n".join((_NEXT, _OTHERS) if watch else (_NEXT, _WATCH, _OTHERS)), wraps=True)
    return code


async def _fetch_and_print(sandbox: "Sandbox", accounts: "Sequence[SandboxAccount]") -> "ExitCode":
    from balancekit.cli.example_accounts import fetch_balances
    from balancekit.cli.messages import describe_hidden_zeros
    from balancekit.cli.output import echo, echo_failures, print_table
    from balancekit.cli.tables import render_accounts, render_totals
    from balancekit.cli.view import View

    echo(
        f"Started a stand-in of both APIs at {sandbox.address}: it checks every signature as the real ones do.",
        wraps=True,
    )
    started = time.perf_counter()
    merged = await fetch_balances(accounts)
    took = (time.perf_counter() - started) * 1000
    requests = len(sandbox.requests)
    echo(
        f"Read {len(merged.accounts)} accounts with {requests} signed requests, all at once, in {took:.0f} ms.",
        wraps=True,
    )
    view = View()
    echo("")
    print_table(render_totals(view.apply(merged), note=describe_hidden_zeros(view.hidden_totals(merged))))
    echo("")
    print_table(
        render_accounts(view.apply_to_balances(merged), note=describe_hidden_zeros(view.hidden_balances(merged)))
    )
    echo_failures(merged)
    return exit_code_for_result(merged)
