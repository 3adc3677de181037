"""The tree of errors: facts are kept, groups keep what was read."""

import inspect
import pickle
import traceback

import pytest

from balancekit import (
    AmbiguousCurrencyError,
    AuthenticationError,
    BalancekitError,
    ConfigError,
    IncompleteError,
    ProviderError,
    RateLimitedError,
    TransportError,
    errors,
    merge,
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
PROVIDER_ERRORS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, ProviderError)]


def _group():
    wrong_key = AuthenticationError("403", account="a", provider="fake")
    lost = TransportError("reset", account="b", provider="fake")
    return IncompleteError("2 of 2", [wrong_key, lost], merge([]))


def test_every_error_has_one_root():
    """Whoever catches BalancekitError catches all that balancekit raises on purpose."""
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, BaseException)]

    assert len(kinds) >= 13
    assert all(issubclass(kind, BalancekitError) for kind in kinds)


def test_the_tree_in_the_docstring_is_the_tree():
    """Every class is in the picture at the head of the file."""
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and issubclass(kind, BaseException):
            assert name in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
def test_provider_errors_pickle_with_their_facts(kind):
    """An error that crosses to another process says there what it said here."""
    error = kind("too many", **FACTS)
    error.add_note("noted")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_the_message_says_who_what_and_what_to_do():
    """One line names the account, the problem and the remedy."""
    assert str(RateLimitedError("429 too_many", **FACTS)) == "shop (fake): 429 too_many. Wait"


def test_without_a_hint_the_message_ends():
    """Where there is nothing to advise, nothing is said."""
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
    """It can be caught as what it is in Python's own terms."""
    assert issubclass(ConfigError, ValueError)


def test_a_group_split_by_type_keeps_what_was_read():
    """`except*` hands on the partial result with each part of the group."""
    group = _group()

    refused, rest = group.split(AuthenticationError)

    assert refused.partial is rest.partial is group.partial
    assert [type(error) for error in rest.exceptions] == [TransportError]


def test_a_group_pickles_with_what_was_read():
    """A strict fetch in a worker process tells its caller everything."""
    group = _group()

    copy = pickle.loads(pickle.dumps(group))

    assert copy.partial == group.partial
    assert [str(error) for error in copy.exceptions] == [str(error) for error in group.exceptions]


def test_a_group_is_caught_by_the_root():
    """One except clause is enough for a caller who treats all failures alike."""
    with pytest.raises(BalancekitError, match="2 of 2"):
        raise _group()


def test_a_group_shows_all_its_errors():
    """The traceback of a group lists every account that failed."""
    text = "".join(traceback.format_exception(_group()))

    assert "a (fake): 403" in text
    assert "b (fake): reset" in text
