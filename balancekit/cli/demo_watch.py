"""`balancekit demo --watch`: settlements arrive as webhooks, and the totals change without polling."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs

from balancekit.cli.example_accounts import make_client
from balancekit.cli.exit_codes import ExitCode, exit_code_for_result
from balancekit.cli.messages import describe_hidden_zeros
from balancekit.cli.output import ERROR_STYLE, echo, echo_error, echo_failures, print_table
from balancekit.cli.tables import changed_totals, render_totals
from balancekit.cli.view import View
from balancekit.money.layout import pluralize

if TYPE_CHECKING:
    from balancekit.client.aggregate import AggregateClient
    from balancekit.client.watch import Watch
    from balancekit.money.merged import MergedBalances
    from balancekit.sandbox import Delivery, Sandbox, SandboxAccount

PAUSE: Final = 0.4
"""Seconds between two events, so that a person can follow."""

TIMEOUT: Final = 5.0
"""Seconds within which a new total has to arrive; otherwise the demo ends with a message."""

QUIET_PERIOD: Final = 0.2
"""Seconds without a new total after which the demo says that nothing changed: several times what one takes."""

_SHUTDOWN_TIMEOUT: Final = 0.01
"""Seconds; by then, every delivery has its response."""


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
    """Let payments settle at a running sandbox, and show how each changes the totals; return the exit code."""
    async with (
        # The stand-in books a payment before it sends the event: a second look would be a request that nobody expects.
        make_client(accounts, settle_delay=0.0) as client,
        _webhook_server(client, accounts) as address,
        client.watch(min_interval=0) as results,
    ):
        echo(f"\nNow it takes webhooks at {address} and watches the totals. It does not poll.", wraps=True)
        merged, delivery = await _next_result(results, TIMEOUT), None
        for payment in _PAYMENTS:
            if merged is None or not merged.complete:
                break
            await asyncio.sleep(PAUSE)
            before, requests, started = merged, len(sandbox.requests), time.perf_counter()
            delivery = await sandbox.settle(payment.account, payment.currency, payment.amount, chain=payment.chain)
            merged = await _next_result(results, TIMEOUT)
            took = (time.perf_counter() - started) * 1000
            settled = f"{payment.amount} {payment.currency} is settled in {payment.account}"
            echo(f"\n{settled}: {_describe_delivery(delivery)}.", wraps=True)
            if merged is not None:
                made = _describe_requests(sandbox, requests)
                echo(f"The client made {made}, and had the new total {took:.0f} ms after the delivery.\n", wraps=True)
                _print_totals(merged, before)
        if merged is None:
            echo_error(f"No new totals came within {TIMEOUT:g} s.", ERROR_STYLE)
            return ExitCode.NOTHING_READ
        if merged.complete and delivery is not None:
            await asyncio.sleep(PAUSE)
            await _deliver_again(sandbox, delivery, results)
        echo_failures(merged)
        return exit_code_for_result(merged)


def _print_totals(merged: "MergedBalances", before: "MergedBalances") -> None:
    view = View()
    note = describe_hidden_zeros(view.hidden_totals(merged))
    print_table(render_totals(view.apply(merged), note=note, changes=changed_totals(before, merged)))


async def _deliver_again(sandbox: "Sandbox", delivery: "Delivery", results: "Watch") -> None:
    requests = len(sandbox.requests)
    await delivery.send()
    changed = await _next_result(results, QUIET_PERIOD)
    echo(f"\nThe same event comes a second time, as it may: {_describe_delivery(delivery)}.", wraps=True)
    outcome = "nothing changed" if changed is None else "there were new totals"
    echo(f"The client made {_describe_requests(sandbox, requests)}, and {outcome}.", wraps=True)


@asynccontextmanager
async def _webhook_server(client: "AggregateClient", accounts: "Sequence[SandboxAccount]") -> AsyncGenerator[str]:
    """Receive the webhooks of the accounts on loopback; yields the address that they are sent to."""
    from aiohttp import web

    from balancekit.http.listening_socket import ListeningSocket
    from balancekit.webhooks import webhook_routes

    app = web.Application()
    app.add_routes(webhook_routes(client))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    listening = ListeningSocket("127.0.0.1")
    try:
        await runner.setup()
        await web.SockSite(runner, listening).start()
        address = f"http://127.0.0.1:{listening.port}/webhooks"
        for account in accounts:
            account.webhook_url = f"{address}/{account.label}"
        yield f"{address}/<account>"
    finally:
        await listening.stop(runner.cleanup)


async def _next_result(results: "Watch", seconds: float) -> "MergedBalances | None":
    """Return the next result, but for those that wait for a read of a slow machine; None after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            merged = await anext(results)
            while not (merged.complete or merged.failures):
                merged = await anext(results)
            return merged
    except TimeoutError:
        return None


def _describe_delivery(delivery: "Delivery") -> str:
    last = delivery.attempts[-1]
    if last.error is not None:
        return f"its webhook was not delivered ({last.error})"
    return f"its signed webhook was {'accepted' if last.accepted else 'rejected'} with status {last.status}"


def _describe_requests(sandbox: "Sandbox", since: int) -> str:
    labels = [str(request.account) for request in sandbox.requests[since:]]
    return f"{pluralize(len(labels), 'request')}, to {', '.join(labels)}" if labels else "no request"
