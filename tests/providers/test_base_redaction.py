"""What neither an adapter of anybody's own nor a server that sends everything back makes the base class show."""

import base64
import gc
import json
import pickle
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from urllib.parse import urlencode

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit import (
    AggregateClient,
    AssetType,
    AuthenticationError,
    BadRequestError,
    HttpProvider,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    Request,
    Response,
    Secret,
)
from balancekit.http.fields import read_chain, read_entries
from balancekit.money.balances import BalanceDraft, finish_balances

PASSWORD = "p@ssw0rd&tiger"


@dataclass
class Settings:
    """Settings as an adapter may keep them."""

    token: object


class SecretStr:
    """What imitates pydantic's."""

    def __init__(self, value):
        self._hidden = value

    def get_secret_value(self):
        """Reveal the value."""
        return self._hidden


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("token",)

    def __init__(self, token):
        self.token = token


class Form(HttpProvider):
    """An adapter that logs in with a form."""

    provider = "form"

    def __init__(self, account="shop", **kept):
        super().__init__(account, base_url="https://bank.example/api")
        vars(self).update({"password": Secret(PASSWORD)} | kept)

    def build_request(self, *, now, nonce):
        """Send the password in the body."""
        body = urlencode({"user": "shop", "password": self.password.reveal()})
        return Request("POST", f"{self.base_url}/login", body=body.encode())

    def read_response(self, response):
        """Read nothing."""
        return json.loads(response.body)


class Basic(Form):
    """An adapter with Basic authentication."""

    def build_request(self, *, now, nonce):
        """Send the password in a header."""
        credentials = base64.b64encode(f"shop:{PASSWORD}".encode()).decode()
        return Request("GET", self.base_url, {"Authorization": f"Basic {credentials}"})


class RejectedError(BadRequestError):
    """An error of an adapter's own."""


async def failure_of(provider):
    """Return the error that a read ends with."""
    with pytest.raises(ProviderError) as caught:
        await provider.fetch_balances(None)
    return caught.value


@pytest.mark.parametrize("kind", [Form, Basic])
async def test_a_password_that_was_sent_encoded_is_not_shown_in_plain(wire, everything_shown_by, kind):
    """A server shows what it has decoded."""
    wire.outcome = Response(401, body=f"login of shop failed with the password {PASSWORD}".encode())

    failure = await failure_of(kind())

    assert failure.message.endswith("failed with the password ***")
    assert "tiger" not in everything_shown_by(failure)


async def test_a_password_of_basic_authentication_is_known_though_nobody_marked_it(wire):
    """It is in the header, in base64."""
    wire.outcome = Response(401, body=b"no such password: tigerlily")
    provider = Basic(password=None)
    provider.build_request = lambda *, now, nonce: Request(
        "GET", provider.base_url, {"Authorization": f"Basic {base64.b64encode(b'shop:tigerlily').decode()}"}
    )

    assert (await failure_of(provider)).message == "401: no such password: ***"


@pytest.mark.parametrize(
    "kept",
    [
        Settings("secretphrase"), Settings(Secret("secretphrase")), SecretStr("secretphrase"), Slotted("secretphrase"),
        SimpleNamespace(inner=Settings([{"a": {"secretphrase"}}])), frozenset({b"secretphrase"}),
        "https://user:secretphrase@host.example/", "https://host.example/?token=secretphrase",
    ],
    ids=["dataclass", "Secret in it", "SecretStr", "slots", "deep", "set", "password in a URL", "query of a URL"],
)  # fmt: skip
async def test_what_an_adapter_keeps_is_found_at_any_depth(monkeypatch, everything_shown_by, kept):
    """An exception of the adapter's own may quote a secret wherever it is kept."""
    provider = Form(kept=kept)

    def fail(*, now, nonce):
        raise RuntimeError("cannot sign with secretphrase")

    monkeypatch.setattr(provider, "build_request", fail)

    failure = await failure_of(provider)

    assert "RuntimeError: cannot sign with ***" in str(failure)
    assert "secretphrase" not in everything_shown_by(failure)


