"""The tree of errors: what is in it, what each error keeps, and how it reads."""

import copy
import importlib
import pickle
import pkgutil
import re
import traceback

import pytest

import balancekit
from balancekit import (
    AmbiguousCurrencyError,
    BalancekitError,
    ConfigError,
    HttpProvider,
    ProviderError,
    RateLimitedError,
    Request,
    errors,
)
from balancekit.rates import EcbRates

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


class OwnError(ConfigError):
    """A class of an adapter's own, with a mistake."""

    def __str__(self):
        return self.detail


class Own(HttpProvider):
    """An adapter whose constructor raises while it has a token in the clear."""

    provider = "own"

    def __init__(self, account, *, token, raised):
        super().__init__(account, base_url="https://own.example")
        try:
            int(token)
        except ValueError as error:
            raise raised from error

    def build_request(self, *, now, nonce):
        """Build nothing of use."""
        return Request("GET", self.base_url)

    def read_response(self, response):
        """Read nothing."""
        return []


def _shown_frames(error):
    """Return the names of all frames of an exception, and of those that it came from, with what these say."""
    links = [error, error.__cause__, error.__context__]
    return [(frame.name, str(link)) for link in links if link for frame in traceback.extract_tb(link.__traceback__)]


@pytest.mark.parametrize("raised", [SystemExit("no number"), KeyboardInterrupt("no number"), ConfigError("no number")])
def test_what_an_account_could_not_be_made_for_leads_to_nothing_before(raised):
    """The exception that it came from quotes the token, and its frame has it."""
    with pytest.raises(type(raised), match="no number") as caught:
        Own("shop", token="canary-3f9a", raised=raised)

    assert "canary" not in repr(_shown_frames(caught.value))
    assert "__init__" not in dict(_shown_frames(caught.value))


def test_a_config_error_that_cannot_be_shown_has_the_name_of_its_class():
    """The mistake of its class is in another place than the one that it was raised for."""
    with pytest.raises(ConfigError, match=r"^OwnError$") as caught:
        Own("shop", token="canary-3f9a", raised=OwnError("no number"))

    assert "__init__" not in dict(_shown_frames(caught.value))


def test_an_exception_of_an_adapters_constructor_keeps_its_frame():
    """Whoever writes the adapter looks for the line."""
    with pytest.raises(LookupError) as caught:
        Own("shop", token="7a", raised=LookupError())

    assert caught.traceback[-1].name == "__init__"


def test_an_exception_of_a_constructor_of_ours_shows_nothing_that_it_was_given(everything_shown_by):
    """A URL may have a token."""

    class Odd(float):
        def __gt__(self, other):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        EcbRates(None, url="https://rates.example/canary-3f9a", timeout=Odd(1))

    assert "canary" not in everything_shown_by(caught.value)


def test_a_note_that_is_added_to_a_copy_is_on_that_alone():
    """Each caller gets a copy; what one of them notes is not for the others."""
    error = ProviderError("reset", account="shop", provider="fake")
    error.add_note("Look at adapter.py:7")
    own = copy.copy(error)

    own.add_note("while serving customer 1")

    assert error.__notes__ == ["Look at adapter.py:7"]
    assert own.__notes__ == ["Look at adapter.py:7", "while serving customer 1"]
