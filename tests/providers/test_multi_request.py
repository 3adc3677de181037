"""Adapters that send several requests for one read: pages, and a token that is kept."""

import base64
import copy
import inspect
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from yarl import URL

from balancekit import (
    AggregateClient,
    AuthenticationError,
    ConfigError,
    MalformedResponseError,
    MultiRequestProvider,
    RateLimit,
    Request,
    Response,
    Secret,
    Token,
)
from balancekit.http.fields import MAX_BALANCES
from balancekit.http.hints import HINTS
from balancekit.providers.multi_request import MAX_REQUESTS
from balancekit.testing import ProviderContract
from tests.support.loopback_origin import LoopbackOrigin, raw_response

TOKEN = "tok-9d1f4b7a6c3e"
SECRET = "client-secret-0123456789"
PAGE = 100


class Paged(MultiRequestProvider):
    """An adapter as a user would write it."""

    provider = "paged"

    def __init__(self, account, *, client: str, secret: str | Secret, base_url="https://paged.example"):
        self._secret, base_url = Secret.of(secret), Secret.of(base_url)
        del secret
        self._client = client
        super().__init__(account, base_url=base_url)

    def request_token(self, *, now, nonce):
        """Ask for a token."""
        login = base64.b64encode(f"{self._client}:{self._secret.reveal()}".encode()).decode()
        return Request("POST", f"{self.base_url}/token", {"Authorization": f"Basic {login}"})

    def read_token(self, response):
        """Read the token."""
        data = response.json()
        return Token(data["access_token"], expires_in=data["expires_in"])

    def exchange(self, *, now, nonces):
        """Read page after page."""
        token = yield from self.token(now=now, nonces=nonces)
        rows, page = [], "1"
        while page:
            headers = {"Authorization": f"Bearer {token}", "X-Nonce": next(nonces)}
            response = yield Request("GET", f"{self.base_url}/balances?page={page}", headers)
            rows += response.entries("rows")
            page = response.json().get("next")
        return [self.balance(row["code"], row["amount"]) for row in rows]


def page_of(*rows, following=None):
    """Return the response with one page."""
    return Response(200, body=json.dumps({"rows": rows, "next": following}).encode())


def token_of(text=TOKEN, expires_in=3600):
    """Return the response with a token."""
    return Response(200, body=json.dumps({"access_token": text, "expires_in": expires_in}).encode())


ROW = {"code": "EUR", "amount": "1.50"}


@pytest.fixture
def account():
    """Make an account."""
    return Paged("shop", client="client-1", secret=SECRET)


def ended_with(steps, response):
    """Send the last response to a generator, and return what it returns."""
    with pytest.raises(StopIteration) as caught:
        steps.send(response)
    return caught.value.value


class TestContract(ProviderContract):
    """It passes the contract, with pages and a token."""

    secrets = (SECRET, TOKEN)
    has_pages = True
    has_token = True
    repeats_currencies = True

    def make_provider(self, account, base_url):
        """Make an account."""
        return Paged(account, client="client-1", secret=SECRET, base_url=base_url)

    def play(self, request):
        """Give a token, or one page."""
        url = urlsplit(request.url)
        if url.path.endswith("/token"):
            return token_of()
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        (number,) = map(int, parse_qs(url.query)["page"])
        rows = [{"code": held.code, "amount": held.plain} for held in self.balances]
        following = str(number + 1) if rows[number * PAGE :] else None
        return page_of(*rows[(number - 1) * PAGE : number * PAGE], following=following)


def test_a_read_is_tested_without_an_event_loop(account):
    """Each request is looked at, and each response is made by the test."""
    steps = account.exchange(now=0, nonces=iter(["n1", "n2", "n3"]))

    assert next(steps).url == "https://paged.example/token"
    first = steps.send(token_of())
    assert (first.url, first.headers["Authorization"]) == ("https://paged.example/balances?page=1", f"Bearer {TOKEN}")
    assert steps.send(page_of(ROW, following="2")).url.endswith("page=2")
    assert [held.plain for held in ended_with(steps, page_of(ROW))] == ["1.50", "1.50"]


def test_a_token_is_used_until_shortly_before_it_expires(account):
    """A minute before, or a tenth of its time."""
    steps = account.exchange(now=1000, nonces=iter("abc"))
    next(steps)
    steps.send(token_of(expires_in=3600))

    assert "balances" in next(account.exchange(now=1000 + 3539, nonces=iter("abc"))).url
    assert next(account.exchange(now=1000 + 3540, nonces=iter("abc"))).url.endswith("/token")


class Named(Paged):
    """An adapter whose attributes have the names that come to mind."""

    def __init__(self, account, *, token: str | Secret, base_url="https://paged.example"):
        super().__init__(account, client="client-1", secret=SECRET, base_url=base_url)
        self._token, self._settings, self._error, self._read = Secret.of(token), {}, None, 0

    def exchange(self, *, now, nonces):
        """Read one page with the token."""
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        response = yield Request("GET", f"{self.base_url}/balances", headers)
        return [self.balance(row["code"], row["amount"]) for row in response.entries("rows")]