async def test_a_secret_that_is_kept_nowhere_is_not_shown(monkeypatch, everything_shown_by):
    """A closure hides it from us, but it looks like no word."""
    provider = Form()

    def fail(*, now, nonce):
        raise RuntimeError("cannot sign with hunter2Passw0rd")

    monkeypatch.setattr(provider, "build_request", fail)

    failure = await failure_of(provider)

    assert f"{__file__}:" in str(failure)
    assert "RuntimeError: cannot sign with …" in str(failure)
    assert "hunter2" not in everything_shown_by(failure)


async def test_an_adapter_that_holds_itself_is_searched_once(wire):
    """Attributes may lead in a circle, and to more objects than anybody wants to look at."""
    provider = Form(many=[Settings(number) for number in range(100_000)])
    provider.itself = [provider]

    wire.outcome = Response(500)

    assert (await failure_of(provider)).message == "500"


async def test_an_exception_with_anything_but_words_is_no_cause(monkeypatch):
    """It may hold a request, a body or a key in an attribute or an argument."""
    provider = Form()

    def fail(*, now, nonce):
        raise KeyError({"a": "list"})

    monkeypatch.setattr(provider, "build_request", fail)

    failure = await failure_of(provider)

    assert failure.__cause__ is None
    assert "which raised KeyError: {'a': 'list'}" in str(failure)


@pytest.mark.parametrize("status", [200, 403])
async def test_a_failure_does_not_keep_the_response_alive(wire, status):
    """A result may hold thousands of failures for as long as the program likes."""
    body = f'{{"error": "No", "of": "{status}, alone"}}'.encode()
    wire.outcome = Response(status, body=body)
    provider = Form()
    provider.read_response = lambda response: response.missing
    failure = await failure_of(provider)
    wire.outcome = None
    wire.requests.clear()
    gc.collect()

    assert not [held for held in gc.get_objects() if type(held) is Response and held.body == body]
    assert failure.status == status


async def test_neither_request_nor_response_is_in_the_frame_of_a_failure(wire, everything_shown_by):
    """A token may be in the path, and an adapter may hold it nowhere."""
    wire.outcome = Response(404, body=b"tkn5f2b9c0d1e8a7744")
    provider = Form()
    provider.build_request = lambda *, now, nonce: Request("GET", f"{provider.base_url}/tkn5f2b9c0d1e8a7744/balances")

    failure = await failure_of(provider)

    assert "tkn5f2b" not in everything_shown_by(failure)


def test_the_repr_of_a_request_shows_its_method_and_origin_alone():
    """Path and query may hold a token."""
    request = Request("GET", "https://user:tkn5f2b@bank.example:8443/tkn5f2b/balances?token=tkn5f2b")

    assert repr(request) == "Request(method='GET', url='https://bank.example:8443')"
    assert "tkn5f2b" not in repr(Request("GET", "tkn5f2b"))


async def test_a_body_that_is_no_bytes_breaks_no_error(wire, everything_shown_by):
    """An adapter that forgot to encode still learns that it asks too often."""
    wire.outcome = Response(429, {"Retry-After": "7"}, f"slow down, {PASSWORD}".encode())
    provider = Form()
    provider.build_request = lambda *, now, nonce: Request("POST", provider.base_url, body=f"password={PASSWORD}")

    failure = await failure_of(provider)

    assert type(failure) is RateLimitedError
    assert (failure.retry_after, failure.retryable) == (7.0, True)
    assert PASSWORD not in everything_shown_by(failure)


async def test_an_error_of_an_adapters_own_class_becomes_the_nearest_of_ours(wire, everything_shown_by):
    """Libraries attach requests to their errors, and an error is pickled with its attributes and its class."""
    wire.outcome = Response(400)

    provider = Basic()

    def read_error(response):
        error = RejectedError("rejected", account="shop", provider="form", status=response.status)
        error.request = provider.build_request(now=0, nonce="")
        raise error

    provider.read_error = read_error

    failure = await failure_of(provider)

    assert type(failure) is BadRequestError
    assert (failure.account, failure.status, failure.message) == ("shop", 400, "rejected")
    assert "tiger" not in everything_shown_by(failure)
    assert b"c2hvcD" not in pickle.dumps(failure)


