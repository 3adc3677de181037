"""The contract for adapters: what an author declares, and what happens to tests that are taken away."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from balancekit import ErrorDetail, HttpProvider, MinorUnits, ReportedBalances, Request, Secret
from balancekit.testing import ProviderContract, left_out, overrides
from balancekit.testing.contract import MANDATORY
from tests.support.pages import blocks

UNITS = MinorUnits({"EUR": 2, "ISK": 2, "JPY": 0})


class Wallet(HttpProvider):
    """An adapter that reports parts of balances in smallest units, and its own moment."""

    provider = "wallet"

    def __init__(self, account, *, token: str | Secret, base_url="https://wallet.example"):
        self._token, base_url = Secret.of(token), Secret.of(base_url)
        del token
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Build a request with the token."""
        return Request("GET", f"{self.base_url}/wallets", {"Authorization": f"Bearer {self._token.reveal()}"})

    def read_response(self, response):
        """Read a list of wallets."""
        data = response.json()
        return ReportedBalances(
            [
                self.balance(
                    row["currency"],
                    UNITS.amount(row["currency"], row["booked"]),
                    available=UNITS.amount(row["currency"], row["free"]),
                    pending=UNITS.amount(row["currency"], row["incoming"]),
                )
                for row in response.entries("wallets")
            ],
            reported_at=datetime.fromisoformat(data["time"]),
        )


class Exchange(Wallet):
    """An adapter whose API has codes of its own, errors in a shape of its own, and decimal texts."""

    def read_response(self, response):
        """Read both amounts of each wallet."""
        return [self.balance(row["code"], row["total"], available=row["free"]) for row in response.entries("wallets")]

    def read_error(self, response):
        """Read the name and the reason."""
        data = response.json()
        return ErrorDetail(data["name"], data["reason"])


class TestWallet(ProviderContract):
    """An adapter with other abilities than the built-in ones."""

    secrets = ("token-0123456789",)
    currencies: ClassVar = {"EUR": "fiat", "JPY": "fiat", "ISK": "fiat"}
    decimals = UNITS.decimals
    knows_all_currencies = False
    repeats_currencies = True
    reports_available = True
    reports_pending = True

    def make_provider(self, account, base_url):
        """Make an account."""
        return Wallet(account, token=self.secrets[0], base_url=base_url)

    def response_body(self, balances):
        """Write the wallets."""

        def units(amount):
            return int(amount.as_tuple().sign * "-" + "".join(map(str, amount.as_tuple().digits)))

        wallets = [
            {
                "currency": held.code.lower(),
                "booked": units(held.amount),
                "free": units(held.available),
                "incoming": units(held.pending),
            }
            for held in balances
        ]
        return json.dumps({"time": datetime(2026, 1, 1, tzinfo=UTC).isoformat(), "wallets": wallets}).encode()


def documented_contract(adapter):
    """Return the contract on the page of adapters, of an adapter on that page."""
    namespace = {"__name__": __name__}
    for block in blocks("python"):
        if block.place.startswith("docs/adapters.md") and adapter in block.code:
            # Without what a program prints, which another test compares with the page.
            code = block.code.partition(f"\n\nprovider = {adapter}(")[0]
            exec(compile(code, block.place, "exec"), namespace)
    return namespace[f"Test{adapter}"]


TestDocumented = documented_contract("MyBankProvider")
TestDocumentedWithToken = documented_contract("MyExchangeProvider")


class TestExchange(ProviderContract):
    """An adapter for which every code is a currency, and that reports what is available."""

    secrets = ("token-0123456789",)
    reports_available = True

    def make_provider(self, account, base_url):
        """Make an account."""
        return Exchange(account, token=self.secrets[0], base_url=base_url)

    def response_body(self, balances):
        """Write both amounts of each balance."""
        rows = [{"code": held.code, "total": held.plain, "free": f"{held.available:f}"} for held in balances]
        return json.dumps({"wallets": rows}).encode()

    def error_body(self, code, message):
        """Write an error in a shape that is the API's own."""
        return json.dumps({"name": code, "reason": message}).encode()


def subclass(**attributes):
    """Make a contract with some attributes."""
    return type("TestAdapter", (ProviderContract,), attributes)


def test_there_are_forty_tests_at_least():
    """They are plain methods, and none needs an event loop of the runner's."""
    assert len(MANDATORY) >= 40
    assert all(getattr(ProviderContract, name).__code__.co_flags & 0x80 == 0 for name in MANDATORY)


