"""The errors of accounts that were not read, or not in time: they say what this client was waiting for."""

from balancekit.client.accounts import Account
from balancekit.errors import BalancekitError, NotReadError, ProviderError, RateLimitedError
from balancekit.http.hints import HINTS, NO_PERMIT_HINT, STILL_QUEUED_HINT


def not_read_error(account: Account) -> NotReadError:
    """Make the error of an account of which there is no snapshot."""
    message = "the account has not been read yet"
    if account.state.last_success is not None:
        message = "no snapshot of the account was kept: it was read by stream() without max_age"
    return NotReadError(message, account=account.label, provider=account.provider, hint=HINTS[NotReadError])


def closed_error(account: Account) -> ProviderError:
    """Make the error of a read that ended with its client."""
    message = "the client was closed before there was a response"
    return ProviderError(message, account=account.label, provider=account.provider)


def removed_error(account: Account) -> ProviderError:
    """Make the error of an account that was removed while somebody waited for it."""
    message = "the account was removed from the client"
    return ProviderError(message, account=account.label, provider=account.provider)


def cooldown_error(account: Account, remaining: float) -> RateLimitedError:
    """Make the error of an account whose origin is in a cooldown for so many seconds."""
    return RateLimitedError(
        f"{account.origin.name} has responded 429: no request is sent to it for {remaining:.1f} s",
        account=account.label,
        provider=account.provider,
        hint=HINTS[RateLimitedError],
        retry_after=remaining,
    )


def no_permit_error(account: Account, deadline: object, wait: float) -> RateLimitedError:
    """Make the error of an account that would have a permit only after the deadline, in so many seconds."""
    return RateLimitedError(
        f"no permit before {deadline} under the limit of {account.origin.limit}",
        account=account.label,
        provider=account.provider,
        hint=NO_PERMIT_HINT.format(wait=wait),
        retry_after=wait,
    )


def still_queued_error(account: Account, deadline: object, *, now: float) -> BalancekitError:
    """Make the error of an account for which no request was sent before the deadline."""
    origin = account.origin
    if (remaining := origin.cooldown.remaining(now)) > 0:
        return cooldown_error(account, remaining)
    if origin.limit is not None and (wait := origin.permits.wait(origin.limit, now)) > 0:
        return no_permit_error(account, deadline, wait)
    return account.timeout_error(f"no request sent before {deadline}", STILL_QUEUED_HINT)
