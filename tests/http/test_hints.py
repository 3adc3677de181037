"""What to do about an error, whichever provider it comes from."""

import inspect

import pytest

from balancekit import ProviderError, errors
from balancekit.http.hints import HINTS

KINDS = {kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ProviderError)}


def test_every_class_of_error_has_an_entry():
    """A new class of error needs a hint, or the decision that there is nothing to advise."""
    assert set(HINTS) == KINDS - {ProviderError}


@pytest.mark.parametrize("hint", [hint for hint in HINTS.values() if hint is not None])
def test_a_hint_is_a_clause_after_the_message(hint):
    """It follows the message and a period, so it begins a sentence and ends without a period."""
    assert hint[0].isupper()
    assert not hint.endswith(".")


def test_no_hint_is_given_twice():
    """Each sentence stands in one place."""
    hints = [hint for hint in HINTS.values() if hint is not None]

    assert len(hints) == len(set(hints))