@pytest.mark.parametrize("replaced", [None, lambda self: None, pytest.mark.skip(lambda self: None)])
def test_a_test_cannot_be_replaced_without_a_reason(replaced):
    """The class cannot be made, so that the run fails."""
    with pytest.raises(TypeError, match=r"^TestAdapter\.test_a_tenth_is_a_tenth takes the place .* give the reason"):
        subclass(test_a_tenth_is_a_tenth=replaced)


def test_a_test_cannot_be_replaced_by_a_base_class_either():
    """Whatever comes before the contract in the order of bases counts as well."""
    mixin = type("Mixin", (), {"test_a_tenth_is_a_tenth": lambda self: None})

    with pytest.raises(TypeError, match="test_a_tenth_is_a_tenth"):
        type("TestAdapter", (mixin, ProviderContract), {})


def test_a_test_that_is_replaced_later_is_found_by_another():
    """The check is repeated while the tests run."""
    contract = subclass()
    contract.test_a_tenth_is_a_tenth = None

    with pytest.raises(TypeError, match="test_a_tenth_is_a_tenth"):
        contract().test_no_test_of_the_contract_is_missing()


SWITCHED_OFF = {
    "body": "class TestBody(Contract):\n    pytestmark = pytest.mark.skip",
    "decorator": "@pytest.mark.xfail\nclass TestDecorator(Contract):\n    pass",
    "condition": "@pytest.mark.skipif(True, reason='x')\nclass TestCondition(Contract):\n    pass",
    "module": "pytestmark = [pytest.mark.skip]\nclass TestModule(Contract):\n    pass",
    "no_test": "class TestNoTest(Contract):\n    __test__ = False",
}


@pytest.fixture(scope="module")
def ran_switched_off(tmp_path_factory):
    """Run files with a contract each that is switched off."""
    folder = tmp_path_factory.mktemp("contracts")
    head = "import pytest\nfrom balancekit.testing import ProviderContract as Contract\n\n"
    for name, code in SWITCHED_OFF.items():
        (folder / f"test_{name}.py").write_text(f"{head}{code}\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "what",
    [
        "TestBody is marked with skip",
        "TestDecorator is marked with xfail",
        "TestCondition is marked with skipif",
        "test_module.py is marked with skip",
        "TestNoTest.__test__ is False",
    ],
)
def test_a_contract_cannot_be_switched_off(ran_switched_off, what):
    """The run fails before any test, and says what to do."""
    assert ran_switched_off.returncode == pytest.ExitCode.INTERRUPTED, ran_switched_off.stdout
    assert f"{what}: leave out the tests that do not hold, each with its reason" in ran_switched_off.stdout


def test_a_test_that_is_replaced_with_a_reason_runs():
    """The adapter differs, and says why."""

    @overrides("the API rounds to tenths")
    def test(self):
        return "ran"

    assert subclass(test_a_tenth_is_a_tenth=test)().test_a_tenth_is_a_tenth() == "ran"


def test_a_test_that_is_left_out_is_skipped_with_its_reason():
    """The reason is in the report."""
    contract = subclass(test_a_tenth_is_a_tenth=left_out("the API has whole numbers alone"))

    with pytest.raises(pytest.skip.Exception, match="the API has whole numbers alone"):
        contract().test_a_tenth_is_a_tenth()


@pytest.mark.parametrize("reason", ["", " ", None, lambda self: None], ids=["empty", "blank", "none", "no call"])
def test_a_reason_is_a_text(reason):
    """A mark without one says nothing."""
    with pytest.raises(TypeError, match="expected a reason"):
        overrides(reason)
    with pytest.raises(TypeError, match="expected a reason"):
        left_out(reason)


@pytest.mark.parametrize(
    ("name", "message"),
    [("has_page", "did you mean has_pages?"), ("answers", "there are has_pages, ")],
)
def test_an_ability_that_does_not_exist_is_refused(name, message):
    """A misspelt ability would leave its tests out."""
    with pytest.raises(TypeError) as caught:
        subclass(**{name: True})

    assert f"TestAdapter.{name} is no ability of an adapter; {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "imported"),
    [
        ("from balancekit.testing import ManualClock", False),
        ("from balancekit.testing import ProviderContract", True),
    ],
)
def test_pytest_is_imported_for_the_contract_alone(code, imported):
    """A program that uses the clock needs no pytest."""
    code = f"import sys; {code}; print('pytest' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == str(imported)


def test_a_name_that_is_not_there_is_an_attribute_error():
    """A misspelt name raises what it would in any module."""
    with pytest.raises(ImportError, match="cannot import name 'Contract'"):
        exec("from balancekit.testing import Contract", {})
