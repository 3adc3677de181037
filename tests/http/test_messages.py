"""Requests, responses and their parts."""

from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from balancekit import Request, Response
from balancekit.http.messages import MAX_EXCERPT, check_base_url, excerpt, parse_date

NEW_YEAR = 1_767_225_600.0


# Half a surrogate too: the environment of a process holds such where its bytes are no UTF-8.
ANY_TEXT = st.text(st.characters())


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
        ("https://pay.example.", "https://pay.example"),
        ("https://pay.example.:8443/api", "https://pay.example:8443/api"),
        ("https://pay.example//api///v2//", "https://pay.example/api/v2"),
    ],
)
def test_a_base_url_is_kept_in_one_of_the_ways_to_write_it(base_url, kept):
    """Any https:// host will do, and http:// to this machine itself; one account has one URL."""
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


@pytest.mark.parametrize("host", ["a..b", ".b.example", "a" * 64 + ".example", "b." + "c" * 64, "ä" * 60])
def test_a_host_that_no_name_server_can_be_asked_for_is_refused(host):
    """One with an empty part, or a part that is too long, also as it is encoded."""
    with pytest.raises(ValueError, match=r"^(the host has an empty part|expected an https:// URL with a host)"):
        check_base_url(f"https://{host}/api")


@pytest.mark.parametrize("host", ["a" * 63, "a_b.example", "pay.example.", "[::1]", "[fe80::1%25e]", "ä.example"])
def test_a_host_that_a_name_server_can_be_asked_for_is_taken(host):
    """Whether its owner has followed all rules for names or not."""
    assert check_base_url(f"https://{host}")


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
    """Untrusted text cannot break a line, colour a terminal or fill a log."""
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


def test_the_query_of_a_request_is_not_in_its_repr():
    """Some APIs want the key in the URL."""
    assert "canary" not in repr(Request("GET", "https://pay.example/balances?api_key=canary"))


def test_a_date_is_read_as_unix_seconds():
    """A text that is not a date, or none, is None."""
    assert parse_date("Thu, 01 Jan 2026 00:00:00 GMT") == NEW_YEAR
    assert parse_date(None) is None
    assert parse_date("today") is None


def test_headers_of_a_response_are_found_in_any_case():
    """Names of headers have no case in HTTP."""
    response = Response(200, {"rEtRy-aFtEr": "5"})

    assert response.headers["Retry-After"] == "5"
    assert Response(200, response.headers).headers is response.headers


def test_neither_a_request_nor_a_response_shows_headers_or_body():
    """Both may hold credentials, so no repr shows them."""
    headers, body = {"X-Key": "canary"}, b"canary"

    shown = repr([Request("POST", "https://pay.example", headers, body), Response(200, headers, body)])

    assert "canary" not in shown
    assert "https://pay.example" in shown


def test_the_entries_of_a_list_are_objects():
    """They are those of a field, or of the whole body."""
    assert Response(200, body=b'{"data": [{"a": "1"}]}').entries("data") == [{"a": "1"}]
    assert Response(200, body=b'[{"a": "1"}]').entries() == [{"a": "1"}]


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        (b"[]", "data", "expected an object, got a list"),
        (b"{}", "data", "data: missing"),
        (b'{"data": {}}', "data", "data: expected a list, got an object"),
        (b'""', None, "expected a list, got a string"),
        (b'{"data": [{}, 7]}', "data", r"data\[1\]: expected an object, got a number"),
        (b"[null]", None, r"\[0\]: expected an object, got null"),
        (b'{"data": [{}], "errors": ["shard 2 timed out"]}', "data", "errors: the response reports an error"),
        (b'{"success": false, "message": "No", "data": []}', "data", "success: the response reports an error"),
        (b'{"error": {}, "errors": [], "data": {}}', "data", "data: expected a list, got an object"),
        (b"[%b{}]" % (b"{}," * 5_000), None, "more than 5000 entries"),
    ],
)
def test_entries_that_are_not_a_list_of_objects_are_named_by_their_place(body, name, message):
    """What is empty in another way is no empty list."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        Response(200, body=body).entries(name)
