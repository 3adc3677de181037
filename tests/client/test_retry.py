"""Decisions about trying again."""

import sys

import pytest
from hypothesis import given, strategies as st

from balancekit import ConfigError, RetryPolicy, ServiceUnavailableError
from balancekit.client.retry import OriginCooldown, RetryBudget, RetryState

POLICY = RetryPolicy(attempts=5)


@pytest.mark.parametrize("attempts", [0, True, 2.0, "3", None, 10**400], ids=repr)
def test_attempts_are_a_whole_number_from_one(attempts):
    """Anything else is refused when the policy is made, rather than at the first failure."""
    with pytest.raises(ConfigError, match=r"^attempts: expected a"):
        RetryPolicy(attempts)


@pytest.mark.parametrize("delay", ["first", "cap"])
@pytest.mark.parametrize("seconds", [-1, -0.1, float("nan"), "1", True, None, 10**400], ids=repr)
def test_delays_are_seconds_from_zero(delay, seconds):
    """So that no number, however large, ends a read with another error than the provider's."""
    with pytest.raises(ConfigError, match=f"^{delay}: expected seconds, zero or more, got "):
        RetryPolicy(**{delay: seconds})


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8)])
def test_the_longest_delay_doubles(attempt, longest):
    """Each attempt may wait up to twice as long as the one before; the first 50 ms on average."""
    assert POLICY.delay(attempt, retry_after=None, remaining=100, jitter=lambda: 1.0) == pytest.approx(longest)


def test_the_delay_is_anything_from_zero():
    """Full jitter: clients that failed together do not come back together."""
    assert POLICY.delay(3, retry_after=None, remaining=100, jitter=lambda: 0.0) == 0.0


def test_the_delay_is_capped():
    """However often it failed, nobody waits longer than the cap."""
    policy = RetryPolicy(attempts=10_000)

    assert policy.delay(9_999, retry_after=None, remaining=100, jitter=lambda: 1.0) == 20.0


def test_attempts_end():
    """After the last attempt there is no other."""
    assert POLICY.delay(5, retry_after=None, remaining=100) is None


def test_what_the_provider_asks_for_is_the_least():
    """A retry does not come earlier than `Retry-After`, and not at the same moment as all others."""
    waits = {POLICY.delay(1, retry_after=7.0, remaining=100) for _ in range(8)}

    assert min(waits) >= 7.0
    assert len(waits) > 1


def test_a_wait_beyond_the_deadline_is_not_begun():
    """Where waiting cannot help, the call ends at once."""
    assert POLICY.delay(1, retry_after=7.0, remaining=7.0) is None


@given(st.integers(1, 4), st.none() | st.floats(0, 1e12), st.floats(-10, 1e6), st.floats(0, 1))
def test_every_wait_ends_before_the_deadline(attempt, retry_after, remaining, jitter):
    """Whatever the numbers are, a wait is neither negative nor too long."""
    wait = POLICY.delay(attempt, retry_after=retry_after, remaining=remaining, jitter=lambda: jitter)

    assert wait is None or 0 <= wait < remaining


SECONDS = st.floats(0, allow_nan=False) | st.integers(0, int(sys.float_info.max))


@given(SECONDS, SECONDS, st.integers(1, 10_000), st.floats(0, 1))
def test_every_policy_gives_a_delay_or_gives_up(first, cap, attempt, jitter):
    """Of whatever numbers it was made."""
    policy = RetryPolicy(10_000, first=first, cap=cap)

    wait = policy.delay(attempt, retry_after=None, remaining=30.0, jitter=lambda: jitter)

    assert wait is None or 0 <= wait < 30.0


def test_a_new_host_has_all_its_retries():
    """The first failures of a process can be tried again."""
    budget = RetryBudget(capacity=3)

    assert [budget.take(0.0) for _ in range(5)] == [True, True, True, False, False]


def test_success_refills_it():
    """An origin that responds again earns its retries back."""
    budget = RetryBudget(capacity=1, per_success=0.5)
    budget.take(0.0)

    budget.succeeded()
    assert not budget.take(0.0)
    budget.succeeded()
    assert budget.take(0.0)


def test_time_refills_it():
    """An account that is read once an hour can be tried again after an outage."""
    budget = RetryBudget(capacity=1, per_second=0.1)
    budget.take(0.0)

    assert not budget.take(9.0)
    assert budget.take(11.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e6)), max_size=50))
def test_it_never_holds_more_than_its_capacity(events):
    """Neither time nor success saves up for a storm, and a clock that goes backwards gives nothing."""
    budget = RetryBudget(capacity=3)
    for answered, now in events:
        budget.succeeded() if answered else budget.take(now)

    assert sum(budget.take(1e6) for _ in range(10)) <= 3


def _error(**facts):
    return ServiceUnavailableError("503", account="shop", provider="scripted", **facts)


def _next_delay(state, error, *, budget=None, attempts=3, is_lost_keepalive=False, remaining=30.0):
    return state.next_delay(
        error,
        policy=RetryPolicy(attempts, first=0.0),
        budget=RetryBudget() if budget is None else budget,
        is_lost_keepalive=is_lost_keepalive,
        now=0.0,
        remaining=remaining,
    )


def test_an_error_that_may_pass_is_remembered_until_the_next_attempt():
    """A caller whose deadline comes in between is given that error."""
    state, error = RetryState(attempts=1), _error()

    assert _next_delay(state, error) == 0.0
    assert state.error is error


def test_an_error_that_cannot_pass_ends_the_flight():
    """Neither a wait nor a token of the budget is spent on it."""
    budget = RetryBudget(capacity=1)

    assert _next_delay(RetryState(attempts=1), _error(retryable=False), budget=budget) is None
    assert budget.take(0.0)


def test_a_lost_connection_is_replaced_once_and_counts_as_no_attempt():
    """The server closed it while it was idle, which is no failure of the account's."""
    state = RetryState(attempts=1)

    assert _next_delay(state, _error(), attempts=1, is_lost_keepalive=True) == 0.0
    assert state.attempts == 0
    state.attempts += 1
    assert _next_delay(state, _error(), attempts=1, is_lost_keepalive=True) is None


def test_without_a_token_of_the_budget_there_is_no_retry():
    """An outage is not amplified."""
    budget = RetryBudget(capacity=1)
    budget.take(0.0)

    assert _next_delay(RetryState(attempts=1), _error(), budget=budget) is None


def test_a_clock_is_corrected_once_in_a_flight():
    """A second rejection has nothing to do with the clock."""
    state = RetryState(attempts=1)

    assert state.correct_clock(0.0, 3600.0)
    assert (state.attempts, state.clock_offset) == (0, 3600.0)
    assert not state.correct_clock(3600.0, 7200.0)


def test_replacing_a_lost_connection_takes_no_token():
    """All connections of a pool may turn out dead at once, and each account has one replaced."""
    budget = RetryBudget(capacity=0)

    delays = [_next_delay(RetryState(attempts=1), _error(), budget=budget, is_lost_keepalive=True) for _ in range(60)]

    assert delays == [0.0] * 60


def test_a_late_429_begins_a_cooldown_that_counts():
    """One that answers a request from before the last cooldown counts, although a later request has succeeded."""
    cooldown = OriginCooldown()
    cooldown.begin(sent_at=0.0, now=1.0, retry_after=1.0)
    cooldown.succeeded(sent_at=3.0)

    cooldown.begin(sent_at=1.5, now=4.0, retry_after=2.0)

    assert (cooldown.times, cooldown.remaining(4.0)) == (1, 2.0)
