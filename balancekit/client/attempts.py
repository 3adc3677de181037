"""One attempt to read one account: bounded in time, told to the log and to telemetry, and never an exception."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime

import aiohttp

from balancekit.client.accounts import Account, Outcome
from balancekit.client.instrumentation import FetchSpan
from balancekit.client.timeouts import Alarm
from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.balances import AccountFailure

_log = logging.getLogger(__name__)


def attempt(
    account: Account, session: aiohttp.ClientSession, span: FetchSpan, alarm: Alarm, *, number: int
) -> Coroutine[None, None, Outcome]:
    """Ask the account's provider once, until the alarm; `number` counts the attempts from 1.

    Nothing but a cancellation, and what ends the whole program, is raised.
    """
    # Where nobody is told, nobody stands between.
    if span.silent and not _log.isEnabledFor(logging.DEBUG):
        return _ask(account, session, alarm)
    return _ask_and_tell(account, session, span, alarm, number)


async def _ask_and_tell(
    account: Account, session: aiohttp.ClientSession, span: FetchSpan, alarm: Alarm, number: int
) -> Outcome:
    loop = asyncio.get_running_loop()
    started = loop.time()
    with span.attempt(account.label, account.provider, account.host.name, number) as told:
        told.outcome = outcome = await _ask(account, session, alarm)
    said = brief(outcome.error) if isinstance(outcome, AccountFailure) else "200"
    _log.debug("%s: attempt %d: %s in %.0f ms", account, number, said, 1e3 * (loop.time() - started))
    return outcome


async def _ask(account: Account, session: aiohttp.ClientSession, alarm: Alarm) -> Outcome:
    if account.adapter is not None:
        account.adapter.clock_offset = account.host.clock_offset
    fetched_at = datetime.now(UTC)
    bound = alarm.bound()
    try:
        with bound:
            balances = await account.source.fetch_balances(session)
        return account.snapshot(balances, fetched_at)
    except Exception as raised:  # noqa: BLE001 - a provider may raise anything, and it is its account's failure alone
        if bound.expired:
            return account.failure(account.late(f"no answer within {alarm.seconds:g} s"))
        return account.failure(account.error(raised))


def brief(error: BalancekitError) -> str:
    """Name an error by what is known to be harmless: no word of an answer's body is written to a log."""
    facts = (error.status, error.code) if isinstance(error, ProviderError) else ()
    return " ".join(map(str, filter(None, (type(error).__name__, *facts))))
