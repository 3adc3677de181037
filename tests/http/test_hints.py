"""What to do about an error, whichever provider it comes from."""

import inspect

import pytest

from balancekit import ProviderError, errors
from balancekit.http.hints import HINTS

ERRORS = {kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ProviderError)}


def test_every_class_of_error_has_a_hint():
    """A new class of error needs a sentence that tells the user what to do."""
    assert set(HINTS) == ERRORS - {ProviderError}


@pytest.mark.parametrize("hint", HINTS.values())
def test_a_hint_is_a_clause_after_the_message(hint):
    """It follows the message and a period, so it begins a sentence and ends without a period."""
    assert hint[0].isupper()
    assert not hint.endswith(".")


def test_no_hint_is_given_twice():
    """Each sentence stands in one place."""
    assert len(HINTS) == len(set(HINTS.values()))
