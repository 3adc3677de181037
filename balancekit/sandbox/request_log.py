"""The log of what a sandbox received."""

import itertools
from typing import Final

import attrs
from multidict import CIMultiDictProxy

from balancekit.sandbox.faults import Fault
from balancekit.sandbox.responses import SandboxResponse

_MAX_ENTRIES: Final = 10_000
"""How many requests are kept: a sandbox that runs for days must not fill the memory."""


@attrs.frozen(kw_only=True)
class ReceivedRequest:
    """One request as it arrived, and what was answered.

    `at` is the sandbox's clock in Unix seconds; `provider` and `account` are None where the path, or the credentials,
    belong to none. `path` is raw and includes the query. `status` is None as long as nothing was answered, and stays so
    for a fault that sends no response; `error` is the code that the answer carried. The repr shows neither headers nor
    body, which hold credentials.
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
    """The latest requests in order of arrival; each is completed when it is answered."""

    def __init__(self) -> None:
        self._entries: dict[int, ReceivedRequest] = {}
        self._numbers = itertools.count()

    @property
    def entries(self) -> tuple[ReceivedRequest, ...]:
        """What is kept, oldest first."""
        return tuple(self._entries.values())

    def add(self, request: ReceivedRequest) -> int:
        """Add a request and return its number in the log."""
        number = next(self._numbers)
        self._entries[number] = request
        self._entries.pop(number - _MAX_ENTRIES, None)
        return number

    def complete(self, number: int, response: SandboxResponse) -> None:
        """Complete a request, if it is still kept."""
        if number in self._entries:
            self._entries[number] = attrs.evolve(self._entries[number], status=response.status, error=response.error)

    def clear(self) -> None:
        """Forget every request."""
        self._entries.clear()
