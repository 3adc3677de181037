"""Verification of a delivery: its headers in the types of any framework, its body, and one kind of error."""

import pytest
from hypothesis import example, given, strategies as st
from multidict import CIMultiDict
from starlette.datastructures import Headers

from balancekit import CryptoprocessingProvider, GetManyProvider, WebhookVerificationError
from balancekit.webhooks.verification import check_body, optional_text, read_object, single_headers, verify
from tests.support.providers import Till

PUBLIC_KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
NAMES = ["webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE", "x-processing-key", "X-Processing-Signature"]

texts = st.text() | st.binary() | st.from_regex(r"[0-9]{1,20}|v1a,[A-Za-z0-9+/]{86}==|[0-9a-f]{128}", fullmatch=True)
names = st.sampled_from(NAMES) | st.sampled_from(NAMES).map(str.encode) | texts
anything = texts | st.none() | st.integers() | st.lists(texts)
pairs = st.lists(st.tuples(names, texts) | st.lists(names | texts, max_size=3) | anything)
mappings = st.dictionaries(names, anything)
full = st.fixed_dictionaries(dict.fromkeys(NAMES, texts))


@pytest.mark.parametrize(
    "headers",
    [
        {"Webhook-Id": "msg"},
        {b"WEBHOOK-ID": b"msg", "accept": b"\xff"},
        [("webhook-id", "msg"), ("webhook-i\u0434", "x")],
        [[b"webhook-id", b"msg"], [b"\xff", b"x"], (7, 7)],
        iter([("webhook-id", "msg")]),
        CIMultiDict({"WebHook-ID": "msg"}),
        Headers({"webhook-id": "msg"}),
    ],
    ids=["dict", "dict of bytes", "pairs", "lists of bytes", "iterator", "aiohttp", "starlette"],
)
def test_a_header_is_found_in_every_kind_of_headers(headers):
    """Its name may be in any case, and other headers may be beside it."""
    assert single_headers(headers, "webhook-id") == ("msg",)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([("webhook-id", "a"), ("Webhook-Id", "a")], "webhook-id: repeated"),
        ({"webhook-id": "a", b"webhook-id": b"a"}, "webhook-id: repeated"),
        (CIMultiDict([("webhook-id", "a"), ("webhook-id", "b")]), "webhook-id: repeated"),
        (Headers(raw=[(b"webhook-id", b"a"), (b"webhook-id", b"b")]), "webhook-id: repeated"),
        ({}, "webhook-id: missing"),
        ([], "webhook-id: missing"),
        ({"\u212a": "kelvin", "webhook_id": "a"}, "webhook-id: missing"),
        ({"webhook-id": None}, "webhook-id: expected a string, got null"),
        ({"webhook-id": ["a"]}, "webhook-id: expected a string, got a list"),
        ({"webhook-id": "a\n"}, "webhook-id: not of printable ASCII characters"),
        ({"webhook-id": b"\xff"}, "webhook-id: not of printable ASCII characters"),
        ({"webhook-id": "\udcff"}, "webhook-id: not of printable ASCII characters"),
        ({"webhook-id": "a" * 2_049}, "webhook-id: longer than 2048 characters"),
        ([("accept", "x")] * 501, "more than 500 headers"),
        (None, "headers: expected a mapping or pairs, got NoneType"),
        (7, "headers: expected a mapping or pairs, got int"),
        ("webhook-id: a", "headers: expected pairs of a name and a value"),
        ([("webhook-id",)], "headers: expected pairs of a name and a value"),
    ],
    ids=[
        "repeated", "as text and bytes", "aiohttp", "starlette", "empty dict", "no pairs", "other names", "null",
        "list", "line break", "not ascii", "surrogate", "long", "many", "none", "number", "text", "single",
    ],
)  # fmt: skip
def test_headers_that_are_missing_repeated_or_malformed_are_refused(headers, reason):
    """The message names the header and shows nothing of it."""
    with pytest.raises(WebhookVerificationError) as caught:
        single_headers(headers, "webhook-id")

    assert str(caught.value) == reason


def test_letters_of_other_scripts_are_not_ascii_ones():
    """The sign for kelvin is a k in lower case, and a header with it is another header."""
    headers = [("webhoo\u212a-id", "forged"), ("webhook-id", "msg")]

    assert single_headers(headers, "webhook-id") == ("msg",)


@given(pairs | mappings | full | anything, st.binary() | anything)
@example([("webhook-id", "\ud800")], b"")
def test_arbitrary_headers_and_bodies_are_refused(headers, body):
    """Both schemes raise WebhookVerificationError, and never for an exception of another kind."""
    shop = CryptoprocessingProvider("shop", key="key-0123", secret="s3cret")
    till = GetManyProvider("till", webhook_key=PUBLIC_KEY)

    for provider in (shop, till):
        with pytest.raises(WebhookVerificationError) as caught:
            provider.verify_webhook(headers, body)
        assert "while it was verified" not in str(caught.value)


