"""The contract that every adapter of a payment processor keeps, as tests that an author inherits."""

import difflib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest

for _module in ("amounts", "errors", "harness", "malformed", "requests", "secrecy", "several"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from balancekit.testing.contract.amounts import AmountTests  # noqa: E402 - only now are failed assertions explained
from balancekit.testing.contract.errors import ErrorTests  # noqa: E402 - the same
from balancekit.testing.contract.harness import Harness  # noqa: E402 - the same
from balancekit.testing.contract.malformed import MalformedTests  # noqa: E402 - the same
from balancekit.testing.contract.requests import RequestTests  # noqa: E402 - the same
from balancekit.testing.contract.secrecy import SecrecyTests  # noqa: E402 - the same
from balancekit.testing.contract.several import SeveralTests  # noqa: E402 - the same

__all__ = ["ProviderContract", "left_out", "overrides"]

_Test = TypeVar("_Test", bound=Callable[..., object])

_REASON: Final = "contract_reason"

_LEAVE_OUT: Final = 'leave out the tests that do not hold, each with its reason: test_… = left_out("…")'


def overrides(reason: str) -> Callable[[_Test], _Test]:
    """Mark a test that takes the place of one of the contract, with the reason why the adapter differs."""
    checked = _checked_reason(reason)

    def mark(test: _Test) -> _Test:
        setattr(test, _REASON, checked)
        return test

    return mark


def left_out(reason: str) -> Callable[..., None]:
    """Make what takes the place of a test of the contract that does not hold for an adapter: it is skipped.

    `test_zero_balances_are_kept = left_out("the API lists them, and asks clients to hide them")`.
    """
    checked = _checked_reason(reason)

    @overrides(checked)
    def test(self: object) -> None:  # noqa: ARG001 - a method
        pytest.skip(checked)

    return test


def _checked_reason(reason: object) -> str:
    if not isinstance(reason, str) or not reason.strip():
        raise TypeError('expected a reason, such as overrides("the API sends no code")')
    return reason


class ProviderContract(AmountTests, MalformedTests, ErrorTests, SecrecyTests, RequestTests, SeveralTests):
    """The tests of an adapter: subclass it, and pytest collects them.

        class TestMyBank(ProviderContract):
            secrets = ("token-0123456789",)

            def make_provider(self, account, base_url):
                return MyBankProvider(account, token=self.secrets[0], base_url=base_url)

            def response_body(self, balances):
                rows = [{"currency": balance.code, "available": balance.plain} for balance in balances]
                return json.dumps({"balances": rows}).encode()

    An API of several requests is played by `play(request)`, which has `self.balances`. `secrets` are the credentials
    of `make_provider`, and a token that `play` gives. `error_body(code, message)` is the body of an error response.

    The other attributes say what the API can do; a test of what it cannot is skipped. `currencies` are codes that it
    knows, with their types. `decimals` is the table of an API that counts in smallest units. A test that is overridden
    or taken away is a TypeError, unless it is marked with `overrides` or made with `left_out`; so is a mark that skips
    the whole class or expects it to fail.
    """

    def __init_subclass__(cls, **arguments: Any) -> None:  # noqa: ANN401 - of any base class
        super().__init_subclass__(**arguments)
        _check_tests(cls)
        _check_abilities(cls)
        if getattr(cls, "__test__", None) is False:
            raise TypeError(f"{cls.__name__}.__test__ is False: {_LEAVE_OUT}")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Refuse to collect a class that is switched off; pytest calls it for each test, before any runs."""
        for node, mark in metafunc.definition.iter_markers_with_node():
            if mark.name in {"skip", "skipif", "xfail"} and node is not metafunc.definition:
                raise TypeError(f"{node.name} is marked with {mark.name}: {_LEAVE_OUT}")

    def test_no_test_of_the_contract_is_missing(self) -> None:
        """Neither overridden nor taken away after the class was made."""
        _check_tests(type(self))


MANDATORY: Final = frozenset(name for name in dir(ProviderContract) if name.startswith("test_"))
"""The names of the tests."""

_TESTS: Final = {name: getattr(ProviderContract, name) for name in MANDATORY}

_ABILITIES: Final = frozenset(name for name, value in vars(Harness).items() if isinstance(value, bool))


def _check_tests(contract: type[ProviderContract]) -> None:
    for name in sorted(MANDATORY):
        test = getattr(contract, name, None)
        if test is not _TESTS[name] and not getattr(test, _REASON, ""):
            raise TypeError(
                f"{contract.__name__}.{name} takes the place of a test of the contract: give the reason with "
                f'@overrides("…"), or leave it out with {name} = left_out("…")'
            )


def _check_abilities(contract: type[ProviderContract]) -> None:
    for name, value in vars(contract).items():
        if isinstance(value, bool) and not name.startswith("_") and name not in _ABILITIES:
            close = difflib.get_close_matches(name, _ABILITIES, n=1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(_ABILITIES))}"
            raise TypeError(f"{contract.__name__}.{name} is no ability of an adapter; {meant}")
