"""Exceptions of an adapter's own that raise whenever they are looked at: they fail their own account, at once."""

import pytest

from balancekit import AggregateClient, HttpProvider, MalformedResponseError, ProviderError, Secret
from balancekit.money.exact_json import ShapeError
from tests.support.providers import Scripted

KEY = "pk_9f86d081884c7d659a2feaa0c55ad015"


def _unreadable(name, base=Exception):
    """Make a class of exceptions of which an attribute cannot be read."""

    def fail(self):
        raise type(self)(KEY)

    return type("OwnError", (base,), {name: property(fail)})


class UnreadableShapeError(ShapeError):
    """Fails when it is shown."""

    def __str__(self):
        raise type(self)(KEY)


class Based(HttpProvider):
    """An adapter that raises while it builds its request."""

    provider = "own"

    def __init__(self, account, kind):
        super().__init__(account, base_url="https://own.example")
        self.token, self.kind = Secret(KEY), kind

    def build_request(self, *, now, nonce):
        """Fail."""
        raise self.kind(KEY)

    def read_response(self, response):
        """Read nothing."""
        return []


class Bare:
    """An adapter without the base class that raises while it is read."""

    provider = "own"

    def __init__(self, account, kind):
        self.account, self.token, self.kind = account, Secret(KEY), kind

    async def fetch_balances(self, session):
        """Fail."""
        raise self.kind(KEY)


KINDS = {
    "class": _unreadable("__class__"),
    "traceback": _unreadable("__traceback__"),
    "arguments": _unreadable("args"),
    "shape": UnreadableShapeError,
}


@pytest.mark.parametrize("make", [Bare, Based])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_it_fails_its_account(everything_shown_by, make, kind):
    """As any other does; nobody waits for the deadline."""
    async with AggregateClient([make("own", kind), Scripted("good")], attempts=1, deadline=3) as client:
        merged = await client.fetch()

    (failure,) = merged.failures
    assert failure.account == "own"
    assert type(failure.error) in {ProviderError, MalformedResponseError}
    assert KEY not in everything_shown_by(failure.error)


def test_it_ends_the_program_without_its_arguments_if_they_cannot_be_read(everything_shown_by):
    """It is raised while the account is added."""
    with pytest.raises(BaseException, match=r"\*") as caught:
        AggregateClient([Based("own", _unreadable("args", BaseException))])

    assert KEY not in everything_shown_by(caught.value)
