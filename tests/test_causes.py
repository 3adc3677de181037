"""What errors came from, and what is taken from it."""

import pytest

from balancekit import ProviderError
from balancekit.http.redaction import blame, chain, disarm

CANARY = "canary-\ud83f"


def _raised():
    with pytest.raises(UnicodeEncodeError) as caught:
        CANARY.encode()
    return caught.value


def test_text_that_could_not_be_encoded_is_taken_away():
    """An encoding error holds the whole of the text that it could not write."""
    error = disarm(_raised())

    assert "canary" not in f"{error} {error!r} {error.args} {error.object}"


def test_an_exception_is_visited_once_however_it_is_linked():
    """Causes and contexts may form a circle."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first

    assert list(chain(first)) == [first, second]


def test_the_members_of_a_group_are_visited():
    """A group holds exceptions beside its causes."""
    member = ValueError("member")

    assert member in list(chain(ExceptionGroup("group", [member])))


def test_an_exception_that_was_never_raised_has_no_place():
    """Where there is no traceback there is nothing to note."""
    cause = ValueError("never raised")

    error = blame(ProviderError("x", account="a", provider="p"), cause)

    assert error.__cause__ is cause
    assert not hasattr(error, "__notes__")
