"""The log of the requests that a sandbox received."""

import itertools
from typing import Final

import attrs
from multidict import CIMultiDictProxy

from balancekit.sandbox.faults import Fault
from balancekit.sandbox.responses import SandboxResponse

LOG_LENGTH: Final = 10_000
"""How many entries a log of the sandbox keeps, so that one that runs for days does not fill the memory."""


@attrs.frozen(kw_only=True)
class ReceivedRequest:
    """One request as it arrived, and the outcome.

    `at` is the sandbox's clock in Unix seconds. `provider` is None for a path outside both APIs, `account` for
    credentials of no account. `path` is raw and includes the query. `status` is None until a response is sent, and
    stays None for a fault that sends none; `error` is the error code in the response. The repr omits headers and body,
    which hold credentials.
    """

    at: float
    provider: str | None
    account: str | None
    method: str
    path: str
    headers: CIMultiDictProxy[str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    status: int | None = None
    error: str | None = None
    fault: Fault | None = None

    @property
    def route(self) -> str:
        """The path without the query."""
        return self.path.partition("?")[0]


class RequestLog:
    """The latest requests in order of arrival; each is completed when its response is built."""

    def __init__(self) -> None:
        self._entries: dict[int, ReceivedRequest] = {}
        self._numbers = itertools.count()

    @property
    def entries(self) -> tuple[ReceivedRequest, ...]:
        """The requests that are kept, oldest first."""
        # Of a copy, which is made in one step: other threads ask while requests arrive.
        return tuple(self._entries.copy().values())

    def add(self, request: ReceivedRequest) -> int:
        """Add a request and return its number in the log."""
        number = next(self._numbers)
        self._entries[number] = request
        self._entries.pop(number - LOG_LENGTH, None)
        return number

    def complete(self, number: int, response: SandboxResponse) -> None:
        """Add the response to a request, if the request is still kept."""
        if number in self._entries:
            self._entries[number] = attrs.evolve(self._entries[number], status=response.status, error=response.error)

    def clear(self) -> None:
        """Remove every request."""
        self._entries.clear()
