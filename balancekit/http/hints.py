"""Hints: what a user can do about an error, whichever provider it comes from.

Hints for the errors of one API are in its adapter's `HttpProvider.hints`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from balancekit.errors import (
    AuthenticationError,
    BadRequestError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)

HINTS: Final[Mapping[type[ProviderError], str]] = MappingProxyType(
    {
        AuthenticationError: "Check the account's credentials, and that base_url is the host that they were made for",
        BadRequestError: "Check the account's settings; the provider's documentation explains its error codes",
        RateLimitedError: "Too many requests: all accounts on one host may share one limit. Read less often, or later",
        ServiceUnavailableError: "The provider is failing. Try again later",
        UnexpectedRedirectError: (
            "Check base_url: the response points elsewhere, and credentials go to the configured host alone"
        ),
        TransportError: "Check base_url and the network; if both are right, try again later",
        ProviderTimeoutError: "The provider is slow or out of reach. Try again later, or give it more time",
        MalformedResponseError: "Check base_url; if it is right, the API may have changed: look for a newer balancekit",
    }
)
"""By the class of the error."""

NOT_FOUND_HINT: Final = "Check base_url"
"""For a 404."""

UNSENT_HINT: Final = "The session may be closed, or a header may hold characters that cannot be sent"
"""For a request that was not sent, and would not be the next time either."""

STILL_QUEUED_HINT: Final = "Other accounts took all the time. Give the client a longer deadline, or more concurrency"
"""For an account for which no request was sent before the deadline."""

UNCREDIBLE_DATE_HINT: Final = (
    "The response's `Date` is more than a day from this machine's clock, so no request was signed by it: check the "
    "clock, or what responds in place of the API"
)
"""For a rejected request that was signed with the time, after the error's own hint."""

NO_PERMIT_HINT: Final = "Try again in {wait:.0f} s, or read fewer accounts at a time"
"""For an account that gets no permit under a rate limit before the deadline; `wait` is in seconds."""