def test_headers_that_raise_are_refused(shop):
    """A framework's object may be closed, or broken."""

    def broken():
        yield ("accept", "x")
        raise RuntimeError("canary")

    with pytest.raises(WebhookVerificationError, match=r"^RuntimeError while it was verified$") as caught:
        shop.verify_webhook(broken(), b"{}")

    assert caught.value.__cause__ is caught.value.__context__ is None


def test_an_error_that_cannot_be_shown_rejects_a_delivery(everything_shown_by):
    """An adapter's own class may have a mistake; the frames of its exception hold the delivery."""

    class OwnError(WebhookVerificationError):
        def __str__(self):
            raise AttributeError(self.args)

    with pytest.raises(WebhookVerificationError, match=r"^OwnError$") as caught:
        verify(Till(), OwnError("bad signature"), b"canary")

    assert "canary" not in everything_shown_by(caught.value)


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_program_shows_no_header(shop, everything_shown_by, raised):
    """Error trackers report it too, with the local variables of its frames."""

    def interrupted():
        yield ("X-Processing-Signature", "canary")
        raise raised

    with pytest.raises(raised) as caught:
        verify(shop, interrupted(), b"canary")

    assert "canary" not in everything_shown_by(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{}", "the body must be bytes as they were received, not str"),
        (bytearray(b"{}"), "the body must be bytes as they were received, not bytearray"),
        (b" " * (2**18 + 1), "the body is larger than 262144 bytes"),
    ],
    ids=["text", "bytearray", "too large"],
)
def test_a_body_must_be_bytes_within_the_limit(body, reason):
    """What was signed is bytes, and verifying more of them than any webhook has is not worth the time."""
    with pytest.raises(WebhookVerificationError) as caught:
        check_body(body)

    assert str(caught.value) == reason
    check_body(b" " * 2**18)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"id=7", "the body is not JSON"),
        (b'{"id":7,', "the body is not JSON"),
        (b'{"id":7}{"id":7}', "the body is not JSON"),
        (b'{"id":NaN}', "the body is not JSON"),
        (b'\xef\xbb\xbf{"id":7}', "the body is not JSON"),
        (b'{"id":"\xff"}', "the body is not UTF-8"),
        ('{"id":7}'.encode("utf-16"), "the body is not UTF-8"),
        (b"[]", "the body: expected an object, got a list"),
        (b'"{}"', "the body: expected an object, got a string"),
        (b"7", "the body: expected an object, got a number"),
        (b"null", "the body: expected an object, got null"),
        (b'{"id":1,"x":' + b"[" * 40 + b"]" * 40 + b"}", "the body is nested too deeply"),
        (b'{"id":1,"x":' + b"[" * 1_500 + b"]" * 1_500 + b"}", "the body is nested too deeply"),
        (b'{"id":1,"x":[' + b"1," * 70_000 + b"1]}", "the body holds more than"),
        (b'{"id":1,"x":[' + b"1.5," * 2_000 + b"1]}", "the body holds more than 2000 values"),
    ],
    ids=[
        "empty", "blank", "not json", "half", "two", "not a number", "byte order mark", "not utf-8", "utf-16", "list",
        "string", "number", "null", "deep", "deeper", "many values", "numbers",
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_json_object_is_refused(body, reason):
    """A signature does not make it one that a provider would send."""
    with pytest.raises(WebhookVerificationError) as caught:
        read_object(body)

    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("7", "type: expected a string, got a number"),
        ("1e9", "type: expected a string, got a number"),
        ("{}", "type: expected a string, got an object"),
        ('""', "type: an empty label"),
        ('"\\ud800"', "type: a label with characters that are not printable"),
        ('"x\\udfff"', "type: a label with characters that are not printable"),
        ('"a\\nb"', "type: a label with characters that are not printable"),
        ('"\\u001b[31m"', "type: a label with characters that are not printable"),
        (f'"{"x" * 201}"', "type: a label longer than 200 characters"),
    ],
    ids=["number", "exponent", "object", "empty", "surrogate", "at the end", "line break", "escape", "long"],
)
def test_a_field_that_cannot_be_shown_is_refused(value, reason):
    """Types and statuses go to logs and terminals."""
    data = read_object(f'{{"type":{value}}}'.encode())

    with pytest.raises(WebhookVerificationError) as caught:
        optional_text(data, "type")

    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("body", [b"{}", b'{"type":null}'], ids=["missing", "null"])
def test_a_field_may_be_missing_or_null(body):
    """Both are None."""
    assert optional_text(read_object(body), "type") is None
