"""What an API that the sandbox plays is to the server, and what answers outside both APIs."""

from http import HTTPStatus
from typing import Protocol

from multidict import CIMultiDictProxy

from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.request_log import ReceivedRequest
from balancekit.sandbox.responses import SandboxResponse


class Api(Protocol):
    """One API: which paths and accounts are its own, and what it answers."""

    @property
    def provider(self) -> str | None:
        """The provider's name."""
        ...

    def serves(self, route: str) -> bool:
        """Whether a path, without its query, belongs to this API."""
        ...

    def identify(self, route: str, headers: CIMultiDictProxy[str]) -> SandboxAccount | None:
        """Return the account that a request says it comes from."""
        ...

    def respond(self, request: ReceivedRequest) -> SandboxResponse:
        """SandboxResponse a request as the provider does."""
        ...

    def documented_error(self, status: int) -> SandboxResponse | None:
        """Return the error that the provider documents for a status."""
        ...


class NotFoundApi:
    """What is asked for outside both APIs."""

    @property
    def provider(self) -> None:
        """No provider."""

    def serves(self, route: str) -> bool:  # noqa: ARG002 - whatever the APIs do not
        """Whether a path is served here: any is."""
        return True

    def identify(self, route: str, headers: CIMultiDictProxy[str]) -> None:
        """Recognise nobody."""

    def respond(self, request: ReceivedRequest) -> SandboxResponse:  # noqa: ARG002 - always the same
        """SandboxResponse that nothing is found."""
        return SandboxResponse.of_status(HTTPStatus.NOT_FOUND)

    def documented_error(self, status: int) -> None:
        """Document nothing."""
