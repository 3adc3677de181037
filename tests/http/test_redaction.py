"""Redaction of secrets in text, responses and exceptions."""

import json
import traceback

import aiohttp
import pytest
from hypothesis import example, given, strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit import ErrorDetail, ProviderError, Response
from balancekit.http.error_responses import error_detail, redact_detail
from balancekit.http.quotations import Secrets
from balancekit.http.redaction import (
    SanitizedExceptions,
    attach_cause,
    clean,
    sanitize_exception,
    walk_exception_chain,
)

# Half a surrogate too: the environment of a process holds such where its bytes are no UTF-8.
ANY_TEXT = st.text(st.characters())


def test_every_secret_is_redacted():
    """Every appearance of every secret goes, and the rest stays."""
    text = "key canary-key-1, again canary-key-1, signature canary-sig-2, time 12"

    assert Secrets(["canary-key-1", "canary-sig-2"]).redact(text) == "key ***, again ***, signature ***, time 12"


def test_a_secret_is_redacted_in_either_case():
    """A server may write a signature in upper case."""
    assert Secrets(["canary-1f"]).redact("SIGNATURE CANARY-1F") == "SIGNATURE ***"


def shown_of(response, *secrets):
    """Return what is shown of an error response."""
    return redact_detail(error_detail(response), Secrets(secrets))


def test_a_secret_with_quotes_is_redacted_in_json():
    """What JSON must escape is found, too."""
    response = Response(403, {}, json.dumps({"error": 'no key AB"CD\\EF'}).encode())

    assert shown_of(response, 'AB"CD\\EF') == ErrorDetail(None, "no key ***")


@pytest.mark.parametrize(
    "body",
    [
        rb"no key canary/key+1", rb'{"error": "no key canary\/key\u002b1", "code": "canary/key+1"}',
        rb'["\u0063anary/key+1"]', b"\xff canary/key+1",
    ],
    ids=["text", "json", "list", "no text"],
)  # fmt: skip
def test_a_response_is_redacted_however_json_escapes_it(body):
    """What was sent as a secret is found in whatever form it comes back."""
    assert "canary" not in repr(shown_of(Response(403, {}, body), "canary/key+1"))


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
def test_a_response_is_redacted_where_escapes_are_left(body):
    """JSON that is cut, broken or quoted in JSON hides no secret behind its escapes."""
    assert "canary" not in repr(shown_of(Response(403, {}, body), "canary/key+1"))


@pytest.mark.parametrize("secret", ['canary"key-1', "canary\\key-1", "canary\\u002fkey-1"])
def test_a_secret_that_json_escapes_is_redacted(secret):
    """A secret with a quote or a backslash in it stands in JSON with another backslash before."""
    body = json.dumps({"error": f"no such key: {secret}"}).encode()

    assert "canary" not in repr(shown_of(Response(403, {}, body), secret))


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        ("velve", "tmorn refused", ErrorDetail("…", "… refused")),
        ("adio", "velvet", ErrorDetail("adio", "…")),
        ("radio", "is wrong", ErrorDetail("radio", "is wrong")),
    ],
    ids=["one quotation", "one in the message", "none"],
)
def test_a_secret_that_is_cut_between_code_and_message_is_not_shown(code, message, shown):
    """They are shown one after the other, and a part that is too short to count is not in both together."""
    response = Response(401, {}, json.dumps({"code": code, "message": message}).encode())

    assert shown_of(response, "velvetmorningradio") == shown


@given(st.lists(ANY_TEXT | st.text("\0 -a1", min_size=1)))
def test_each_of_several_texts_stays_one(texts):
    """Whatever is in them, none becomes a part of another."""
    assert len(Secrets(["canary-key"]).redact_adjacent(*texts)) == max(1, len(texts))


@given(st.binary(), st.lists(ANY_TEXT | st.text(min_size=8)))
@example(b"no such key", ["canary-\udce9"])
@example(b"[" * 100_000, ["canary-key"])
def test_redacting_any_text_raises_nothing(body, secrets):
    """Whatever was sent as a header, the response is read."""
    assert isinstance(redact_detail(error_detail(Response(500, {}, body)), Secrets(secrets)), ErrorDetail)


