"""The tree of errors: what is in it, what each error keeps, and how it reads."""

import importlib
import pickle
import pkgutil
import re

import pytest

import balancekit
from balancekit import (
    AmbiguousCurrencyError,
    BalancekitError,
    ConfigError,
    ProviderError,
    RateLimitedError,
    errors,
)

FACTS = {
    "account": "shop",
    "provider": "fake",
    "status": 429,
    "code": "too_many",
    "retryable": True,
    "hint": "Wait",
    "retry_after": 1.5,
}


def _derived(base):
    """Return the classes of the package that derive from a class, at any distance."""
    own = [kind for kind in base.__subclasses__() if kind.__module__.startswith("balancekit.")]
    return own + [deeper for kind in own for deeper in _derived(kind)]


for module in pkgutil.walk_packages(balancekit.__path__, "balancekit."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

ALL_ERRORS = _derived(BalancekitError)
PROVIDER_ERRORS = [ProviderError, *_derived(ProviderError)]


@pytest.mark.parametrize("kind", ALL_ERRORS)
def test_every_error_is_exported(kind):
    """Every error that can be raised can be caught by a name of the package, wherever its class is defined."""
    assert getattr(balancekit, kind.__name__) is kind


def test_all_errors_are_drawn_in_a_tree():
    """The docstring of `balancekit.errors` shows every error under the class that it derives from."""
    drawn, path = {}, [None]
    for indent, name in re.findall(r"^((?:  )+)(\w+Error)\b", errors.__doc__, re.MULTILINE):
        level = len(indent) // 2 - 1
        del path[level:]
        drawn[name] = path[-1] if path else None
        path.append(name)

    assert drawn == {"BalancekitError": None} | {kind.__name__: kind.__bases__[0].__name__ for kind in ALL_ERRORS}


@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
def test_provider_errors_pickle_with_their_facts(kind):
    """An error has the same class, message, attributes and notes in another process."""
    error = kind("too many", **FACTS)
    error.add_note("noted")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_a_message_names_the_account_the_problem_and_the_hint():
    """The text of an error is one line: whose it is, what is wrong, and what to do."""
    assert str(RateLimitedError("429 too_many", **FACTS)) == "shop (fake): 429 too_many. Wait"


def test_a_problem_that_is_a_sentence_has_one_full_stop():
    """Providers end their messages with one or not."""
    assert str(ProviderError("No access.", account="shop", provider="fake", hint="Wait")) == (
        "shop (fake): No access. Wait"
    )


def test_a_message_without_a_hint_ends_with_the_problem():
    """Nothing follows the message of an error without a hint."""
    assert str(ProviderError("lost", account="shop", provider="fake")) == "shop (fake): lost"


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        ("ProviderError", False),
        ("AuthenticationError", False),
        ("BadRequestError", False),
        ("RateLimitedError", True),
        ("ServiceUnavailableError", True),
        ("UnexpectedRedirectError", False),
        ("TransportError", True),
        ("ProviderTimeoutError", True),
        ("MalformedResponseError", False),
    ],
)
def test_each_class_knows_whether_trying_again_may_help(kind, retryable):
    """A wrong key stays wrong; a lost connection may be found again."""
    assert getattr(errors, kind)("x", account="a", provider="p").retryable is retryable


def test_an_ambiguous_currency_is_a_key_error_that_reads_well():
    """It can be caught as a KeyError, and shows its message without quotes."""
    error = AmbiguousCurrencyError("MNT is held as crypto and fiat")

    assert isinstance(error, KeyError)
    assert str(error) == "MNT is held as crypto and fiat"


def test_a_config_error_is_a_value_error():
    """It can be caught as the error that Python's own functions raise for a wrong value."""
    assert issubclass(ConfigError, ValueError)
