"""Requests, responses and what their parts mean."""

import json
from contextlib import suppress

import pytest
from hypothesis import example, given, strategies as st

from balancekit import (
    AuthenticationError,
    BadRequestError,
    ErrorDetail,
    MalformedResponseError,
    RateLimitedError,
    Request,
    Response,
    ServiceUnavailableError,
    UnexpectedRedirectError,
)
from balancekit.http import (
    MAX_ERROR_BODY,
    MAX_EXCERPT,
    blotted,
    check_base_url,
    error_class,
    error_detail,
    excerpt,
    parse_date,
    parse_retry_after,
    secrets_in,
    usual_hint,
    without,
)

NEW_YEAR = 1_767_225_600.0

# Half a surrogate too: the environment of a process holds such where its bytes are no UTF-8.
ANY_TEXT = st.text(st.characters())
ERRORS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "errors", "code", "message", "x"]), inner)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("base_url", "kept"),
    [
        ("https://pay.example", "https://pay.example"),
        ("https://pay.example/", "https://pay.example"),
        ("https://pay.example//", "https://pay.example"),
        ("https://pay.example:8443/api/v2/", "https://pay.example:8443/api/v2"),
        ("HTTPS://Pay.Example/Api", "https://pay.example/Api"),
        ("https://pay.example/a%2Fb", "https://pay.example/a%2Fb"),
        ("https://b\u00fccher.example/\u00e9", "https://xn--bcher-kva.example/%C3%A9"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://127.0.0.1", "https://127.0.0.1"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:8080/api"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]", "http://[::1]"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
        ("http://LOCALHOST:1/x", "http://localhost:1/x"),
    ],
)
def test_a_base_url_is_kept_without_the_slash_at_its_end(base_url, kept):
    """Any https:// host will do, and http:// to this machine itself."""
    assert check_base_url(base_url) == kept


@pytest.mark.parametrize(
    "base_url",
    [
        "http://pay.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://notlocalhost",
        "http://localhost.",
        "http://0.0.0.0",
        "http://[::]",
        "http://10.0.0.1",
        "http://128.0.0.1",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://[::2]",
    ],
)
def test_plain_http_leaves_this_machine_for_no_host(base_url):
    """Whatever merely looks like a loopback address is another host, and is named."""
    with pytest.raises(ValueError, match="would send credentials in the clear"):
        check_base_url(base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost@evil.example",
        "http://127.0.0.1:80@evil.example",
        "https://user@pay.example",
        "https://user:canary@pay.example",
        "https://:canary@pay.example",
    ],
)
def test_credentials_in_a_base_url_are_refused_and_not_shown(base_url):
    """What stands before an @ is never a host, and may be a password."""
    with pytest.raises(ValueError, match=r"^credentials do not belong in the URL$"):
        check_base_url(base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://pay.example?", "https://pay.example/?a=1", "https://pay.example#", "https://pay.example/#x",
        "https://pay.example/?#", "https://pay.example/a?b#c", "https://pay.example?a=canary",
    ],
)  # fmt: skip
def test_nothing_may_follow_the_path_of_a_base_url(base_url):
    """The path of the endpoint is put at its end, so a query or a fragment would swallow it."""
    with pytest.raises(ValueError, match=r"^nothing may follow the path$"):
        check_base_url(base_url)


@pytest.mark.parametrize(
    "base_url",
    [
        "", " ", "pay.example", "//pay.example", "/api", "https://", "https:///api", "https://:443",
        "https:pay.example", "ftp://pay.example", "file:///etc/passwd", "javascript:alert(1)", "wss://pay.example",
        "https://pay.example:x",
        "https://pay.example:99999", "https://[::1", "https://pay.example\\@evil.example", "https://pay.example\u202e",
        None, 1, True, b"https://pay.example", ["https://pay.example"],
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_https_url_is_refused(base_url):
    """A base URL has one of two schemes and a host; anything else is not shown."""
    with pytest.raises(ValueError, match=r"^expected an https:// URL with a host$"):
        check_base_url(base_url)


@pytest.mark.parametrize(
    "base_url",
    ["https://pay example", "https://pay.example ", "https://pay.example\x00", "https://pay\x00.example/api"],
    ids=ascii,
)
def test_a_host_has_no_blanks_or_control_characters(base_url):
    """Such a host is found at construction, not by a failing look-up at the first request."""
    with pytest.raises(ValueError, match="expected an https:// URL with a host"):
        check_base_url(base_url)


@given(ANY_TEXT | ANY_TEXT.map("https://".__add__) | ANY_TEXT.map("http://127.0.0.1".__add__))
def test_any_text_is_a_base_url_that_stays_itself_or_a_value_error(text):
    """Nothing else is raised, and what was accepted once is accepted again unchanged."""
    with suppress(ValueError):
        kept = check_base_url(text)

        assert kept.startswith(("https://", "http://127.0.0.1"))
        assert check_base_url(kept) == kept


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Bad key header", "Bad key header"),
        (b"error code: 1015", "error code: 1015"),
        ("  two\r\n\tlines\n", "two lines"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("a\u202eb\u2028c\x85d", "a?b c d"),
        ("\ud800", "?"),
        (b"\xff\xfe<", "\ufffd\ufffd<"),
        ("\u20ac 5", "\u20ac 5"),
        ("", ""),
        (b" \n", ""),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "\u2026"),
    ],
    ids=lambda value: ascii(value)[:16],
)
def test_an_excerpt_is_one_short_printable_line(sent, shown):
    """What a stranger sent cannot break a line, colour a terminal or fill a log."""
    assert excerpt(sent) == shown


