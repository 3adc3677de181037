"""The contract: balances are read exactly, whatever they are."""

from decimal import Decimal, localcontext
from typing import Any, Final, cast

import pytest

from balancekit.errors import ProviderError
from balancekit.money.balances import AccountBalances, Balance
from balancekit.money.currencies import AssetType
from balancekit.providers.base import BalanceProvider
from balancekit.testing.contract import documents
from balancekit.testing.contract.harness import LABEL, Harness, Read, in_place_of, reported

_DIGITS: Final = "123456789012345678901234567890123456"

NUMBERS: Final = ("0.1", "1E+2", "25e-1", "-0", "0.10", f"{_DIGITS[:18]}.{_DIGITS[18:]}", _DIGITS, "100", "-5")
"""Plain decimals, as JSON may have them: each is read exactly, or refused."""

NO_NUMBERS: Final = (
    *("NaN", "Infinity", "-Infinity", "1_000", " 1", "1 ", "", "-", ".", "0x10", "1,5", "\u0661", "--1", "1e", "sNaN"),
    *("9" * 101, "1e101", "1e-101", "1e999999999", "1.5 EUR", "True", "null"),
)
"""Texts that are no plain decimals, or beyond the bounds."""


class AmountTests(Harness):
    """Codes and amounts come through as they were sent."""

    def _check_read(self, *balances: Balance) -> tuple[Balance, ...]:
        read = self._read(balances).balances
        assert reported(read) == reported(balances)
        return read

    def test_it_is_a_provider_of_its_account(self) -> None:
        """It has the label that it was given, and a name for its API."""
        provider = self.make_provider(LABEL, "https://contract.example")

        assert isinstance(provider, BalanceProvider)
        assert provider.account == LABEL
        assert isinstance(provider.provider, str)
        assert provider.provider

    def test_balances_are_read(self) -> None:
        """Each has its code and its amount."""
        self._check_read(*self._some())

    def test_balances_are_those_of_the_account(self) -> None:
        """Label and provider of a balance are those of the adapter."""
        read = self._read()

        assert {(held.account, held.provider) for held in read.balances} == {(LABEL, read.outcome.provider)}

    def test_an_account_without_balances_is_empty(self) -> None:
        """An empty list is a response like any other."""
        assert self._read(()).balances == ()

    def test_a_tenth_is_a_tenth(self) -> None:
        """No amount passes through a float, in which 0.1 has 55 decimals."""
        self._check_read(*(self._balance(code, self._amount(code, "1", 1)) for code in self.currencies))

    def test_36_digits_are_exact(self) -> None:
        """Eighteen digits before the point and as many after it."""
        self._check_read(*(self._balance(code, self._amount(code, _DIGITS, 18)) for code in self.currencies))

    def test_the_smallest_amount_is_exact(self) -> None:
        """One smallest unit, such as a wei, is not zero."""
        self._check_read(*(self._balance(code, self._amount(code, "1", 18)) for code in self.currencies))

    def test_zeros_at_the_end_are_kept(self) -> None:
        """The scale is the one that was reported: 1.500 stays 1.500."""
        self._check_read(*(self._balance(code, self._amount(code, "1500", 3)) for code in self.currencies))

    def test_a_whole_number_is_exact(self) -> None:
        """An amount may have no decimals."""
        self._check_read(*(self._balance(code, self._amount(code, "4200", 0)) for code in self.currencies))

    def test_zero_balances_are_kept(self) -> None:
        """What is reported is shown, even if it is nothing."""
        self._need("reports_zero_balances")
        self._check_read(*(self._balance(code, self._amount(code, "0", 2)) for code in self.currencies))

    def test_negative_balances_are_kept(self) -> None:
        """A debt is not money."""
        self._need("reports_negative_balances")
        self._check_read(*(self._balance(code, self._amount(code, "-310", 2)) for code in self.currencies))

    def test_many_balances_are_read(self) -> None:
        """Two hundred, each once."""
        self._need("repeats_currencies" if not self.knows_all_currencies else "knows_all_currencies")
        self._check_read(*self._many(200))

    def test_a_currency_that_is_new_is_kept_or_refused(self) -> None:
        """It passes as it is; where its decimals are unknown, it is an error, never a guess."""
        if self.knows_all_currencies and self.decimals is None:
            self._check_read(self._balance("NEWCOIN", Decimal("1.50")))
            return
        known = next(iter(self.currencies))
        before = self._read(self._some()[:1])
        body = before.responses[-1].body.replace(known.encode(), b"NEWCOIN").replace(known.lower().encode(), b"newcoin")

        assert isinstance(self._read(change=in_place_of(before, body)).error, ProviderError)

    def test_balances_of_one_currency_are_all_kept(self) -> None:
        """None of them takes the place of another."""
        self._need("repeats_currencies")
        code = next(iter(self.currencies))
        self._check_read(*(self._balance(code, self._amount(code, digits, 2)) for digits in ("100", "200", "100")))

    def test_the_type_of_asset_is_that_of_the_currency_or_unknown(self) -> None:
        """Crypto is never taken for fiat, nor fiat for crypto."""
        for balance in self._read().balances:
            assert balance.asset_type in {self.currencies[balance.currency], AssetType.UNKNOWN}

    def test_what_is_available_is_a_part_of_the_amount(self) -> None:
        """It is in its own field, and changes nothing in the amount."""
        self._check_part("available", "250")

    def test_what_is_pending_is_not_in_the_amount(self) -> None:
        """It is in its own field, and is not added to the amount."""
        self._check_part("pending", "77")

    def _check_part(self, name: str, digits: str) -> None:
        self._need(f"reports_{name}")
        parts: dict[str, Decimal] = {code.upper(): self._amount(code, digits, 2) for code in self.currencies}
        played = [self._balance(b.code, b.amount, **cast("Any", {name: parts[b.currency]})) for b in self._some()]
        read = self._check_read(*played)
        assert {held.currency: getattr(held, name) for held in read} == parts

    def test_what_is_not_declared_is_not_reported(self) -> None:
        """Available and pending are None where the API does not say them: declare `reports_available` where it does."""
        read = self._read().balances
        for name in ("available", "pending"):
            if not getattr(self, f"reports_{name}"):
                assert {getattr(held, name) for held in read} == {None}, f"declare reports_{name}, or leave it None"

    @pytest.mark.parametrize("kind", [documents.Token, str], ids=["number", "text"])
    @pytest.mark.parametrize("number", NUMBERS)
    def test_a_decimal_in_any_spelling_is_exact_or_refused(self, number: str, kind: type[str]) -> None:
        """As a JSON number or as a text, with an exponent or without; minus zero is zero."""
        read, factor = self._read_amount(kind(number))
        if isinstance(read.outcome, AccountBalances):
            amount = read.balances[-1].amount
            with localcontext(prec=200):
                assert amount == Decimal(number) * factor
            assert not (amount.is_zero() and amount.is_signed())

    @pytest.mark.parametrize("text", NO_NUMBERS, ids=ascii)
    def test_what_is_no_plain_decimal_is_refused(self, text: str) -> None:
        """Python reads underscores, other scripts' digits and NaN as numbers; an amount is none of them."""
        assert isinstance(self._read_amount(text)[0].error, ProviderError)

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "01", "1.", "+1"])
    def test_what_is_no_json_number_is_refused(self, text: str) -> None:
        """Many a decoder reads more than JSON allows."""
        assert isinstance(self._read_amount(documents.Token(text))[0].error, ProviderError)

    @pytest.mark.parametrize("value", [None, True, False, [], {}, ["1"], {"value": "1"}], ids=repr)
    def test_an_amount_of_another_type_is_refused(self, value: object) -> None:
        """True is not one, and nothing is not zero."""
        assert isinstance(self._read_amount(value)[0].error, ProviderError)

    def _read_amount(self, value: object) -> tuple[Read, Decimal]:
        """Read one balance with another value in the place of its amount, and return what units of that count for."""
        before, path, factor = self._amount_place()
        body = documents.write(documents.replace(documents.parse(before.responses[-1].body), path, value))
        return self._read(self._some()[:1], change=in_place_of(before, body)), factor

    def _amount_place(self) -> tuple[Read, documents.Path, Decimal]:
        """Find the place of the amount in the last response: the one that, seven times as much, makes it so."""
        self._need("sends_json")
        before = self._read(self._some()[:1])
        document = documents.parse(before.responses[-1].body)
        (balance,) = before.balances
        for path, value in documents.places(document):
            number = documents.number_in(value)
            if number is None or not number:
                continue
            more = str(7 * number)
            body = documents.write(
                documents.replace(document, path, documents.Token(more) if isinstance(value, documents.Token) else more)
            )
            after = self._read(self._some()[:1], change=in_place_of(before, body)).outcome
            if isinstance(after, AccountBalances) and after.balances[0].amount == 7 * balance.amount:
                return before, path, balance.amount / number
        pytest.skip("no field of the response has the amount alone")
