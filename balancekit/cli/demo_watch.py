"""The second act of `balancekit demo`: settlements arrive as webhooks, and the totals change without polling."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs

from balancekit.cli.example_accounts import open_accounts
from balancekit.cli.exit_codes import ExitCode, code_of_result
from balancekit.cli.messages import counted, describe_hidden
from balancekit.cli.output import LOUD, say, show, tell, tell_failures
from balancekit.cli.tables import render_totals
from balancekit.cli.view import View

if TYPE_CHECKING:
    from balancekit.client.aggregate import AggregateClient
    from balancekit.money.merge import MergedBalances
    from balancekit.sandbox import Delivery, Sandbox, SandboxAccount

PAUSE: Final = 0.4
"""How many seconds pass between what happens, so that it can be followed."""

PATIENCE: Final = 5.0
"""How many seconds a new total may take; then the demo ends and says so."""

QUIET: Final = 0.2
"""How many seconds without news are taken to mean that there is none: several times what a new total takes."""

_SHUTDOWN_TIMEOUT: Final = 0.01
"""Seconds; whatever was delivered has been answered by then."""


@attrs.frozen
class _Payment:
    account: str
    currency: str
    amount: str
    chain: str | None = None


_PAYMENTS: Final = (
    _Payment("shop-eu", "BTC", "0.25"),
    _Payment("treasury", "USDC", "120.50", chain="polygon"),
)


async def watch_settlements(sandbox: "Sandbox", accounts: "Sequence[SandboxAccount]") -> ExitCode:
    """Let payments settle at a started sandbox, and show how each reaches the totals; ends by itself."""
    async with (
        open_accounts(accounts) as client,
        _receiver(client, accounts) as address,
        aclosing(client.watch()) as states,
    ):
        say(f"\nNow it takes webhooks at {address} and watches the totals. It does not poll.")
        merged, delivery = await _next(states, PATIENCE), None
        for payment in _PAYMENTS:
            if merged is None or not merged.complete:
                break
            await asyncio.sleep(PAUSE)
            before, requests, started = merged, len(sandbox.requests), time.perf_counter()
            delivery = await sandbox.settle(payment.account, payment.currency, payment.amount, chain=payment.chain)
            merged = await _next(states, PATIENCE)
            took = (time.perf_counter() - started) * 1000
            say(f"\n{payment.amount} {payment.currency} is settled in {payment.account}: {_told(delivery)}.")
            if merged is not None:
                asked = _asked(sandbox, requests)
                say(f"The client made {asked}, and had the new total {took:.0f} ms after the delivery.\n")
                _show(merged, before)
        if merged is None:
            tell(f"No new totals came within {PATIENCE:g} s.", LOUD)
            return ExitCode.NOTHING_READ
        if merged.complete and delivery is not None:
            await asyncio.sleep(PAUSE)
            await _repeat(sandbox, delivery, states)
        tell_failures(merged)
        return code_of_result(merged)


def _show(merged: "MergedBalances", before: "MergedBalances") -> None:
    view = View()
    show(render_totals(view.of(merged), note=describe_hidden(view.hidden(merged)[0]), before=before))


async def _repeat(sandbox: "Sandbox", delivery: "Delivery", states: "AsyncGenerator[MergedBalances]") -> None:
    requests = len(sandbox.requests)
    await delivery.send()
    news = await _next(states, QUIET)
    say(f"\nThe same event comes a second time, as it may: {_told(delivery)}.")
    result = "nothing changed" if news is None else "there were new totals"
    say(f"The client made {_asked(sandbox, requests)}, and {result}.")


@asynccontextmanager
async def _receiver(client: "AggregateClient", accounts: "Sequence[SandboxAccount]") -> AsyncGenerator[str]:
    """Take webhooks on loopback, and have those of the accounts sent there; gives the address."""
    from aiohttp import web

    from balancekit.webhooks import webhook_routes

    app = web.Application()
    app.add_routes(webhook_routes(client))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
        for account in accounts:
            account.webhook_url = f"{address}/{account.label}"
        yield f"{address}/<account>"
    finally:
        await runner.cleanup()


async def _next(states: "AsyncGenerator[MergedBalances]", within: float) -> "MergedBalances | None":
    """Return the next state; None if there is none in time, which ends the watch."""
    try:
        async with asyncio.timeout(within):
            return await anext(states)
    except TimeoutError:
        return None


def _told(delivery: "Delivery") -> str:
    last = delivery.attempts[-1]
    if last.error is not None:
        return f"its webhook was not delivered ({last.error})"
    return f"its signed webhook was {'delivered and ' if last.accepted else ''}answered {last.status}"


def _asked(sandbox: "Sandbox", since: int) -> str:
    asked = [str(request.account) for request in sandbox.requests[since:]]
    return f"{counted(len(asked), 'request')}, to {', '.join(asked)}" if asked else "no request"
