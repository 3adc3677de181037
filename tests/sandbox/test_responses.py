"""Responses while they are built."""

from balancekit.sandbox.responses import SandboxResponse


def test_a_status_alone_has_its_reason_as_text():
    """The body of such a response is for people, and its headers can be added to."""
    response = SandboxResponse.of_status(405, Allow="POST")

    assert (response.status, response.body) == (405, b"405 Method Not Allowed\n")
    assert dict(response.headers) == {"Content-Type": "text/plain; charset=utf-8", "Allow": "POST"}


def test_a_header_replaces_the_one_of_the_same_name():
    """Names are compared in any case, and the original response stays as it was."""
    response = SandboxResponse.of_json(200, {})

    changed = response.with_headers({"content-type": "text/html"})

    assert list(changed.headers.values()) == ["text/html"]
    assert list(response.headers.values()) == ["application/json"]
