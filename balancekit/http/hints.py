"""Hints: what a user can do about an error, whichever provider it comes from.

What only one API means is in its adapter's `HttpProvider.hints`.
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

HINTS: Final[Mapping[type[ProviderError], str | None]] = MappingProxyType(
    {
        AuthenticationError: "Check the account's credentials, and that base_url is the host that they were made for",
        # What to do depends on what the provider says.
        BadRequestError: None,
        RateLimitedError: "Too many requests: all accounts on one host may share one limit. Ask less often, or later",
        ServiceUnavailableError: "The provider is failing. Try again later",
        UnexpectedRedirectError: (
            "Check base_url: the response points elsewhere, and credentials go to the configured host alone"
        ),
        TransportError: "Check base_url and the network; if both are right, try again later",
        ProviderTimeoutError: "The provider is slow or out of reach. Try again later, or give it more time",
        # The message says which part of the response is wrong; a user cannot change that.
        MalformedResponseError: None,
    }
)
"""By the class of the error; None where there is nothing to advise."""

NOT_FOUND_HINT: Final = "Check base_url"
"""For a 404."""

PROXY_HINT: Final = "Add the host to NO_PROXY"
"""For a request that is not encrypted and would go through a proxy."""

NOT_ASKED_HINT: Final = "Other accounts took all the time. Give the client a longer deadline, or more concurrency"
"""For an account that was not asked before the deadline."""

NO_PERMIT_HINT: Final = "Come back in {wait:.0f} s, or ask for fewer accounts at a time"
"""For an account that gets no permit under a rate limit before the deadline; `wait` is in seconds."""
