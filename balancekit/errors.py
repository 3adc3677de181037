"""The errors that balancekit raises, all of one root.

    BalancekitError
      ConfigError                    (also a ValueError) a setting that cannot work; raised before anything is sent
      AmbiguousCurrencyError         (also a KeyError) the code is held as more than one type of asset
      WebhookVerificationError       a delivery is not the provider's, or not one that it would send
      ProviderError                  one account could not be read
        AuthenticationError          401, 403
        BadRequestError              400 and other 4xx
        RateLimitedError             429
        ServiceUnavailableError      5xx
        UnexpectedRedirectError      3xx: never followed
        TransportError               DNS, connect, TLS, reset, truncated body
        ProviderTimeoutError         one attempt's timeout, or the deadline
        MalformedResponseError       not what the API promises
      IncompleteError                (an ExceptionGroup) some accounts could not be read; defined in
                                     balancekit.money.merge, beside the result that it carries

The facts of an error are its attributes; its message is for people and ends in what to do. All of them pickle.
"""

from collections.abc import Callable
from typing import ClassVar


class BalancekitError(Exception):
    """Whatever balancekit raises on purpose."""


class ConfigError(BalancekitError, ValueError):
    """A setting is missing, malformed or contradicts another; nothing was sent."""


class AmbiguousCurrencyError(BalancekitError, KeyError):
    """A currency code is held as more than one type of asset, so the code alone does not name a total."""

    # KeyError would show the message in quotes.
    __str__ = Exception.__str__


class WebhookVerificationError(BalancekitError):
    """A webhook's delivery was refused: forged, malformed, too old, or for an account that takes none.

    The message is for the log. Whoever sent the delivery gets the same answer whatever the reason was.
    """


class ProviderError(BalancekitError):
    """The balances of one account could not be read.

    `status` is the HTTP status if there was an answer, `code` the provider's own error code if it gave one,
    `retryable` whether the same request may succeed later, `hint` what to do about it, and `retry_after` the number of
    seconds until it is worth coming back, if the provider said so.
    """

    retryable_by_default: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        account: str,
        provider: str,
        status: int | None = None,
        code: str | None = None,
        retryable: bool | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.account = account
        self.provider = provider
        self.status = status
        self.code = code
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.hint = hint
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """What went wrong, without the account and the hint."""
        return str(self.args[0])

    def __str__(self) -> str:
        said = f"{self.account} ({self.provider}): {self.message}"
        return f"{said}. {self.hint}" if self.hint else said

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[object, ...]]:
        # The default would call the class with `args` alone and lose the keyword arguments.
        return _restore, (type(self), self.args, self.__dict__)


class AuthenticationError(ProviderError):
    """The provider refused the credentials (401, 403).

    `clock_offset` is how many seconds the provider's clock is ahead of this machine's, where the request was signed
    with the time and the answer told its own.
    """

    clock_offset: float | None = None


class BadRequestError(ProviderError):
    """The provider refused the request itself (400 and other 4xx)."""


class RateLimitedError(ProviderError):
    """The provider, or a proxy before it, received too many requests (429)."""

    retryable_by_default = True


class ServiceUnavailableError(ProviderError):
    """The provider failed (5xx)."""

    retryable_by_default = True


class UnexpectedRedirectError(ProviderError):
    """The provider pointed elsewhere (3xx); credentials go to the configured host alone."""


class TransportError(ProviderError):
    """The request or its answer did not get through: DNS, connect, TLS, reset, truncated body."""

    retryable_by_default = True


class ProviderTimeoutError(ProviderError):
    """There was no answer within one attempt's timeout, or before the deadline."""

    retryable_by_default = True


class MalformedResponseError(ProviderError):
    """The answer is not what the API promises; the message says where, for example `data[3].balance`."""


def _restore(cls: type[ProviderError], args: tuple[object, ...], facts: dict[str, object]) -> ProviderError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(facts)
    return error
