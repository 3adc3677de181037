"""What is shown of text that others have written."""

import pytest
from hypothesis import given, strategies as st

from balancekit.http.words import only_words


@pytest.mark.parametrize(
    "text",
    [
        "bad_header_signature", "Bad signature header", "api_key_expired", "FORBIDDEN", "invalidApiKey", "E1042",
        "Too many requests, retry in 60 s", "error code: 1015", "The currency field is required.", "No such key",
        "You can't use this key: it doesn't exist", "Content-Type must be application/json", "back at 14:00 UTC",
        "<html> <head><title>502 Bad Gateway</title></head> <body> <center><h1>502 Bad Gateway</h1></center> </body>",
        "IP address 203.0.113.7 is not allowed", "data[3].balance: the same as data[0].balance",
        "Cannot connect to host 127.0.0.1:34567 ssl:default [Connect call failed ('127.0.0.1', 34567)]",
        "certificate verify failed: unable to get local issuer certificate (_ssl.c:1000)", "Schlüssel ungültig",
        "the payments of 2026-01-01 are locked", "rate limit of 100 requests per 60s exceeded", "",
    ],
)  # fmt: skip
def test_the_reason_for_an_error_is_shown(text):
    """Words of any language with cases, codes of errors, short numbers, dates and IP addresses stay as they are."""
    assert only_words(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no such key: 9f3aK27dQ81mZx04Lw, try another", "no such key: …, try another"),
        ("no such key: kxqzwvbn", "no such key: …"),
        ("no such key: sk_live_unknown", "no such key: …"),
        ("send Authorization: Bearer topsecret", "send Authorization: Bearer …"),
        ("bytes 112 107 95 57 102", "bytes …"),
        ("p-k-9-f", "…"),
        ("account 123456789 is locked", "account … is locked"),
        (r"no such key: \x70\x6b", "no such key: …"),
        ("no such key: %70%6b", "no such key: …"),
        ("no such key: \U0001d41b\U0001d428\U0001d7d7\U0001d41a", "no such key: …"),
        ("no such key: aB3 17", "no such key: …"),
        ("a\0b\0c", "…"),
    ],
)
def test_what_looks_like_no_word_is_not_shown(text, shown):
    """Letters with digits among them or without vowels, long numbers, pieces, escapes and letters of other kinds go."""
    assert only_words(text) == shown


@given(st.text())
def test_any_text_is_read_and_what_is_shown_stays_shown(text):
    """Nothing is raised, and a message that was redacted before is not changed."""
    shown = only_words(text)

    assert only_words(shown) == shown