@given(ANY_TEXT | st.binary(), st.integers(min_value=1, max_value=MAX_EXCERPT))
def test_an_excerpt_of_anything_is_bounded_and_printable(sent, limit):
    """No text and no bytes make an excerpt that is longer than asked or not printable."""
    shown = excerpt(sent, limit)

    assert len(shown) <= limit
    assert shown.isprintable()


def test_an_excerpt_of_a_cut_character_is_printable():
    """A body that is cut within a character is shown all the same."""
    assert excerpt("\u20ac".encode()[:2]) == "\ufffd"


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


def test_what_was_sent_as_a_secret_is_blotted_out():
    """Every appearance of every secret goes, and the rest stays."""
    text = "key canary-key-1, again canary-key-1, signature canary-sig-2, time 12"

    assert without(text, ["canary-key-1", "canary-sig-2"]) == "key ***, again ***, signature ***, time 12"


def test_secrets_are_the_values_of_headers_and_their_words():
    """A token is a secret without the scheme before it, too; what everybody may know, or guess, is not blotted out."""
    headers = {"Authorization": "Bearer canary-token", "Content-Type": "application/json", "X-Try": "1"}
    request = Request("POST", "https://pay.example/?api_key=canary-query", headers, b"canary-body")

    assert secrets_in(request) == {
        "Bearer canary-token", "Bearer", "canary-token", "canary-query", "canary-body"
    }  # fmt: skip


def test_the_query_of_a_request_is_not_in_its_repr():
    """Some APIs want the key in the URL."""
    assert "canary" not in repr(Request("GET", "https://pay.example/balances?api_key=canary"))


def test_a_secret_is_blotted_out_in_either_case():
    """A server may write a signature in upper case."""
    assert without("SIGNATURE CANARY-1F", ["canary-1f"]) == "SIGNATURE ***"


def test_a_secret_with_quotes_is_blotted_out_of_json():
    """What JSON must escape is found, too."""
    blot = blotted(Response(403, {}, json.dumps({"error": 'no key AB"CD\\EF'}).encode()), ['AB"CD\\EF'])

    assert blot.json() == {"error": "no key ***"}


@pytest.mark.parametrize(
    "body",
    [
        rb"no key canary/key+1", rb'{"error": "no key canary\/key\u002b1", "code": "canary/key+1"}',
        rb'["\u0063anary/key+1"]', b"\xff canary/key+1",
    ],
    ids=["text", "json", "list", "no text"],
)  # fmt: skip
def test_a_response_is_blotted_however_json_escapes_it(body):
    """What was sent as a secret is found in whatever form it comes back."""
    blot = blotted(Response(403, {"X-Echo": "canary/key+1"}, body), ["canary/key+1"])

    assert "canary" not in repr([blot.headers, blot.body, error_detail(blot)])


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "no such key canary\\/key+1',
        b'{"error": "no such key canary\\u002fkey\\u002B1',
        b'{"error": "no such key canary\\/key+1", "at": "\xff"}',
        b'{"errors": {"canary\\/key+1": "\xff"}}',
        json.dumps({"error": json.dumps({"said": "canary/key+1"}).replace("/", "\\/")}).encode(),
        b'{"error": "{\\"said\\": \\"canary\\\\\\/key+1\\"}"}',
        b'{"error": "canary\\u005cu002fkey+1"}',
        b'{"error": "\\u00canary\\/key+1',
    ],
    ids=[
        "cut",
        "cut, by number",
        "not UTF-8",
        "a field, not UTF-8",
        "quoted",
        "quoted and escaped",
        "a backslash by number",
        "half a number",
    ],
)
def test_a_response_is_blotted_where_escapes_are_left(body):
    """JSON that is cut, broken or quoted in JSON hides no secret behind its escapes."""
    blot = blotted(Response(403, {}, body), ["canary/key+1"])

    assert "canary" not in repr([blot.body, error_detail(blot)])