async def test_the_headers_of_an_error_response_are_not_read(wire):
    """A server may send a megabyte of them."""

    class Headers(CIMultiDict):
        """Headers that count how often all of them are read."""

        reads = 0

        def items(self):
            """Count."""
            self.reads += 1
            return super().items()

    headers = Headers({f"X-{number}": "&amp;" * 1600 for number in range(120)})
    response = Response(400)
    object.__setattr__(response, "headers", headers)
    wire.outcome = response

    assert type(await failure_of(Form())) is BadRequestError
    assert headers.reads == 0


async def test_an_error_that_aiohttp_raises_in_an_adapter_shows_no_query(everything_shown_by):
    """The exception has the URL of the request, with the token in it."""
    url = URL("https://bank.example/tkn5f2b/balances?token=tkn5f2b")
    info = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url)

    class Simple:
        """An adapter without the base class."""

        account, provider = "shop", "simple"

        async def fetch_balances(self, session):
            """Fail as `response.json()` does."""
            raise aiohttp.ContentTypeError(info, (), status=401, message="unexpected mimetype: text/html")

    async with AggregateClient([Simple()], attempts=1) as client:
        (failure,) = (await client.fetch()).failures

    assert type(failure.error) is AuthenticationError
    assert "tkn5f2b" not in everything_shown_by(failure.error)
    assert b"tkn5f2b" not in pickle.dumps(failure)


class Lazy(Form):
    """An adapter that reads each line when it is asked for."""

    def read_response(self, response):
        """Fail at the first line."""
        yield self.balance(f"no such code: {PASSWORD}", "1")


async def test_lines_that_are_read_one_by_one_are_read_where_errors_are_redacted(wire, everything_shown_by):
    """A generator is the shortest way to write an adapter."""
    failure = await failure_of(Lazy())

    assert type(failure) is MalformedResponseError
    assert "tiger" not in everything_shown_by(failure)


def raise_text(*_, **__):
    """Fail as an adapter does that quotes what it knows."""
    raise RuntimeError(f"cannot go on with {PASSWORD}")


def leave(response):
    """Give up as a script does."""
    raise SystemExit(f"cannot read {response.body!r}, {PASSWORD}")


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize(
    "own", [{"hints": ["no", "mapping"]}, {"read_error": leave}, {}], ids=["hints", "exit", "clock"]
)
async def test_what_an_adapter_raises_while_its_error_is_made_is_redacted(wire, everything_shown_by, status, own):
    """Its hints, its clock and its reading of errors are code of its own, too."""
    wire.outcome = Response(status, body=f'{{"error": "no such key: {PASSWORD}"}}'.encode())
    provider = Form(**own)
    provider.read_response = raise_text
    moments = [0.0]
    provider.clock = lambda: moments.pop() if moments else raise_text()

    with pytest.raises((ProviderError, SystemExit)) as caught:
        await provider.fetch_balances(None)

    assert "tiger" not in everything_shown_by(caught.value)
    assert getattr(caught.value, "status", status) == status


class Filtered(Form):
    """An adapter that asks for one chain, which its responses name."""

    def build_request(self, *, now, nonce):
        """Ask for one chain."""
        headers = {"Authorization": f"Bearer {self.password.reveal()}"}
        return Request("GET", f"{self.base_url}/balances?network=ethereum-mainnet", headers)

    def read_response(self, response):
        """Read one balance from its chain and its amount."""

        def drafts(entries, place):
            for chain in entries:
                draft = BalanceDraft()
                draft.code = draft.currency = "ETH"
                draft.amount, draft.asset_type = Decimal(1), AssetType.CRYPTO
                draft.chain, draft.reference = read_chain(chain), None
                yield draft

        return finish_balances(self.account, self.provider, read_entries(response.body, "data", drafts))


@pytest.mark.parametrize("kept", [{}, {"network": "ethereum-mainnet"}], ids=["request", "adapter"])
async def test_a_name_that_was_asked_for_is_no_credential(wire, kept):
    """Short words are a credential only if they are marked as a secret."""
    wire.outcome = Response(200, body=b'{"data": ["ethereum-mainnet"]}')

    assert [balance.chain for balance in await Filtered(**kept).fetch_balances(None)] == ["ethereum-mainnet"]
    wire.outcome = Response(200, body=b'{"data": ["correct-horse-battery"]}')
    failure = await failure_of(Filtered(password=Secret("correct-horse-battery"), **kept))
    assert failure.message == "the response repeats a credential of the request"
