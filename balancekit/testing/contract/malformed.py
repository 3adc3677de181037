"""The contract: a response that is not what the API promises is an error, never other balances."""

import gzip
from typing import Final

import pytest

from balancekit.errors import MalformedResponseError, ProviderError, TransportError
from balancekit.http.bodies import MAX_RESPONSE_BODY
from balancekit.money.balances import AccountBalances
from balancekit.testing.contract import documents
from balancekit.testing.contract.harness import NO_CODE, Harness, Read, in_place_of, reported, with_status

_MAX_DIGITS: Final = 100

_PAGE: Final = b"<html> <head><title>Sign in</title></head> <body>Welcome</body> </html>"

_WRONG_VALUES: Final = {
    "missing": documents.MISSING,
    "null": None,
    "true": True,
    "false": False,
    "a list": ["x"],
    "an empty list": [],
    "an object": {"x": "y"},
    "an empty object": {},
    "a number": documents.Token("1.5"),
    "a large number": documents.Token("9" * 101),
    "an empty text": "",
    "a blank": " ",
    "a line break": "A\nB",
    "a long text": "X" * 5000,
    "a surrogate": "\ud800",
}


class MalformedTests(Harness):
    """Whatever a 200 holds, it is read as it is meant, or refused."""

    @pytest.mark.parametrize("wrong", _WRONG_VALUES)
    def test_a_wrong_value_in_any_field_is_refused_or_not_read(self, wrong: str) -> None:
        """Field by field, in each response: the same codes and amounts, or an error; never others."""
        self._need("sends_json")
        before = self._read()
        for index, response in enumerate(before.responses):
            document = documents.parse(response.body)
            for path, value in documents.places(document):
                if _is_wrong(_WRONG_VALUES[wrong], path, value):
                    body = documents.write(documents.replace(document, path, _WRONG_VALUES[wrong]))
                    self._check_same_or_refused(before, index, body, f"{wrong} at {path}")

    def test_a_new_field_is_ignored(self) -> None:
        """APIs add fields without notice."""
        self._need("sends_json")
        before = self._read()
        for index, response in enumerate(before.responses):
            body = documents.write(documents.with_new_fields(documents.parse(response.body)))
            assert reported(self._read(change=in_place_of(before, body, index)).balances) == reported(before.balances)

    def test_a_key_that_is_given_twice_is_refused(self) -> None:
        """Which of two amounts counts is not left to a decoder."""
        self._need("sends_json")
        before = self._read()
        document = documents.parse(before.responses[-1].body)
        for path, value in documents.places(document):
            if path and isinstance(path[-1], str) and value != "":
                body = documents.with_field_twice(document, path, value)
                self._check_malformed(before, body)

    @pytest.mark.parametrize(
        "body",
        [b"", b" ", b"null", b"7", b'"text"', b"OK", _PAGE, b"\xff\xfe[\x00]\x00", b"{", b'{"error": "Not today"}'],
        ids=ascii,
    )
    def test_a_body_of_another_kind_is_refused(self, body: bytes) -> None:
        """What holds no balances is never an empty account."""
        before = self._read()
        for index in range(len(before.responses)):
            self._check_malformed(before, body, index)

    def test_an_error_with_the_status_of_a_success_is_refused(self) -> None:
        """The error has the provider's own code."""
        before = self._read()

        error = self._check_malformed(before, self.error_body("no_such_key", "The key is unknown"))

        if self.sends_json:
            assert error.code == "no_such_key" or "no_such_key" in str(error), NO_CODE

    def test_a_body_that_is_cut_is_refused(self) -> None:
        """Half of the balances are not the balances."""
        before = self._read()
        for index, response in enumerate(before.responses):
            self._check_malformed(before, response.body.rstrip()[:-1], index)

    def test_a_body_that_is_nested_deeply_is_refused(self) -> None:
        """It ends neither the program nor the account's other reads."""
        before = self._read()
        for body in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 1000 + b"]" * 1000):
            self._check_malformed(before, body)

    def test_a_body_that_is_too_large_is_refused(self) -> None:
        """No more is read than the limit."""
        before = self._read()
        body = before.responses[-1].body
        self._check_malformed(before, body + b" " * (MAX_RESPONSE_BODY + 1 - len(body)))

    def test_a_body_that_grows_when_it_is_decompressed_is_refused(self) -> None:
        """The limit counts what comes out."""
        body = gzip.compress(b" " * (4 * MAX_RESPONSE_BODY))

        self._check_error(self._read(change=with_status(200, body, Content_Encoding="gzip")), MalformedResponseError)

    @pytest.mark.parametrize("status", [201, 202, 204, 206])
    def test_another_success_than_200_is_refused(self, status: int) -> None:
        """Part of a response, or none, is no account."""
        before = self._read()
        body = b"" if status == 204 else before.responses[-1].body

        self._check_error(self._read(change=with_status(status, body)), MalformedResponseError)

    def test_the_error_of_a_malformed_response_helps(self) -> None:
        """It names the account, has the status and a hint, and does not ask for another try."""
        before = self._read()

        error = self._check_malformed(before, b"[[]]")

        assert error.status == 200
        assert error.hint
        assert not error.retryable

    def _check_malformed(self, before: Read, body: bytes, index: int = -1) -> ProviderError:
        read = self._read(change=in_place_of(before, body, index))
        return self._check_error(read, MalformedResponseError)

    def _check_same_or_refused(self, before: Read, index: int, body: bytes, what: str) -> None:
        outcome = self._read(change=in_place_of(before, body, index)).outcome
        if isinstance(outcome, AccountBalances):
            assert reported(outcome.balances) == reported(before.balances), f"{what} changes the balances"
        else:
            assert type(outcome.error) is not ProviderError, f"{what}: {outcome.error!r}"
            assert not isinstance(outcome.error, TransportError), f"{what}: {outcome.error!r}"


def _is_wrong(new: object, path: documents.Path, value: object) -> bool:
    """Return whether a value is wrong in the place of another: an empty list, for example, may be an empty account."""
    if new is documents.MISSING:
        return bool(path) and isinstance(path[-1], str)
    if isinstance(new, documents.Token) and documents.number_in(value) is not None:
        return len(new) > _MAX_DIGITS
    return new != value and not (new in ([], {}) and type(new) is type(value))
