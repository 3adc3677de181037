"""What an error response means: its class of error, code, message, hint and `Retry-After`."""

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
from balancekit.http.error_responses import error_class, error_detail
from balancekit.http.hints import HINTS
from balancekit.http.messages import MAX_EXCERPT

NO_DETAIL = ErrorDetail()
# Half a surrogate too: the environment of a process holds such where its bytes are no UTF-8.
ANY_TEXT = st.text(st.characters())
ERRORS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "errors", "code", "message", "title", "x"]), inner)
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
        ('{"error": ""}', None, '{"error": ""}'),
        ('{"error": "", "message": "No"}', None, "No"),
        ('{"errors": {"currency": "is required"}}', None, "currency: is required"),
        ('{"errors": {"a": "one", "b": "two\\nlines"}}', None, "a: one; b: two lines"),
        ('{"errors": {}}', None, '{"errors": {}}'),
        ('{"message": "other"}', None, "other"),
        ('{"code": 10003, "msg": "rate limit exceeded", "data": null}', "10003", "rate limit exceeded"),
        ('{"success": false, "message": "invalid signature", "data": []}', None, "invalid signature"),
        ('{"error_code": 5001, "error_message": "maintenance"}', "5001", "maintenance"),
        ('{"errorCode": "E17", "errorMessage": "maintenance"}', "E17", "maintenance"),
        ('{"statusCode": 403, "message": "No such scope", "error": "Forbidden"}', "Forbidden", "No such scope"),
        ('{"error": "invalid_client", "error_description": "Unknown client"}', "invalid_client", "Unknown client"),
        ('{"error": true, "message": "No"}', None, "No"),
        ('{"type": "about:blank", "title": "Forbidden", "detail": "No access", "status": 403}', None, "No access"),
        ('{"title": "Forbidden", "status": 403}', None, "Forbidden"),
        ('{"message": ["one", "two"]}', None, "one, two"),
        ('{"code": "E17", "reason": "other"}', "E17", '{"code": "E17", "reason": "other"}'),
        ('{"message": " ", "code": ""}', None, '{"message": " ", "code": ""}'),
        ('{"errors": [{"code": 1020, "message": "Access denied"}, {"code": 7}]}', "1020", "Access denied"),
        ('{"errors": [{"title": "Forbidden", "detail": "No access", "code": "E17"}]}', "E17", "No access"),
        ('{"errors": ["one", "two"]}', None, "one, two"),
        ('{"errors": [[]]}', None, '{"errors": [[]]}'),
        ('["other"]', None, '["other"]'),
        ("error code: 1015", None, "error code: 1015"),
        ("<html>\n<h1>502 Bad Gateway</h1>\n</html>", None, "<html> <h1>502 Bad Gateway</h1> </html>"),
        ("", None, None),
        (" \n", None, None),
    ],
)  # fmt: skip
def test_the_code_and_the_message_of_an_error_response_are_read(body, code, message):
    """The shapes of both APIs and of many others are read, and the text of a proxy is shown in short."""
    assert error_detail(Response(400, body=body.encode())) == ErrorDetail(code, message)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"code": 0, "message": "OK", "data": [{}]}', NO_DETAIL),
        ('{"error": "0", "code": 0, "data": {}}', NO_DETAIL),
        ('{"code": 429, "message": "Too many", "data": []}', ErrorDetail("429", "Too many")),
        ('{"success": false, "code": 7, "msg": "No"}', ErrorDetail("7", "No")),
    ],
)
def test_the_code_of_a_success_is_that_of_no_error(body, detail):
    """A 200 has the code and the message of an error only if something in it reports one."""
    assert error_detail(Response(200, body=body.encode())) == detail


@pytest.mark.parametrize("status", [200, 203, 206, 299])
@pytest.mark.parametrize("failed", ["", '"success": false, ', '"status": "error", "code": 7, '])
def test_what_may_be_balances_is_not_quoted(status, failed):
    """A body with the status of a success may hold them, whatever else is in it."""
    body = f' {{{failed}"data": [{{"currency": "BTC", "balance": "77.1234"}}]}}'

    for shown in (body, f"[{body}]"):
        assert error_detail(Response(status, body=shown.encode())).message is None


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


