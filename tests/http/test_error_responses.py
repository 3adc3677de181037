"""What answers other than success stand for."""

import json

import pytest
from hypothesis import given, strategies as st

from balancekit import (
    AuthenticationError,
    BadRequestError,
    ErrorDetail,
    MalformedResponseError,
    RateLimitedError,
    Response,
    ServiceUnavailableError,
    UnexpectedRedirectError,
)
from balancekit.http.error_responses import error_class, error_detail, usual_hint
from balancekit.http.messages import MAX_EXCERPT

# Half a surrogate too: the environment of a process holds such where its bytes are no UTF-8.


ERRORS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "errors", "code", "message", "x"]), inner)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ('{"error": "Bad key header", "code": "bad_header_key"}', "bad_header_key", "Bad key header"),
        ('{"error": "No", "code": 7}', "7", "No"),
        ('{"error": "No", "code": null}', None, "No"),
        ('{"error": "No", "code": ""}', None, "No"),
        ('{"error": "No", "code": ["x"]}', None, "No"),
        ('{"error": {"code": "FORBIDDEN", "message": "No access"}}', "FORBIDDEN", "No access"),
        ('{"error": {"code": "FORBIDDEN", "message": "No\\naccess", "more": 1}}', "FORBIDDEN", "No access"),
        ('{"error": {"code": "FORBIDDEN"}}', "FORBIDDEN", None),
        ('{"error": {"code": null, "message": 5}}', None, None),
        ('{"error": "invalid_signature"}', "invalid_signature", None),
        ('{"error": "Something went wrong"}', None, "Something went wrong"),
        ('{"error": ""}', None, None),
        ('{"errors": {"currency": "is required"}}', None, "currency: is required"),
        ('{"errors": {"a": "one", "b": "two\\nlines"}}', None, "a: one; b: two lines"),
        ('{"errors": {}}', None, '{"errors": {}}'),
        ('{"message": "other"}', None, '{"message": "other"}'),
        ('["other"]', None, '["other"]'),
        ("error code: 1015", None, "error code: 1015"),
        ("<html>\n<h1>502 Bad Gateway</h1>\n</html>", None, "<html> <h1>502 Bad Gateway</h1> </html>"),
        ("", None, None),
        (" \n", None, None),
    ],
)  # fmt: skip
def test_an_error_says_its_code_and_its_words(body, code, message):
    """Both shapes of both APIs are read, and the text of a proxy is shown in short."""
    assert error_detail(Response(400, body=body.encode())) == ErrorDetail(code, message)


@pytest.mark.parametrize(
    "body",
    ['{"error": "No", "code": "  "}', '{"error": {"code": "\\n", "message": "No"}}'],
    ids=["flat", "nested"],
)
def test_a_blank_code_is_no_code(body):
    """A code of blanks alone names nothing."""
    assert error_detail(Response(400, body=body.encode())) == ErrorDetail(None, "No")


def test_a_boolean_is_no_code():
    """Python counts booleans as integers, the provider does not."""
    detail = error_detail(Response(400, body=b'{"error": {"code": true, "message": "No"}}'))

    assert detail == ErrorDetail(None, "No")


def test_words_that_are_no_text_are_not_shown_as_none():
    """A field's errors may come as a list; what they say is shown, or nothing, but not Python's None."""
    detail = error_detail(Response(400, body=b'{"errors": {"currency": ["is required"]}}'))

    assert "currency" in str(detail.message)
    assert "None" not in str(detail.message)


@pytest.mark.parametrize(
    "body",
    [
        '{"error": "%s", "code": "%s"}',
        '{"error": {"code": "%s", "message": "%s"}}',
        '{"errors": {"%s": "%s"}}',
        "%s %s",
    ],
)
def test_what_an_error_says_is_bounded(body):
    """No shape lets a long answer into a message or a code."""
    detail = error_detail(Response(400, body=(body % ("c" * 5000, "w" * 5000)).encode()))

    assert len(detail.code or "") <= 64
    assert len(detail.message or "") <= MAX_EXCERPT


@given(st.binary() | ERRORS.map(json.dumps).map(str.encode))
def test_what_any_error_says_is_printable(body):
    """Whatever the body of an error is, nothing is raised and nothing unprintable is shown."""
    detail = error_detail(Response(500, body=body))

    assert detail.code is None or (detail.code.isprintable() and detail.code)
    assert detail.message is None or (detail.message.isprintable() and detail.message)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, UnexpectedRedirectError),
        (302, UnexpectedRedirectError),
        (304, UnexpectedRedirectError),
        (308, UnexpectedRedirectError),
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, BadRequestError),
        (403, AuthenticationError),
        (404, BadRequestError),
        (408, BadRequestError),
        (422, BadRequestError),
        (429, RateLimitedError),
        (499, BadRequestError),
        (500, ServiceUnavailableError),
        (502, ServiceUnavailableError),
        (503, ServiceUnavailableError),
        (520, ServiceUnavailableError),
        (599, ServiceUnavailableError),
        (100, MalformedResponseError),
        (201, MalformedResponseError),
        (204, MalformedResponseError),
        (206, MalformedResponseError),
        (600, MalformedResponseError),
        (999, MalformedResponseError),
        (0, MalformedResponseError),
    ],
)
def test_each_status_has_its_class_of_error(status, kind):
    """Every status but 200 is one error; those that no API promises are malformed."""
    assert error_class(status) is kind


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (302, "Check base_url"),
        (401, "Check the account's credentials"),
        (403, "Check the account's credentials"),
        (404, "Check base_url"),
        (429, "Too many requests"),
        (500, "The provider is failing"),
        (503, "The provider is failing"),
    ],
)
def test_a_status_has_its_usual_hint(status, hint):
    """What to do about a status does not depend on the provider."""
    assert str(usual_hint(status)).startswith(hint)


@pytest.mark.parametrize("status", [204, 400, 422, 999])
def test_where_nobody_knows_what_to_do_there_is_no_hint(status):
    """A hint that says nothing is not given."""
    assert usual_hint(status) is None