CANARY = "canary-3f9a"
INFO = aiohttp.RequestInfo(
    URL("https://pay.example"), "POST", CIMultiDictProxy(CIMultiDict({"X-Key": CANARY})), URL("https://pay.example")
)


def raised(error, cause=None):
    """Return an exception with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_sanitizing_takes_frames_and_headers_from_every_link():
    """Causes, contexts and members of groups are sanitized too, whatever their order."""
    member = raised(OSError("one"))
    response_error = raised(aiohttp.ClientResponseError(INFO, (), status=400, message="bad"))
    group = raised(ExceptionGroup("several", [member, response_error]))
    error = raised(ValueError("outer"), group)

    sanitized = sanitize_exception(error)

    assert sanitized is error
    assert [link.__traceback__ for link in (error, group, member, response_error)] == [None] * 4
    assert CANARY not in f"{response_error!r} {response_error.args} {vars(response_error)}"


def test_sanitizing_keeps_what_happened():
    """Method, URL, status and message stay, to find the reason by."""
    error = sanitize_exception(aiohttp.ClientResponseError(INFO, (), status=400, message="bad"))

    assert str(error) == "400, message='bad', url='https://pay.example'"
    assert error.request_info.method == "POST"
    assert error.history == ()


def test_sanitizing_ends_where_causes_go_in_a_circle():
    """Two exceptions may each be the context of the other."""
    first, second = raised(ValueError("first")), raised(ValueError("second"))
    first.__context__, second.__cause__ = second, first

    sanitize_exception(first)

    assert (first.__traceback__, second.__traceback__) == (None, None)


def test_what_leaves_a_block_is_sanitized_with_its_cause():
    """A connection that fails keeps its password in the frames of the errors below, too."""
    cause = raised(OSError("reset"))

    def connect():
        raise ValueError("lost") from cause

    with pytest.raises(ValueError, match="lost") as caught, SanitizedExceptions():
        connect()

    frames = traceback.extract_tb(caught.value.__traceback__)
    assert cause.__traceback__ is None
    assert "connect" not in [frame.name for frame in frames]


def test_what_was_handled_before_a_block_keeps_its_frames():
    """It happened elsewhere, and somebody will want to know where."""
    before = raised(KeyError("before"))

    try:
        raise before
    except KeyError:
        with pytest.raises(ValueError, match="lost") as caught, SanitizedExceptions():
            raise ValueError("lost") from None

    assert caught.value.__context__ is before
    assert before.__traceback__ is not None


def test_text_that_could_not_be_encoded_is_taken_away():
    """An encoding error holds the whole of the text that it could not write."""
    with pytest.raises(UnicodeEncodeError) as caught:
        "canary-\ud83f".encode()

    error = sanitize_exception(caught.value)

    assert "canary" not in f"{error} {error!r} {error.args} {error.object}"


@pytest.mark.parametrize(
    ("error", "is_clean"),
    [
        (ValueError(f"no such key: {CANARY}"), False),
        (ExceptionGroup("several", [ValueError(CANARY)]), False),
        (raised(ValueError("outer"), ValueError(CANARY)), False),
        (ValueError("no such key"), True),
    ],
    ids=["text", "member", "cause", "none"],
)
def test_an_exception_is_clean_if_every_link_is(error, is_clean):
    """A secret may stand in a cause, or in a member of a group."""
    assert clean(error, Secrets([CANARY])) is (error if is_clean else None)


def test_an_exception_is_visited_once_however_it_is_linked():
    """Causes and contexts may form a circle."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first

    assert list(walk_exception_chain(first)) == [first, second]


def test_the_members_of_a_group_are_visited():
    """A group holds exceptions beside its causes."""
    member = ValueError("member")

    assert member in list(walk_exception_chain(ExceptionGroup("group", [member])))


def test_an_exception_that_was_never_raised_has_no_place():
    """Where there is no traceback there is nothing to note."""
    cause = ValueError("never raised")

    error = attach_cause(ProviderError("x", account="a", provider="p"), cause)

    assert error.__cause__ is cause
    assert not hasattr(error, "__notes__")
