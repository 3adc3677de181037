"""Broken adapters: each fails a test of the contract that the same adapter without the fault passes."""

import json
from typing import ClassVar

import pytest

from balancekit import AuthenticationError, MultiRequestProvider, Response, ServiceUnavailableError
from balancekit.testing import ProviderContract
from tests.support import broken_adapters as broken
from tests.support.broken_adapters import Sound, SoundPages
from tests.support.pages import rows, words

TOKEN = "token-0123456789"


def body_of(balances, **more):
    """Write rows as the API does."""
    written = [
        {"code": held.code, "amount": held.plain, "pending": None if held.pending is None else str(held.pending)}
        for held in balances
    ]
    return json.dumps({"rows": written, **more}).encode()


class Contract(ProviderContract):
    """What the API of these adapters can do."""

    adapter: ClassVar = Sound
    secrets = (TOKEN,)
    signs_anew = True
    repeats_currencies = True
    reports_pending = True

    def make_provider(self, account, base_url):
        """Make an account."""
        return self.adapter(account, token=TOKEN, base_url=base_url)

    def response_body(self, balances):
        """Write rows."""
        return body_of(balances)


class PagesContract(Contract):
    """The same with pages and a token."""

    adapter: ClassVar = SoundPages
    secrets = (TOKEN, "t-9d1f4b7a6c3e")
    reports_pending = False
    signs_anew = False
    has_pages = True
    has_token = True

    def play(self, request):
        """Give the token, or a page of a hundred rows."""
        last = request.url.rpartition("/")[2]
        if last == "token":
            return Response(200, body=b'{"token": "t-9d1f4b7a6c3e"}')
        page = int(last)
        following = page + 1 if self.balances[page * 100 :] else None
        return Response(200, body=body_of(self.balances[(page - 1) * 100 : page * 100], next=following))


BROKEN = [
    (broken.Floats, "test_36_digits_are_exact"),
    (broken.Rounds, "test_the_smallest_amount_is_exact"),
    (broken.Normalizes, "test_zeros_at_the_end_are_kept"),
    (broken.Underscores, "test_what_is_no_plain_decimal_is_refused", "1_000"),
    (broken.NullIsZero, "test_an_amount_of_another_type_is_refused", None),
    (broken.MissingIsZero, "test_a_wrong_value_in_any_field_is_refused_or_not_read", "missing"),
    (broken.NoDebts, "test_negative_balances_are_kept"),
    (broken.NoZeros, "test_zero_balances_are_kept"),
    (broken.AddsPending, "test_what_is_pending_is_not_in_the_amount"),
    (broken.OnePerCurrency, "test_balances_of_one_currency_are_all_kept"),
    (broken.AlwaysFiat, "test_the_type_of_asset_is_that_of_the_currency_or_unknown"),
    (broken.OthersLabel, "test_balances_are_read"),
    (broken.EmptyOnError, "test_an_error_with_the_status_of_a_success_is_refused"),
    (broken.LastKeyWins, "test_a_key_that_is_given_twice_is_refused"),
    (broken.Swallows401, "test_a_status_has_its_error", 401, AuthenticationError),
    (broken.OneError, "test_a_status_has_its_error", 503, ServiceUnavailableError),
    (broken.NoCode, "test_the_providers_code_and_words_are_in_the_error", 400),
    (broken.FollowsRedirects, "test_a_redirect_is_not_followed"),
    (broken.NeverEnds, "test_a_read_that_is_cancelled_ends"),
    (broken.Blocks, "test_the_event_loop_is_not_blocked"),
    (broken.BlocksReading, "test_the_event_loop_is_not_blocked"),
    (broken.EmptyInTime, "test_a_request_that_hangs_is_never_a_result"),
    (broken.LeavesTask, "test_balances_are_read"),
    (broken.KeepsRows, "test_a_second_read_sees_what_is_new"),
    (broken.HidesFailures, "test_a_failure_after_a_read_is_a_failure"),
    (broken.RepeatsNonce, "test_every_request_is_signed_anew"),
    (broken.IgnoresPath, "test_requests_go_to_the_base_url"),
    (broken.ShowsSecret, "test_the_repr_of_an_adapter_shows_no_secret"),
    (broken.PlainSecret, "test_the_repr_of_an_adapter_shows_no_secret"),
    (broken.LogsSecret, "test_the_log_shows_no_secret"),
    (broken.Prints, "test_nothing_is_printed"),
    (broken.UndeclaredSecret, "test_its_settings_are_declared"),
    (broken.FirstPage, "test_every_page_is_read"),
    (broken.PagesInTime, "test_a_request_that_hangs_is_never_a_result"),
    (broken.NewToken, "test_a_token_is_kept"),
    (broken.ShowsToken, "test_the_repr_of_an_adapter_that_has_read_shows_no_secret"),
]


@pytest.fixture
def run(request):
    """Run a test of the contract on an adapter."""

    def run(adapter, name, *arguments):
        base = PagesContract if issubclass(adapter, MultiRequestProvider) else Contract
        contract = type("TestAdapter", (base,), {"adapter": adapter})()
        fixtures = {"test_the_log_shows_no_secret": "caplog", "test_nothing_is_printed": "capsys"}
        if name in fixtures:
            arguments = (request.getfixturevalue(fixtures[name]),)
        getattr(contract, name)(*arguments)

    return run


@pytest.mark.parametrize("case", BROKEN, ids=[case[0].__name__ for case in BROKEN])
def test_a_broken_adapter_fails_a_test(run, case):
    """The sound one passes it."""
    adapter, *rest = case

    run(SoundPages if issubclass(adapter, MultiRequestProvider) else Sound, *rest)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(adapter, *rest)


def test_a_missing_code_names_the_method_that_reads_it(run):
    """An author need not search for it."""
    with pytest.raises(AssertionError, match=r"define read_error\(response\)"):
        run(broken.NoCode, "test_the_providers_code_and_words_are_in_the_error", 400)


def test_the_page_lists_the_faults_and_what_finds_them():
    """It has what each adapter does, and the name of the test."""
    listed = {row["an adapter that"]: words(row["fails"])[0] for row in rows("docs/adapters.md", "an adapter that")}

    assert listed == {case[0].__doc__.removeprefix("It ").rstrip("."): case[1] for case in BROKEN}
