"""Errors of an adapter's own classes, however they are made: shown as ours, redacted, and of their account alone."""

import asyncio
import dataclasses
import json
import pickle
from decimal import Decimal

import attrs
import pytest

from balancekit import (
    AggregateClient,
    AuthenticationError,
    BalancekitError,
    ConfigError,
    HttpProvider,
    IncompleteError,
    MergedBalances,
    ProviderError,
    RateLimitedError,
    Request,
    Secret,
    ServiceUnavailableError,
    merge,
)
from balancekit.money.balances import AccountFailure
from tests.support.providers import Scripted

KEY = "pk_9f86d081884c7d659a2feaa0c55ad015"
TEXT = f"the gateway said: no key {KEY}"
OURS = {"account": "own", "provider": "own"}


@attrs.frozen(auto_exc=True)
class FrozenError(BalancekitError):
    """Cannot be changed, and shows itself."""

    detail: str

    def __str__(self):
        return self.detail


@dataclasses.dataclass(frozen=True)
class FrozenPlainError(Exception):
    """Cannot be changed, not even its traceback."""

    detail: str


@attrs.frozen(auto_exc=True)
class FrozenProviderError(AuthenticationError):
    """Cannot be changed, and has slots."""

    text: str
    account: str = "own"
    provider: str = "own"
    status: int | None = 401


class LazyError(ProviderError):
    """Looks up what it shows when it is shown."""

    def __init__(self, text):
        super().__init__(text, **OURS)
        self.response = {"text": text}

    def __str__(self):
        return self.response["text"]


class BrokenError(ServiceUnavailableError):
    """Has none of the attributes that it should have, and fails when it is shown."""

    def __init__(self, text):
        Exception.__init__(self, text)

    def __str__(self):
        raise RuntimeError(TEXT)

    @property
    def status(self):
        """Fail."""
        raise RuntimeError(TEXT)


class GroupError(ExceptionGroup, BalancekitError):
    """A group of ours."""


def incomplete(text):
    """Make the error of another client, which an adapter may read."""
    failure = AccountFailure("x", "x", ConfigError(text))
    return IncompleteError(text, [failure.error], merge([], [failure]))


def linked(text):
    """Make an error that came from another of the adapter's own."""
    error = RateLimitedError("wait", **OURS, retry_after=7)
    error.__cause__ = FrozenPlainError(text)
    error.__context__ = LazyError(text)
    error.add_note(text)
    return error


def unchecked(text):
    """Make an error whose facts have other types than they should."""
    return ServiceUnavailableError(
        text, account=[], provider=7, status="n/a", code=b"x", retryable="no", hint=7, retry_after=Decimal("NaN")
    )


ERRORS = {
    FrozenError: BalancekitError, FrozenPlainError: ProviderError, FrozenProviderError: AuthenticationError,
    LazyError: ProviderError, BrokenError: ServiceUnavailableError, incomplete: BalancekitError,
    linked: RateLimitedError, unchecked: ServiceUnavailableError, ConfigError: ConfigError,
    (lambda text: GroupError(text, [ValueError(text), LazyError(text)])): BalancekitError,
}  # fmt: skip


class OwnFetch(HttpProvider):
    """An adapter that fetches in its own way."""

    provider = "own"

    def __init__(self, make):
        super().__init__("own", base_url="https://own.example")
        self._key, self.make = Secret(KEY), make

    def build_request(self, *, now, nonce):
        """Build nothing of use."""
        return Request("GET", self.base_url)

    def read_response(self, response):
        """Read nothing."""
        return []

    async def fetch_balances(self, session):
        """Fail."""
        raise self.make(TEXT)


class Own:
    """An adapter without the base class."""

    account = provider = "own"

    def __init__(self, make):
        self._key, self.make = Secret(KEY), make

    async def fetch_balances(self, session):
        """Fail."""
        raise self.make(TEXT)


