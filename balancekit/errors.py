"""The errors that balancekit raises; all derive from BalancekitError.

    BalancekitError
      ConfigError                    (also a ValueError) a setting that cannot work; raised before anything is sent
      AmbiguousCurrencyError         (also a KeyError) the code is held as more than one type of asset
      WebhookVerificationError       a webhook's delivery is forged, malformed or too old
      ProviderError                  one account could not be read
        AuthenticationError          401, 403
        BadRequestError              400 and other 4xx
        RateLimitedError             429
        ServiceUnavailableError      5xx
        UnexpectedRedirectError      3xx: never followed
        TransportError               DNS, connect, TLS, reset, truncated body
        ProviderTimeoutError         one attempt's timeout, or the deadline
        MalformedResponseError       not what the API promises
        NotReadError                 nobody has read the account yet
      IncompleteError                (an ExceptionGroup) some accounts could not be read; defined in
                                     balancekit.money.merged, beside the result that it carries

The facts of an error are its attributes; its message is for people and ends with what to do. All errors pickle.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import ClassVar, Final, ParamSpec, TypeVar

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_PACKAGE: Final = "balancekit."


class BalancekitError(Exception):
    """The base class of all errors that balancekit raises on purpose."""


class ConfigError(BalancekitError, ValueError):
    """A setting is missing or malformed, or contradicts another; nothing was sent."""


class AmbiguousCurrencyError(BalancekitError, KeyError):
    """A currency code is held as more than one type of asset, so the code alone does not name a total."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes.
        return Exception.__str__(self)


class WebhookVerificationError(BalancekitError):
    """A webhook's delivery was rejected: it is forged, malformed, too old, or for an account without webhooks.

    The message is for the log. The sender gets the same response whatever the reason was. `account` is the label that
    the delivery was for, None unless a client has such an account.
    """

    account: str | None = None


def with_hint(problem: str, hint: str | None) -> str:
    """Return what is wrong and what to do about it, with one full stop between them."""
    return f"{problem.removesuffix('.')}. {hint}" if hint else problem


class ProviderError(BalancekitError):
    """The balances of one account could not be read.

    `status` is the HTTP status if there was a response, `code` the provider's own error code if it sent one,
    `retryable` whether the same request may succeed later, `hint` what to do about it, and `retry_after` the number of
    seconds until it is worth trying again, if it is known.
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
        self.retryable: bool = self.retryable_by_default if retryable is None else retryable
        self.hint = hint
        self.retry_after = retry_after

    @property
    def message(self) -> str:
        """What went wrong, without the account and the hint."""
        return str(self.args[0])

    def __str__(self) -> str:
        return with_hint(f"{self.account} ({self.provider}): {self.message}", self.hint)

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[object, ...]]:
        # The default would call the class with `args` alone and lose the keyword arguments.
        return _restore, (type(self), self.args, self.__dict__)

    def __copy__(self) -> "ProviderError":
        # As `copy.copy` would, in less time: each caller gets errors of its own.
        return _restore(type(self), self.args, self.__dict__)


class AuthenticationError(ProviderError):
    """The provider rejected the credentials (401, 403).

    `clock_offset` is how many seconds the response's `Date` is ahead of this machine's clock. It is known where the
    request was signed with the time, and the response is from no cache.
    """

    clock_offset: float | None = None


class BadRequestError(ProviderError):
    """The provider rejected the request itself (400 and other 4xx)."""


class RateLimitedError(ProviderError):
    """The provider, or a proxy before it, received too many requests (429)."""

    retryable_by_default: ClassVar[bool] = True


class ServiceUnavailableError(ProviderError):
    """The provider failed (5xx)."""

    retryable_by_default: ClassVar[bool] = True


class UnexpectedRedirectError(ProviderError):
    """The provider redirected the request (3xx); credentials go to the configured host alone."""


class TransportError(ProviderError):
    """The request or its response did not get through: DNS, connect, TLS, reset, truncated body."""

    retryable_by_default: ClassVar[bool] = True


class ProviderTimeoutError(ProviderError):
    """There was no response within one attempt's timeout, or before the deadline."""

    retryable_by_default: ClassVar[bool] = True


class MalformedResponseError(ProviderError):
    """The response is not what the API promises; the message says where, for example `data[3].balance`."""


class NotReadError(ProviderError):
    """The account has not been read yet, so nothing is known of it, or not since its balances may have changed.

    The first only `latest` and `watch` say; the second is in the IncompleteError of `MergedBalances.amount`.
    """


def _restore(cls: type[ProviderError], args: tuple[object, ...], facts: dict[str, object]) -> ProviderError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(facts)
    if "__notes__" in facts:
        # A copy of the list, since `add_note` would add to that of the other error.
        error.__notes__ = [*error.__notes__]
    return error


BY_NAME: Final[Mapping[str, type[BalancekitError]]] = MappingProxyType(
    {name: kind for name, kind in globals().items() if isinstance(kind, type) and issubclass(kind, BalancekitError)}
)
"""All classes above, by which an error is read that was written elsewhere; an adapter's own class is none of them."""


def text_of(error: BaseException) -> str:
    """Return the text of an exception, or the name of its class if its `__str__` raises."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - its class may do anything
        return type(error).__name__


def without_frames(call: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Have a call raise a ConfigError, or what ends the program, without what it came from: frames and exceptions.

    The local variables of frames are what was passed, such as a URL with a password or a key that is not hidden, and
    error trackers collect them. Any other exception loses the frame of the call alone, unless it is an adapter's: the
    frames below, such as that of the code that makes a list of providers, show where the mistake is.
    """

    @functools.wraps(call)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            return call(*args, **kwargs)
        except ConfigError as error:
            raised: BaseException = ConfigError(text_of(error))
        except Exception as error:
            _drop_frame_of_call(error.__traceback__)
            raise
        except BaseException as error:  # noqa: BLE001 - raised again below
            raised = error.with_traceback(None)
            raised.__cause__ = raised.__context__ = None
        finally:
            # Whatever is raised, a misspelt argument too, this frame would keep what was passed.
            del args, kwargs
        # Outside the handler, so that the new error does not lead to the first one.
        raise raised

    return checked


def _drop_frame_of_call(traceback: TracebackType | None) -> None:
    """Drop the frame of the wrapped call, the second of a traceback, unless the code is an adapter's."""
    called = traceback and traceback.tb_next
    if traceback and called and called.tb_frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        traceback.tb_next = called.tb_next
