"""What has to happen before a read sends another request than its first: a limit counts requests, not reads."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from balancekit.http.own_variables import own_variable

_next: ContextVar[Callable[[], Awaitable[None]] | None] = own_variable("balancekit_next_request", None)


def use_before_next_request(wait: Callable[[], Awaitable[None]] | None) -> None:
    """Have reads of the current task wait so before each request but the first; None for no wait."""
    _next.set(wait)


async def before_next_request() -> None:
    """Wait until another request of the current read may be sent; raises a ProviderError if it may not in time."""
    wait = _next.get()
    if wait is not None:
        await wait()