async def test_the_names_of_an_adapters_attributes_are_its_own(origin):
    """None is one of the base class: the token that was refused is used again, and tells accounts apart."""
    shop, till = (Named(label, token=TOKEN, base_url=origin.url) for label in ("shop", "till"))
    with pytest.raises(ConfigError, match="'till'"):
        AggregateClient([shop, till])
    async with AggregateClient([shop], attempts=1) as client:
        origin.response = raw_response(401, b"{}", "Connection: close")
        refused = await client.fetch()
        origin.response = raw_response(200, page_of(ROW).body, "Connection: close")
        merged = await client.fetch(strict=True)

    assert [type(failure.error) for failure in refused.failures] == [AuthenticationError]
    assert merged["EUR"].plain == "1.50"


def test_a_copy_has_nothing_that_was_learned_of_the_account(account):
    """It may be made into another account's: it asks for a token of its own, and is known by its own request."""
    steps = account.exchange(now=0, nonces=iter("abc"))
    next(steps)
    steps.send(token_of())
    before = account.fingerprint

    other = copy.copy(account)
    other.account, other._secret = "till", Secret("another-secret-0123456789")

    assert next(other.exchange(now=0, nonces=iter("abc"))).url.endswith("/token")
    assert other.fingerprint not in {before, ""}


def test_a_copy_keeps_the_fingerprint_that_it_was_given(account):
    """What a user has set is no guess of the library's."""
    account.fingerprint = "shop in Berlin"

    assert copy.copy(account).fingerprint == "shop in Berlin"


def test_an_account_is_known_by_its_first_request_whether_it_has_a_token_or_not(account):
    """Its fingerprint does not change with what it has read."""
    before = account.fingerprint
    steps = account.exchange(now=0, nonces=iter("abc"))
    next(steps)
    steps.send(token_of())
    vars(account).pop("fingerprint")
    vars(account).pop("request_identity")

    assert before == account.fingerprint != ""