@pytest.mark.parametrize("kind", [Own, OwnFetch])
@pytest.mark.parametrize(("make", "ours"), ERRORS.items(), ids=lambda one: getattr(one, "__name__", ""))
async def test_an_error_of_an_adapters_own_is_shown_as_the_nearest_of_ours(everything_shown_by, kind, make, ours):
    """Whatever its class does, results are shown, written, pickled and compared, and no key is in them."""
    async with AggregateClient([kind(make), Scripted("good")], attempts=1) as client:
        merged = await client.fetch()
        later = await client.fetch(max_age=60)
        known, status = client.latest(), client.status()["own"]

    error = merged.failures[0].error
    assert type(error) is ours
    assert [failure.account for failure in merged.failures] == ["own"]
    assert [one.account for one in known.accounts] == ["good"]
    assert type(later.failures[0].error) is type(status.error) is ours
    assert pickle.loads(pickle.dumps(merged)) == merged
    assert MergedBalances.from_json(merged.to_json()).to_json() == merged.to_json()
    shown = everything_shown_by(error) + repr(merged) + merged.to_json() + repr(status) + f"{pickle.dumps(merged)}"
    assert KEY not in shown


async def test_facts_of_a_wrong_type_are_left_out():
    """An error has the types that it promises, whoever made it."""
    async with AggregateClient([Own(unchecked)], attempts=1) as client:
        error = (await client.fetch()).failures[0].error

    facts = {name: getattr(error, name) for name in ("account", "provider", "status", "code", "hint", "retry_after")}
    assert json.loads(json.dumps(facts)) == OURS | dict.fromkeys(("status", "code", "hint", "retry_after"))
    assert error.retryable is True


async def test_facts_of_an_error_that_an_adapter_raises_are_kept():
    """They decide about retries and cooldowns."""
    facts = {"status": 503, "code": "maintenance", "retryable": False, "hint": "come back later", "retry_after": 7.5}

    async with AggregateClient([Own(lambda _: ServiceUnavailableError("503", **OURS, **facts))]) as client:
        error = (await client.fetch()).failures[0].error

    assert {name: getattr(error, name) for name in facts} == facts


class Exiting(Scripted):
    """Ends the program, as libraries for the command line do, and shows its key."""

    def __init__(self, kind):
        super().__init__("own")
        self.key, self.kind = Secret(KEY), kind

    async def fetch_balances(self, session):
        """Fail."""
        raise self.kind(f"cannot log in with {self.key.reveal()}")

    def verify_webhook(self, headers, body, *, now=None):
        """Fail."""
        raise self.kind(f"cannot log in with {self.key.reveal()}")


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_program_shows_no_secret_of_its_adapter(everything_shown_by, kind):
    """`sys.exit` writes its text to stderr, and an error tracker collects what it can."""

    async def read():
        async with AggregateClient([Exiting(kind)]) as client:
            await client.fetch()

    with pytest.raises(kind) as caught:
        asyncio.run(read())

    if kind is SystemExit:
        assert caught.value.args == ("cannot log in with ***",)
    assert KEY not in everything_shown_by(caught.value)


def test_what_ends_the_program_on_a_delivery_shows_no_secret_of_its_adapter(everything_shown_by):
    """As while it is read."""

    async def receive():
        async with AggregateClient([Exiting(SystemExit)]) as client:
            await client.handle_webhook("own", {}, b"{}")

    with pytest.raises(SystemExit) as caught:
        asyncio.run(receive())

    assert caught.value.args == ("cannot log in with ***",)
    assert KEY not in everything_shown_by(caught.value)


def _adapter_with(attribute, raises):
    """Make an adapter that raises, with its key, where an attribute of it is read or its request is built."""

    class Own(HttpProvider):
        provider = "own"

        def __init__(self, account):
            super().__init__(account, base_url="https://api.example")
            self.key = KEY

        def build_request(self, *, now, nonce):
            return Request("GET", self.base_url)

        def read_response(self, response):
            return []

    def fail(self, **_):
        raise raises(f"no login with {self.key}")

    setattr(Own, attribute, fail if attribute == "build_request" else property(fail))
    return Own("own")


READ_WHEN_ADDED = ("provider", "aliases", "origin", "fingerprint")