def test_a_list_of_messages_is_joined():
    """A field's errors may come as a list."""
    detail = error_detail(Response(400, body=b'{"errors": {"currency": ["is required"]}}'))

    assert detail.message == "currency: is required"


@pytest.mark.parametrize(
    "body",
    [
        '{"error": "%s", "code": "%s"}',
        '{"error": {"code": "%s", "message": "%s"}}',
        '{"errors": {"%s": "%s"}}',
        '{"code": "%s", "message": "%s"}',
        '{"errors": [{"code": "%s", "message": "%s"}]}',
        "%s %s",
    ],
)
def test_what_is_read_of_an_error_response_is_bounded(body):
    """No shape lets a long text into a message or a code."""
    detail = error_detail(Response(400, body=(body % ("c" * 5000, "w" * 5000)).encode()))

    assert len(detail.code or "") <= 64
    assert len(detail.message or "") <= MAX_EXCERPT


@given(st.binary() | ERRORS.map(json.dumps).map(str.encode))
def test_what_is_read_of_any_error_response_is_printable(body):
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
    ("status", "detail", "message"),
    [
        (403, ErrorDetail("forbidden", "No"), "403 forbidden: No"),
        (401, ErrorDetail("bad_key"), "401 bad_key"),
        (429, ErrorDetail(None, "error code: 1015"), "429: error code: 1015"),
        (503, ErrorDetail(), "503"),
    ],
)
def test_the_message_has_the_status_the_code_and_the_providers_message(make_error, status, detail, message):
    """What the provider left out is left out of the message."""
    error = make_error(Response(status), detail)

    assert type(error) is error_class(status)
    assert (error.message, error.status, error.code) == (message, status, detail.code)
    assert (error.account, error.provider) == ("shop", "fake")


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "locked", "Call the bank"),
        (402, "locked", "Call the bank"),
        (402, "other", "Pay the bank"),
        (403, "other", "Check the account's credentials, and that base_url is the host that they were made for"),
        (500, None, "The provider is failing. Try again later"),
        (404, None, "Check base_url, with its path"),
        (400, "other", HINTS[BadRequestError]),
        (204, None, HINTS[MalformedResponseError]),
    ],
)
def test_a_hint_is_the_most_special_there_is(make_error, status, code, hint):
    """The adapter's for the code comes before its own for the status, and that before the general one."""
    assert make_error(Response(status), ErrorDetail(code)).hint == hint


@pytest.mark.parametrize("status", [429, 503, 403, 302])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT", "date": "Thu, 01 Jan 2026 00:00:50 GMT"}, 10.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT", "Date": "today"}, 60.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
    ids=["seconds", "date", "bad date", "no date", "garbage", "absent"],
)
def test_retry_after_is_kept_whatever_the_status(make_error, status, headers, seconds):
    """A date is counted from the response's own `Date`, since this machine's clock may be off."""
    assert make_error(Response(status, headers)).retry_after == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_the_time_to_come_back_is_in_the_hint(make_error, status):
    """A person sees the hint, and not `retry_after`."""
    error = make_error(Response(status, {"Retry-After": "3600"}))

    assert str(error).endswith(". The response says to wait 3600 s")


@pytest.mark.parametrize(("status", "retryable"), [(408, True), (425, True), (400, False), (404, False), (429, True)])
def test_a_request_that_the_server_did_not_wait_for_may_be_sent_again(make_error, status, retryable):
    """A load balancer sends 408 for a request that it got too slowly: nothing is wrong with the request itself."""
    error = make_error(Response(status))

    assert type(error) is error_class(status)
    assert error.retryable is retryable
    assert ("did not wait" in error.hint) is (status in {408, 425})


def test_what_an_adapter_reads_of_an_error_is_made_short_and_printable():
    """An adapter's own reading of an error forges no line of a log, and moves no cursor."""
    detail = ErrorDetail("no\n2026-01-01 shop is back" + "x" * 100, "\x1b[2Jshut" + "y" * 1000)

    assert detail.code.isprintable()
    assert len(detail.code) == 64
    assert detail.message.startswith("?[2Jshut")
    assert len(detail.message) == MAX_EXCERPT
    assert ErrorDetail("", " ") == ErrorDetail(None, None)
