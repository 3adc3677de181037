"""Errors for several callers at a time."""

import pytest

from balancekit.stores.copied_errors import copied
from tests.support.stores import UncopyableError


class ItselfError(Exception):
    """An error that is its own copy."""

    def __copy__(self):
        return self


class NothingError(Exception):
    """An error of which a copy is no error."""

    def __copy__(self):
        return "nothing"


def raised(error):
    """Raise an error, so that it has frames, and return it."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_an_error_is_like_the_other_without_its_frames():
    """It has the same class and arguments."""
    error = raised(ConnectionError(111, "refused"))

    own = copied(error)

    assert own is not error
    assert (type(own), own.args, own.__traceback__) == (ConnectionError, (111, "refused"), None)


@pytest.mark.parametrize(
    "error", [UncopyableError("with a token", status=403), ItselfError(), NothingError()], ids=repr
)
def test_an_error_that_cannot_be_copied_is_named(error):
    """Its text is not shown, since nobody knows what is in it."""
    own = copied(raised(error))

    assert (type(own), own.args, own.__traceback__) == (RuntimeError, (type(error).__name__,), None)
