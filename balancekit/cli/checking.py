"""Checking whether accounts can be read: how each responds, how fast, and how far its clock is from ours."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from http import HTTPStatus
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import attrs

from balancekit.cli.output import ERROR_STYLE
from balancekit.cli.table_layout import Table
from balancekit.config import ClientSettings, Config
from balancekit.config.client_table import proxy_of
from balancekit.errors import ProviderError
from balancekit.http.clock_skew import TOLERANCE
from balancekit.http.messages import parse_date
from balancekit.http.own_variables import own_variable
from balancekit.http.resolver import DaemonResolver
from balancekit.money.balances import AccountFailure
from balancekit.money.layout import pluralize
from balancekit.money.reasons import group_by_reason
from balancekit.stores.memory import MemoryStore

if TYPE_CHECKING:
    from rich.console import Group

MAX_ROWS: Final = 20
"""More accounts than these are counted by provider, unless all are asked for."""


@attrs.define
class _Exchange:
    """The last request of one account: how long it took, and how far ahead the provider's clock was."""

    started: float = 0.0
    latency: float | None = None
    skew: float | None = None


@attrs.frozen
class Checked:
    """What the check of one account has shown; `latency` and `skew` are in seconds, None if there was no response."""

    account: str
    provider: str
    failure: AccountFailure | None
    latency: float | None
    skew: float | None

    @property
    def result(self) -> str:
        """What happened, in a few words: `ok`, or the status and the provider's code, or the reason."""
        if self.failure is None:
            return "ok"
        error = self.failure.error
        facts: tuple[object, ...] = ()
        # The status of a success says nothing about a response that cannot be read.
        if isinstance(error, ProviderError) and (error.status or 0) // 100 != HTTPStatus.OK // 100:
            facts = error.status, error.code
        return " ".join(str(fact) for fact in facts if fact) or next(iter(group_by_reason([self.failure])))


# Requests run in the context of the call that they are for.
_current: Final[ContextVar[_Exchange | None]] = own_variable("balancekit_checked", None)


async def check_accounts(
    config: Config, labels: Sequence[str], deadline: float | None, on_done: Callable[[], None]
) -> list[Checked]:
    """Read each account once, within `deadline` seconds for all of them; no amount is in the result."""
    settings = ClientSettings(attempts=1)
    if deadline is not None:
        settings["deadline"] = deadline
    providers = {provider.account: provider.provider for provider in config.providers}
    connector = aiohttp.TCPConnector(limit=0, resolver=DaemonResolver())
    proxy = proxy_of(config.client_settings)
    # The session has it.
    settings["proxy"] = None
    async with (
        aiohttp.ClientSession(
            connector=connector, trace_configs=[_tracing()], proxy=proxy.address, trust_env=proxy.uses_environment
        ) as session,
        config.make_client(session=session, store=MemoryStore(), **settings) as client,
    ):

        async def check(label: str) -> Checked:
            exchange = _Exchange()
            _current.set(exchange)
            merged = await client.fetch([label])
            on_done()
            failure = merged.failures[0] if merged.failures else None
            return Checked(label, providers[label], failure, exchange.latency, exchange.skew)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(check(label)) for label in dict.fromkeys(labels or client.accounts)]
        return [task.result() for task in tasks]


def _tracing() -> aiohttp.TraceConfig:
    tracing = aiohttp.TraceConfig()

    async def begin(*_: object) -> None:
        if (exchange := _current.get()) is not None:
            exchange.started = time.perf_counter()

    async def end(_: object, __: object, params: Any) -> None:  # noqa: ANN401 - of each event
        if (exchange := _current.get()) is not None:
            exchange.latency = time.perf_counter() - exchange.started
            sent_at = parse_date(params.response.headers.get("Date"))
            exchange.skew = None if sent_at is None else sent_at - time.time()

    tracing.on_request_start.append(begin)
    tracing.on_request_end.append(end)
    return tracing


def render_checks(checks: Sequence[Checked], *, everything: bool) -> "Group":
    """Return the checks as a table: a row for each account, or for each provider if they are many."""
    from rich.console import Group
    from rich.text import Text

    good = sum(check.failure is None for check in checks)
    heading = Text(f"{good} of {pluralize(len(checks), 'account')} can be read", "bold")
    if everything or len(checks) <= MAX_ROWS:
        table = Table("Account", "Provider", "Result", "Latency", "Clock", whole=("Latency", "Clock"), leading=2)
        for check in checks:
            style = "" if check.failure is None else ERROR_STYLE
            cells = (check.provider, check.result, _in_ms(check.latency), _describe_skew([check]))
            table.add_row(Text(check.account, style or "bold"), *(Text(cell, style) for cell in cells))
        return Group(heading, table)
    columns = ("Provider", "Accounts", "Readable", "Median", "Slowest", "Clock")
    table = Table(*columns, whole=columns[1:], leading=1)
    for provider in sorted({check.provider for check in checks}):
        of_it = [check for check in checks if check.provider == provider]
        readable = [check for check in of_it if check.failure is None]
        times = [check.latency for check in of_it if check.latency is not None]
        counts = (
            str(len(of_it)),
            str(len(readable)),
            _in_ms(median(times) if times else None),
            _in_ms(max(times, default=None)),
            _describe_skew(of_it),
        )
        style = "" if len(readable) == len(of_it) else ERROR_STYLE
        table.add_row(Text(provider, style or "bold"), *(Text(cell, style) for cell in counts))
    return Group(heading, table, Text("--all shows a row for each account", "dim"))


def _in_ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.0f} ms"


def _describe_skew(checks: Sequence[Checked]) -> str:
    """Return how far ahead the clock of a provider is, by the response that shows the most."""
    skew = max((check.skew for check in checks if check.skew is not None), key=abs, default=None)
    if skew is None:
        return "-"
    return "ok" if abs(skew) < TOLERANCE else f"{skew:+.0f} s"
