"""The interface of an API to the sandbox's server, and the API for every path outside both providers."""

from http import HTTPStatus
from typing import ClassVar, Protocol

from multidict import CIMultiDictProxy

from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.request_log import ReceivedRequest
from balancekit.sandbox.responses import SandboxResponse


class Api(Protocol):
    """One API: its paths, its accounts and its responses."""

    provider: ClassVar[str | None]
    """The provider's name; None for paths that belong to no provider."""

    def serves(self, route: str) -> bool:
        """Whether a path, without its query, belongs to this API."""
        ...

    def identify(self, route: str, headers: CIMultiDictProxy[str]) -> SandboxAccount | None:
        """Return the account that a request claims to come from."""
        ...

    def respond(self, request: ReceivedRequest) -> SandboxResponse:
        """Respond to a request as the provider does."""
        ...

    def documented_error(self, status: int) -> SandboxResponse | None:
        """Return the error response that the provider documents for a status."""
        ...


class NotFoundApi:
    """Every path outside both APIs."""

    provider: ClassVar[str | None] = None

    def serves(self, route: str) -> bool:  # noqa: ARG002 - it is tried last
        """Whether a path is served here: every path is."""
        return True

    def identify(self, route: str, headers: CIMultiDictProxy[str]) -> None:
        """Identify no account."""

    def respond(self, request: ReceivedRequest) -> SandboxResponse:  # noqa: ARG002 - always the same
        """Respond that nothing is found."""
        return SandboxResponse.of_status(HTTPStatus.NOT_FOUND)

    def documented_error(self, status: int) -> None:
        """Return no error response: no provider documents one."""
