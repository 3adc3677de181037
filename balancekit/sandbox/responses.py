"""A response of the sandbox while it is built, before it becomes aiohttp's."""

import json
from collections.abc import Mapping
from http.client import responses

import attrs
from multidict import CIMultiDict, CIMultiDictProxy


@attrs.frozen
class SandboxResponse:
    """Status, headers and body of one response, and the error code in it, if any."""

    status: int = attrs.field(converter=int)
    headers: CIMultiDictProxy[str]
    body: bytes
    error: str | None = None

    @classmethod
    def of_json(cls, status: int, document: object, *, error: str | None = None) -> "SandboxResponse":
        """Build a response from a document that JSON can represent."""
        return cls.of_json_text(status, json.dumps(document), error=error)

    @classmethod
    def of_json_text(cls, status: int, text: str, *, error: str | None = None) -> "SandboxResponse":
        """Build a response from JSON text."""
        return cls(status, _content_type("application/json"), text.encode(), error)

    @classmethod
    def of_text(cls, status: int, text: str) -> "SandboxResponse":
        """Build a response from plain text."""
        return cls(status, _content_type("text/plain; charset=utf-8"), text.encode())

    @classmethod
    def of_status(cls, status: int, **headers: str) -> "SandboxResponse":
        """Build a plain-text response with the status and its reason phrase."""
        response = cls.of_text(status, f"{status} {responses[status]}\n")
        return response.with_headers(headers)

    def with_headers(self, headers: Mapping[str, str]) -> "SandboxResponse":
        """Return the same response with these headers, which replace those of the same names."""
        merged = CIMultiDict(self.headers)
        merged.update(headers)
        return attrs.evolve(self, headers=CIMultiDictProxy(merged))


class CredentialsError(Exception):
    """Missing or wrong credentials; `code` is the provider's error code for them."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _content_type(value: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict({"Content-Type": value}))