@pytest.mark.parametrize(
    ("text", "expires_in", "message"),
    [
        (None, 60, "token: expected text, got None"),
        ("", 60, "token: expected text, got an empty one"),
        ("a\nb", 60, "token: expected one line, got 2"),
        (TOKEN, None, "expires_in: expected a number of seconds, got null"),
        (TOKEN, 0, "expires_in: expected a number of seconds, got a number"),
        (TOKEN, True, "expires_in: expected a number of seconds, got a boolean"),
        (TOKEN, "soon", "expires_in: expected a number of seconds, got a string"),
    ],
)
def test_a_token_that_cannot_be_used_is_refused(text, expires_in, message):
    """The message does not show it."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        Token(text, expires_in=expires_in)


def test_a_token_is_not_shown():
    """Neither by its repr nor by that of the account that keeps it."""
    assert TOKEN not in repr(Token(TOKEN, expires_in="60.5"))


def iter_requests(*requests):
    """Yield requests, and return no balances."""
    for request in requests:  # noqa: UP028 - the iterator of a tuple is sent nothing
        yield request
    return []


class TakesNames(MultiRequestProvider):
    """An adapter that calls what it keeps by the names that come to mind first, one of them in a slot."""

    __slots__ = ("_client",)

    provider = "names"

    def __init__(self, account, *, token, client="c1", base_url="https://names.example"):
        self._token, self._client, self._settings, self._last_read = Secret.of(token), client, {}, None
        super().__init__(account, base_url=base_url)

    def exchange(self, *, now, nonces):
        """Read one page."""
        token = f"Bearer {self._token.reveal()}"
        response = yield Request("GET", f"{self.base_url}/{self._client}", {"Authorization": token})
        return [self.balance(row["code"], row["amount"]) for row in response.entries("rows")]


def test_an_adapter_may_call_its_attributes_as_it_likes():
    """Two labels of one account are known for that all the same."""
    with pytest.raises(ConfigError, match="counted twice"):
        AggregateClient([TakesNames(label, token=SECRET) for label in ("a", "b")])
    AggregateClient([TakesNames(label, token=SECRET, client=label) for label in ("a", "b")])


async def test_a_refused_credential_is_kept_whatever_the_adapter_calls_it(origin):
    """What a 401 ends is a token that was fetched, and nothing else."""
    origin.response = raw_response(401, b"{}")
    async with AggregateClient([TakesNames("a", token=SECRET, base_url=origin.url)]) as client:
        (failure,) = (await client.fetch()).failures
        origin.response = raw_response(200, json.dumps({"rows": [ROW]}).encode())
        merged = await client.fetch()

    assert (type(failure.error), merged["EUR"].plain) == (AuthenticationError, "1.50")


@pytest.fixture
async def origin():
    """Start a server that responds with an empty page."""
    origin = LoopbackOrigin()
    origin.response = raw_response(200, b"{}", "Connection: close")
    await origin.start()
    yield origin
    await origin.stop()


def repeating(origin, number):
    """Make an account that sends so many requests."""
    account = Paged("shop", client="client-1", secret=SECRET, base_url=origin.url)
    account.exchange = lambda now, nonces: iter_requests(*[Request("GET", f"{origin.url}/")] * number)
    return account


@pytest.mark.parametrize("url", ["https://evil.example/balances", "http://127.0.0.1:1/balances"])
async def test_no_request_goes_to_another_origin(session, origin, url):
    """The URL of a next page may come from a response, and the token would go along."""
    account = repeating(origin, 1)
    account.exchange = lambda now, nonces: iter_requests(Request("GET", f"{origin.url}/"), Request("GET", url))

    with pytest.raises(MalformedResponseError, match="another origin"):
        await account.fetch_balances(session)


async def test_other_origins_may_be_declared(account, session, origin):
    """A token often comes from another host."""
    account.other_origins = (origin.url,)
    account.exchange = lambda now, nonces: iter_requests(Request("GET", f"{origin.url}/token"))

    assert await account.fetch_balances(session) == ()


async def test_pages_that_do_not_end_are_malformed(session, origin):
    """A read has a hundred requests at most."""
    with pytest.raises(MalformedResponseError, match=f"more than {MAX_REQUESTS} requests"):
        await repeating(origin, MAX_REQUESTS + 1).fetch_balances(session)
    assert len(origin.requests) == MAX_REQUESTS


async def test_pages_of_more_balances_than_an_account_may_have_are_malformed(session, origin):
    """An account has as many as one response may have: to merge more would keep all others waiting."""
    origin.response = raw_response(200, page_of(*[ROW] * MAX_BALANCES).body, "Connection: close")

    def read(now, nonces):
        rows = []
        for page in range(pages):
            response = yield Request("GET", f"{origin.url}/{page}")
            rows += response.entries("rows")
        return [account.balance(row["code"], row["amount"]) for row in rows]

    account = repeating(origin, 1)
    account.exchange = read

    pages = 1
    assert len(await account.fetch_balances(session)) == MAX_BALANCES
    pages = 2
    with pytest.raises(MalformedResponseError, match=f"more than {MAX_BALANCES} balances"):
        await account.fetch_balances(session)


@pytest.mark.parametrize("requests", [1, 2])
async def test_each_request_has_a_permit(origin, requests):
    """A limit counts requests, not reads: under one that all permits cannot be had in time, the read times out."""
    limits = {origin.url: RateLimit(requests, per=60)}
    async with AggregateClient([repeating(origin, 3)], rate_limits=limits, timeout=1.0, attempts=1) as client:
        merged = await client.fetch()

    assert not merged.complete
    assert len(origin.requests) == requests


async def test_each_request_after_a_refused_token_has_a_permit(origin):
    """Also the first of the second try, for which the client has none."""
    body = {"access_token": TOKEN, "expires_in": 3600, "rows": []}
    origin.response = raw_response(200, json.dumps(body).encode(), "Connection: close")
    account = Paged("shop", client="client-1", secret=SECRET, base_url=origin.url)
    limits = {origin.url: RateLimit(3, per=60)}
    async with AggregateClient([account], rate_limits=limits, timeout=1.0, attempts=1) as client:
        await client.fetch(strict=True)
        origin.response = raw_response(401, b"{}", "Connection: close")
        await client.fetch()

    assert len(origin.requests) == 3


async def test_a_read_under_a_limit_that_allows_it_is_complete(origin):
    """The permits are exchanged one after another, so that a read needs no more than one at a time."""
    limits = {origin.url: RateLimit(1, per=0.01)}
    async with AggregateClient([repeating(origin, 3)], rate_limits=limits, attempts=1) as client:
        await client.fetch(strict=True)

    assert len(origin.requests) == 3


async def test_what_is_no_request_is_an_error_of_the_account(account, session):
    """The note names what was yielded."""
    account.exchange = lambda now, nonces: iter_requests(URL("https://paged.example"))

    with pytest.raises(Exception, match="URL, expected a Request"):
        await account.fetch_balances(session)


def test_reading_by_hand_is_the_work_of_the_generator(account):
    """The two methods of the form of one request are there, and read nothing."""
    assert account.build_request(now=0, nonce="n").url.endswith("/token")
    with pytest.raises(NotImplementedError, match="exchange reads"):
        account.read_response(page_of())


async def test_a_client_shows_where_the_adapter_raised_and_what(origin):
    """As it does for an adapter of one request: the place and the hint are whole."""

    def read(now, nonces):
        response = yield Request("GET", f"{origin.url}/")
        return response.json()["rows"]

    account = repeating(origin, 1)
    account.exchange = read

    async with AggregateClient([account]) as client:
        (failure,) = (await client.fetch()).failures

    line = inspect.getsourcelines(read)[1] + 2
    assert f"Look at {__file__}:{line} in read, which raised KeyError: 'rows'" in str(failure.error)
    assert str(failure.error).endswith(HINTS[MalformedResponseError])
