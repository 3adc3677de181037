"""`balancekit demo`: the main job, against a stand-in of both APIs."""

import time
from typing import Final

import click

from balancekit.cli.exits import code_of_result
from balancekit.cli.verbose import verbose_option

_NEXT: Final = """
Next:
  balancekit sandbox        keeps the stand-in running and prints an accounts.toml for it
  balancekit balances       reads the accounts that an accounts.toml lists: your own, or those of the stand-in"""


@click.command()
@verbose_option
@click.pass_context
def demo(context: click.Context) -> None:
    """See it work: read three invented accounts at both providers and merge them.

    It starts a stand-in of both APIs on this machine, so no key is needed and nothing leaves it. The requests, the
    signatures and the arithmetic are real.
    """
    import asyncio

    context.exit(asyncio.run(_run()))


async def _run() -> int:
    from balancekit.cli.example import add_example_accounts, read_accounts
    from balancekit.cli.render import render_accounts, render_totals
    from balancekit.cli.terminal import say, show, tell_failures
    from balancekit.cli.view import View
    from balancekit.cli.words import describe_hidden
    from balancekit.sandbox import Sandbox

    async with Sandbox() as sandbox:
        accounts = add_example_accounts(sandbox)
        say(f"Started a stand-in of both APIs at {sandbox.address}: it checks every signature as the real ones do.")
        started = time.perf_counter()
        merged = await read_accounts(accounts)
        took = (time.perf_counter() - started) * 1000
        requests = len(sandbox.requests)
    say(f"Read {len(merged.accounts)} accounts with {requests} signed requests, all at once, in {took:.0f} ms.")
    view = View()
    totals, balances = view.hidden(merged)
    say("")
    show(render_totals(view.of(merged), note=describe_hidden(totals)))
    say("")
    show(render_accounts(view.of(merged), note=describe_hidden(balances)))
    tell_failures(merged)
    say(_NEXT)
    return code_of_result(merged)
