"""The budget of retries for one host."""

from hypothesis import given, strategies as st

from balancekit.client.retry import RetryBudget


def test_a_new_host_has_all_its_retries():
    """The first failures of a process can be tried again."""
    budget = RetryBudget(capacity=3)

    assert [budget.take(0.0) for _ in range(5)] == [True, True, True, False, False]


def test_success_refills_it():
    """A host that answers again earns its retries back."""
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