async def _add(source):
    async with AggregateClient([]) as client:
        await client.add(source)


@pytest.mark.parametrize("enter", [lambda source: AggregateClient([source]), lambda source: asyncio.run(_add(source))])
@pytest.mark.parametrize("attribute", [*READ_WHEN_ADDED, "build_request"])
def test_what_ends_the_program_when_an_account_is_added_shows_no_secret(everything_shown_by, attribute, enter):
    """Its adapter is asked what the account is, and builds a request for that."""
    with pytest.raises(SystemExit) as caught:
        enter(_adapter_with(attribute, SystemExit))

    assert caught.value.args == ("no login with ***",)
    assert KEY not in everything_shown_by(caught.value)


@pytest.mark.parametrize("attribute", READ_WHEN_ADDED)
def test_an_adapter_whose_attributes_cannot_be_read_is_refused(everything_shown_by, attribute):
    """As what a client cannot work with, and without what it says of its key."""
    with pytest.raises(ConfigError) as caught:
        AggregateClient([_adapter_with(attribute, LookupError)])

    assert str(caught.value) == "providers[0]: Own raised LookupError when it was added: no login with ***"
    assert KEY not in everything_shown_by(caught.value)


class Disguised(int):
    """A number that shows a key."""

    def __repr__(self):
        return KEY


def test_a_number_of_an_adapters_own_class_ends_the_program_as_a_number(everything_shown_by):
    """The exit code stays what it is, and what the class shows does not."""
    source = Exiting(lambda _: SystemExit(Disguised(3)))

    with pytest.raises(SystemExit) as caught:
        asyncio.run(_fetch(source))

    assert caught.value.code == 3
    assert KEY not in everything_shown_by(caught.value)


async def _fetch(source):
    async with AggregateClient([source]) as client:
        return await client.fetch()


@dataclasses.dataclass
class Shown:
    """An adapter whose repr has its key."""

    account: str
    key: str
    provider: str = "shown"

    async def fetch_balances(self, session):
        """Fail."""
        raise RuntimeError("no")


async def test_no_frame_of_a_call_shows_the_repr_of_an_adapter(everything_shown_by):
    """Error trackers collect the local variables of each, and a dataclass shows all that it has."""
    client = AggregateClient([Shown("shop", KEY)], attempts=1)
    calls = [
        lambda: client.fetch(strict=True),
        lambda: client.fetch(["other"]),
        lambda: client.fetch(max_age="old"),
        lambda: client.handle_webhook("shop", {}, b"{}"),
        lambda: client.add(Shown("shop", KEY)),
        client.aclose,
        lambda: client.add(Shown("new", KEY)),
    ]
    shown = []
    for call in calls:
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - each raises another one
            shown.append(everything_shown_by(error))

    assert len(shown) == len(calls) - 1
    assert [text for text in shown if KEY in text] == []


class Remote:
    """An object that makes each attribute when it is asked for it, and sends a request for it, as RPC clients do."""

    def __init__(self):
        vars(self)["asked"] = []

    def __getattr__(self, name):
        """Note what would be sent."""
        if not name.startswith("__"):
            self.asked.append(name)
        return lambda *_: "text"


class OverRpc(HttpProvider):
    """An adapter that keeps one."""

    provider = "rpc"

    def __init__(self, account, *, rpc, key, base_url):
        super().__init__(account, base_url=base_url)
        self.rpc, self._key = rpc, Secret(key)

    def build_request(self, *, now, nonce):
        """Build a request with the key."""
        return Request("GET", self.base_url, {"Authorization": self._key.reveal()})

    def read_response(self, response):
        """Fail."""
        raise RuntimeError("no")


async def test_nothing_that_an_adapter_keeps_is_asked_for_what_it_hides(sandbox):
    """Its class says whether it is a secret."""
    rpc = Remote()
    async with AggregateClient([OverRpc("shop", rpc=rpc, key=KEY, base_url=sandbox.address)], attempts=1) as client:
        merged = await client.fetch()

    assert merged.failures
    assert rpc.asked == []
