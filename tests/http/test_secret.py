"""A secret is shown nowhere unless it is revealed."""

import copy
import pickle

import pytest

from balancekit import Secret
from balancekit.http.secret import looks_like_words

CANARY = "canary-3f9a"


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "%s".__mod__, "%r".__mod__, lambda secret: repr([{"secret": secret}])],
    ids=["repr", "str", "format", "%s", "%r", "nested"],
)  # fmt: skip
def test_no_way_of_writing_a_secret_shows_it(show):
    """However it is written, the hidden text is not there."""
    assert CANARY not in show(Secret(CANARY))


@pytest.mark.parametrize(
    "copier",
    [pickle.dumps, copy.copy, copy.deepcopy, Secret.__getstate__],
    ids=["pickle", "copy", "deepcopy", "state"],
)
def test_a_secret_is_not_pickled(copier):
    """A secret does not travel to another process, a cache or a queue by accident."""
    with pytest.raises(TypeError, match="not pickled"):
        copier(Secret(CANARY))


def test_reveal_returns_the_text():
    """Code that needs the text calls the one method for it."""
    assert Secret(CANARY).reveal() == CANARY


def test_what_is_no_text_is_not_shown_by_revealing_it(everything_shown_by):
    """Bytes, for example, are hidden and checked later."""
    with pytest.raises(TypeError, match="the secret is not a string") as caught:
        Secret(CANARY.encode()).reveal()

    assert CANARY not in everything_shown_by(caught.value)


def test_hiding_twice_is_hiding_once():
    """A secret that is hidden already stays the same object."""
    secret = Secret(CANARY)

    assert Secret.of(secret) is secret
    assert Secret.of(CANARY).reveal() == CANARY


def test_a_value_of_the_wrong_type_is_hidden_too():
    """A secret of the wrong type is not shown either, and raises when it is used."""
    secret = Secret(b"canary")

    with pytest.raises(TypeError, match="not a string"):
        secret.reveal()


class SecretStr:
    """What pydantic hides a setting in."""

    def __init__(self, value):
        self.value = value

    def get_secret_value(self):
        """Return the hidden value."""
        return self.value


def test_the_text_of_a_secret_of_pydantic_is_taken():
    """A `SecretStr` is as good as the text in it."""
    assert Secret(SecretStr(CANARY)).reveal() == CANARY
    assert Secret.of(SecretStr(CANARY)).reveal() == CANARY


BLANKS = "expected text without blanks around it"
ASCII = "expected visible ASCII characters without blanks"
QUOTES = "there are quotes around it; remove them"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("k", None), ("a b", None), ('"k', None), ("'", None), ("\u00e9", None),
        ("", "expected text, got an empty one"), (" k", BLANKS), ("k\n", BLANKS), ('"k"', QUOTES), ("'k'", QUOTES),
        ("a\nb", "expected one line, got 2"), ("a\r\nb\nc", "expected one line, got 3"),
        ("a\0b", "expected text without control characters"), ("\x1b[0m", "expected text without control characters"),
        ("k\udcff", "expected text that UTF-8 can write"),
        (None, "expected text, got None"), (b"k", "expected text, got bytes"), (7, "expected text, got int"),
        (SecretStr(b"k"), "expected text, got bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_secret_is_known_before_it_is_sent(value, problem):
    """Each usual reason why a key does not work has its message, and none shows the key."""
    assert Secret(value).problem() == problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [("k-1", None), ("a b", ASCII), ("\u00e9", ASCII), (" k", ASCII), ("\x7f", ASCII), ('"k"', QUOTES),
     (7, "expected text, got int")],
)  # fmt: skip
def test_only_visible_ascii_fits_a_header(value, problem):
    """Nothing that could end a header's line is ever sent in one."""
    assert Secret(value).problem(header=True) == problem


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "expected a key"), ("-----BEGIN\nx", "expected a key"),
        (b"x", "expected a key (expected text, got bytes)"),
        ("'x'", f"expected a key ({QUOTES})"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_loaded_has_a_reason_where_it_is_known(value, message):
    """The message says what was expected, and what is there if that is known."""
    assert Secret(value).key_problem("a key") == message


@pytest.mark.parametrize(
    "name",
    ["SHOP_EU_SECRET", "API_KEY_2026", "evn", "treasury.key", "/run/secrets/shop-eu", "~/keys/shop", "", "getmeny"],
)  # fmt: skip
def test_a_name_of_words_may_be_shown(name):
    """Environment variables, files and settings are named with words."""
    assert looks_like_words(name)


@pytest.mark.parametrize(
    "secret",
    [
        "JBSWY3DPEHPK3PXP", "ABCDEFGHIJKLMNOP", "canary3f9a", "CANARY3F9A", "9f86d081884c7d65",
        "sk_live_4eC39HqLyjWDarjtT1",
        "MC4CAQAwBQYDK2VwBCIE/IAABAgMEBQYHCAkKCww=", "12345678", "\u0441\u0435\u043a\u0440\u0435\u0442",
    ],
)  # fmt: skip
def test_what_may_be_a_secret_is_not_shown(secret):
    """Base32, hexadecimal, base64, a long number: none consists of words."""
    assert not looks_like_words(secret)
