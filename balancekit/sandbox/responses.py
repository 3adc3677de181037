"""What the sandbox answers, before it is anything of aiohttp's."""

import json
from collections.abc import Mapping
from http.client import responses

import attrs
from multidict import CIMultiDict, CIMultiDictProxy


@attrs.frozen
class SandboxResponse:
    """One answer: its status, headers and body, and the error code that it carries, if any."""

    status: int = attrs.field(converter=int)
    headers: CIMultiDictProxy[str]
    body: bytes
    error: str | None = None

    @classmethod
    def of_json(cls, status: int, document: object, *, error: str | None = None) -> "SandboxResponse":
        """Make an answer from a document that JSON can hold."""
        return cls.of_json_text(status, json.dumps(document), error=error)

    @classmethod
    def of_json_text(cls, status: int, text: str, *, error: str | None = None) -> "SandboxResponse":
        """Make an answer from ready JSON text."""
        return cls(status, _typed("application/json"), text.encode(), error)

    @classmethod
    def of_text(cls, status: int, text: str) -> "SandboxResponse":
        """Make an answer from plain text."""
        return cls(status, _typed("text/plain; charset=utf-8"), text.encode())

    @classmethod
    def of_status(cls, status: int, **headers: str) -> "SandboxResponse":
        """Make the plain answer that only says what its status means."""
        response = cls.of_text(status, f"{status} {responses[status]}\n")
        return response.with_headers(headers)

    def with_headers(self, headers: Mapping[str, str]) -> "SandboxResponse":
        """Return the same answer with some headers more, in the place of those with the same names."""
        merged = CIMultiDict(self.headers)
        merged.update(headers)
        return attrs.evolve(self, headers=CIMultiDictProxy(merged))


def _typed(content_type: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict({"Content-Type": content_type}))


class CredentialsError(Exception):
    """Credentials that are missing or wrong; `code` is the one that the provider answers."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
