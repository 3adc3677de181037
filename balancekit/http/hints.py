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
    NotReadError,
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
        NotReadError: "Wait for a `fetch`, or look again later",
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

_EARLY_HINT: Final = "The server, or a load balancer before it, did not wait for the request. Try again later"

HINTS_BY_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        200: HINTS[BadRequestError],
        404: "Check base_url, with its path",
        408: _EARLY_HINT,
        425: _EARLY_HINT,
    }
)
"""By the status of an error response, before those by the class of the error."""

ERROR_IN_200_HINT: Final = "The provider reports an error, though with the status of a success"
"""For a 200 whose body is an error; the provider's code and words follow."""

BYTE_ORDER_MARK_HINT: Final = (
    "The body begins with a byte order mark, which JSON does not allow: whatever adds it, the provider or a gateway on "
    "the way, has to leave it out"
)
"""For a 200 that would be JSON but for its first character."""

PAGE_HINT: Final = "The body is a web page. Check base_url; if it is right, the provider may be down: try again later"
"""For a 200 with HTML."""

CACHED_HINT: Final = (
    "A cache on the way (a proxy, or a content delivery network) answers for the provider: exempt this URL from it"
)
"""For a 200 that is older than its request."""

BLOCKED_HINT: Final = (
    "A firewall before the provider (such as Cloudflare), or its list of allowed IP addresses, may be blocking this "
    "machine. Check that before the account's credentials"
)
"""For a 403 that is not the provider's own, or that names an IP address."""

KEY_OR_ADDRESS_HINT: Final = (
    "Check the account's credentials, and then whether they may be used from the IP address of this machine"
)
"""For a 401 or 403 that names both, a wrong key or an address, as the cause."""

LONG_HEAD_HINT: Final = (
    "Look at the headers that the server, or a proxy before it, adds to its responses, and have the long one shortened"
)
"""For a response with a header that is longer than aiohttp reads."""

ENCODING_HINT: Final = "Have the server, or the gateway before it, send gzip or none, as it is asked to"
"""For a response in an encoding that was not asked for."""

PROXY_HINT: Final = (
    "Check the address of the proxy, which is `proxy` or else HTTPS_PROXY, and whether it lets this machine reach the "
    "provider"
)
"""For a proxy that does not pass a request on."""

PROXY_LOGIN_HINT: Final = (
    "Put the user and the password of the proxy into its address: http://user:password@host:3128, with `%40` for a @ "
    "in them, `%2F` for a slash and `%23` for a #"
)
"""For a proxy that rejects its user and password, and for an address that is cut, as by a bare slash in it."""

UNSENT_HINT: Final = "The session may be closed, or a header may hold characters that cannot be sent"
"""For a request that was not sent, and would not be the next time either."""

OTHER_ORIGIN_HINT: Final = "Have the adapter build URLs that begin with its base_url and a slash"
"""For a request that would take the credentials to where the configuration does not."""

UNENCODED_HINT: Final = "Have the adapter encode what it puts into a URL, as urllib.parse.quote does"
"""For a request that would not arrive as it was built."""

STILL_QUEUED_HINT: Final = (
    "Other accounts, or a shared store, took all the time. Give the client a longer deadline, or more concurrency"
)
"""For an account for which no request was sent before the deadline."""

ENDLESS_HINT: Final = "Let CancelledError out of the adapter's fetch_balances: its task goes on, and keeps what it has"
"""For an attempt that has not ended a second after its timeout."""

UNCREDIBLE_DATE_HINT: Final = (
    "The response's `Date` is more than a day from this machine's clock, so no request was signed by it: check the "
    "clock, or what responds in place of the API"
)
"""For a rejected request that was signed with the time, after the error's own hint."""

NO_PERMIT_HINT: Final = "Try again in {wait:.0f} s, or read fewer accounts at a time"
"""For an account that gets no permit under a rate limit before the deadline; `wait` is in seconds."""
