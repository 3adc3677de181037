"""A secret is shown nowhere unless it is revealed."""

import copy
import pickle

import pytest

from balancekit import Secret

CANARY = "canary-3f9a"


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "%s".__mod__, "%r".__mod__, lambda secret: repr([{"secret": secret}])],
    ids=["repr", "str", "format", "%s", "%r", "nested"],
)  # fmt: skip
def test_no_way_of_writing_a_secret_shows_it(show):
    """However it is written, the hidden text is not there."""
    assert CANARY not in show(Secret(CANARY))


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_a_secret_is_not_pickled(copier):
    """A secret does not travel to another process, a cache or a queue by accident."""
    with pytest.raises(TypeError, match="not pickled"):
        copier(Secret(CANARY))


def test_reveal_returns_the_text():
    """Code that needs the text calls the one method for it."""
    assert Secret(CANARY).reveal() == CANARY


def test_hiding_twice_is_hiding_once():
    """A secret that is hidden already stays the same object."""
    secret = Secret(CANARY)

    assert Secret.of(secret) is secret
    assert Secret.of(CANARY).reveal() == CANARY


def test_a_value_of_the_wrong_type_is_hidden_too():
    """A secret of the wrong type is not shown either, and raises when it is used."""
    secret = Secret(b"canary")

    assert not secret.is_text
    with pytest.raises(TypeError, match="not a string"):
        secret.reveal()


@pytest.mark.parametrize(("value", "fits"), [("k", True), ("", False), (" k", False), ("k\n", False), (None, False)])
def test_blanks_around_a_secret_are_found(value, fits):
    """The line break at the end of a file is the usual reason why a key does not work."""
    assert Secret(value).is_text is fits


@pytest.mark.parametrize(("value", "fits"), [("k-1", True), ("", False), ("a b", False), ("é", False), (7, False)])
def test_only_visible_ascii_fits_a_header(value, fits):
    """Nothing that could end a header's line is ever sent in one."""
    assert Secret(value).is_header_text is fits
