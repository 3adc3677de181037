"""Why accounts could not be read, in a few words that are our own: failures grouped by reason. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from balancekit.errors import (
    AuthenticationError,
    BadRequestError,
    BalancekitError,
    MalformedResponseError,
    NotReadError,
    ProviderTimeoutError,
    RateLimitedError,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)
from balancekit.money.balances import AccountFailure
from balancekit.money.layout import pluralize

MAX_LISTED: Final = 5
"""More accounts than these are counted and grouped instead of listed."""

# An error of a class of one's own has the reason of the class that it derives from.
_REASONS: Final[dict[type[BaseException], str]] = {
    AuthenticationError: "key refused",
    BadRequestError: "request rejected",
    RateLimitedError: "too many requests",
    ServiceUnavailableError: "provider unavailable",
    UnexpectedRedirectError: "redirected",
    TransportError: "no connection",
    ProviderTimeoutError: "timed out",
    MalformedResponseError: "malformed response",
    NotReadError: "not read yet",
}


def group_by_reason(failures: Iterable[AccountFailure]) -> dict[str, list[AccountFailure]]:
    """Return the failures by reason, the most frequent reason first; no word of a provider is in a reason."""
    groups: defaultdict[str, list[AccountFailure]] = defaultdict(list)
    for failure in failures:
        groups[_reason(failure.error)].append(failure)
    return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


def describe_reasons(failures: Iterable[AccountFailure]) -> str:
    """Return how many accounts failed for which reason, of at least one: `212 accounts: timed out; 88: key refused`."""
    (most, failed), *others = group_by_reason(failures).items()
    first = f"{pluralize(len(failed), 'account')}: {most}"
    return "; ".join([first, *(f"{len(group)}: {reason}" for reason, group in others)])


def _reason(error: BalancekitError) -> str:
    return next((_REASONS[kind] for kind in type(error).__mro__ if kind in _REASONS), "failed")