@pytest.mark.parametrize("secret", ['canary"key-1', "canary\\key-1", "canary\\u002fkey-1"])
def test_a_secret_that_json_escapes_is_blotted_out(secret):
    """A secret with a quote or a backslash in it stands in JSON with another backslash before."""
    blot = blotted(Response(403, {}, json.dumps({"error": f"no such key: {secret}"}).encode()), [secret])

    assert "canary" not in repr([blot.body, error_detail(blot)])


def test_escapes_stay_where_no_secret_is():
    """Only an answer that sends a secret back is rewritten."""
    assert blotted(Response(502, {}, b"C:\\proxy\\u002f"), ["canary-key"]).body == b"C:\\proxy\\u002f"


def test_of_the_body_of_an_error_no_more_is_kept_than_is_ever_read():
    """What lies beyond is dropped before anything looks at it."""
    assert blotted(Response(500, {}, b"a" * (MAX_ERROR_BODY + 1)), []).body == b"a" * MAX_ERROR_BODY


@given(st.binary(), st.lists(ANY_TEXT | st.text(min_size=8)))
@example(b"no such key", ["canary-\udce9"])
@example(b"[" * 100_000, ["canary-key"])
def test_blotting_out_any_text_raises_nothing(body, secrets):
    """Whatever was sent as a header, what came back is read."""
    assert isinstance(blotted(Response(500, {}, body), secrets), Response)


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


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("007", 7.0),
        ("999999999999", 999_999_999_999.0),
        ("Thu, 01 Jan 2026 00:00:10 GMT", 10.0),
        ("Thursday, 01-Jan-26 00:00:10 GMT", 10.0),
        ("Thu Jan  1 00:00:10 2026", 10.0),
        ("Thu, 01 Jan 2026 01:00:10 +0100", 10.0),
        ("Thu, 01 Jan 2026 00:00:10 -0000", 10.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("Thu, 01 Jan 0001 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    """A date is counted from now, and one that has passed is no wait."""
    assert parse_retry_after(value, now=NEW_YEAR) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "-5", "+5", "1.5", "1e3", "5, 10", "5 10", "5s", "soon", "NaN", "Infinity", "\u0665", "9" * 13,
        "9" * 5000, "Thu, 01 Jan 99999 00:00:00 GMT", "Thu, 01 Jan 2026 25:00:00 GMT", "Thu, 32 Jan 2026 00:00:00 GMT",
    ],
    ids=lambda value: ascii(value)[:16],
)  # fmt: skip
def test_what_is_neither_seconds_nor_a_date_says_nothing(value):
    """A header that cannot be understood is as good as none."""
    assert parse_retry_after(value, now=NEW_YEAR) is None


@given(ANY_TEXT | st.text("0123456789 :,-+.GMTJanThu"))
def test_any_retry_after_is_harmless(value):
    """Whatever the header says, it is seconds from zero up or nothing."""
    seconds = parse_retry_after(value, now=NEW_YEAR)

    assert seconds is None or 0 <= seconds < float("inf")


def test_a_date_is_read_as_unix_seconds():
    """The answer's own date is the moment from which its other dates are counted."""
    assert parse_date("Thu, 01 Jan 2026 00:00:00 GMT") == NEW_YEAR
    assert parse_date(None) is None
    assert parse_date("today") is None


def test_headers_of_a_response_are_found_in_any_case():
    """HTTP does not tell names apart by case."""
    response = Response(200, {"rEtRy-aFtEr": "5"})

    assert response.headers["Retry-After"] == "5"
    assert Response(200, response.headers).headers is response.headers


def test_neither_a_request_nor_a_response_shows_headers_or_body():
    """Both may hold credentials, so no repr shows them."""
    headers, body = {"X-Key": "canary"}, b"canary"

    shown = repr([Request("POST", "https://pay.example", headers, body), Response(200, headers, body)])

    assert "canary" not in shown
    assert "https://pay.example" in shown
