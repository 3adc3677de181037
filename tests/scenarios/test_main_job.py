"""The main job over real sockets: real signatures, real bytes, both APIs, several accounts."""

import asyncio
import base64
import hashlib
import hmac
import logging
import pickle
import re
import socket
import time
import traceback
from contextlib import asynccontextmanager
from decimal import Decimal

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key

from balancekit import (
    AggregateClient,
    AssetType,
    AuthenticationError,
    BadRequestError,
    CryptoprocessingProvider,
    GetManyProvider,
    MalformedResponseError,
    MergedBalances,
    ProviderTimeoutError,
    RateLimitedError,
    RetryPolicy,
    ServiceUnavailableError,
    TransportError,
    UnexpectedRedirectError,
)
from balancekit.http import transport
from balancekit.sandbox import Fault, Holding, Sandbox

PROVIDERS = {"cryptoprocessing": CryptoprocessingProvider, "getmany": GetManyProvider}
LONG = "123456789012345678901234567890123456789012.345678901234567891"


def _client(*accounts, **settings):
    """Make a client for accounts of a sandbox that does not wait between attempts."""
    retry = RetryPolicy(settings.pop("attempts", 3), first=0.0)
    providers = [PROVIDERS[one.provider](one.label, **one.settings) for one in accounts]
    return AggregateClient(providers, retry=retry, **settings)


@pytest.fixture
def shop(sandbox):
    """One account at Cryptoprocessing."""
    return sandbox.add_cryptoprocessing("shop", {"BTC": "0.04", "EUR": "10000"})


@pytest.fixture
def till(sandbox):
    """One account at getMany."""
    return sandbox.add_getmany("till", [Holding("BTC", "1", decimals=8), Holding("USD", "250", decimals=6)])


@pytest.fixture(params=["shop", "till"])
def account(request):
    """Be one account at either provider."""
    return request.getfixturevalue(request.param)


async def test_accounts_at_both_providers_are_merged_by_currency(shop, till):
    """Balances of both APIs are read over HTTP with real signatures and added exactly."""
    async with _client(shop, till) as client:
        merged = await client.fetch(strict=True)

    assert [(total.currency, str(total.amount), total.asset_type) for total in merged] == [
        ("BTC", "1.04000000", AssetType.CRYPTO),
        ("EUR", "10000", AssetType.FIAT),
        ("USD", "250.000000", AssetType.FIAT),
    ]


@pytest.mark.parametrize("as_numbers", [False, True], ids=["strings", "numbers"])
async def test_sixty_digits_arrive_whole(sandbox, as_numbers):
    """No digit is lost between the provider and the total, whether it is sent as text or as a number."""
    first = sandbox.add_cryptoprocessing("a", {"BTC": LONG}, balances_as_numbers=as_numbers)
    second = sandbox.add_getmany("b", {"BTC": LONG})

    async with _client(first, second) as client:
        merged = await client.fetch(strict=True)

    assert str(merged.amount("BTC")) == "246913578024691357802469135780246913578024.691357802469135782"


async def test_a_wrong_secret_costs_the_others_nothing(sandbox, shop, till):
    """The account with the wrong secret is named with the provider's code and a hint; the others are read."""
    wrong = sandbox.add_cryptoprocessing("wrong", {"BTC": "7"})
    wrong.secret = "changed-at-the-provider"
    provider = CryptoprocessingProvider("wrong", **(wrong.settings | {"secret": "the-old-one"}))
    good = [PROVIDERS[one.provider](one.label, **one.settings) for one in (shop, till)]

    async with AggregateClient([provider, *good]) as client:
        merged = await client.fetch()

    (failure,) = merged.failures
    assert merged.amount("BTC") == Decimal("1.04")
    assert isinstance(failure.error, AuthenticationError)
    assert (failure.account, failure.error.status, failure.error.code) == ("wrong", 403, "bad_header_signature")
    assert failure.error.hint == "Check that the secret belongs to the key"


async def test_the_bytes_signed_are_the_bytes_sent_to_cryptoprocessing(sandbox, shop):
    """The signature that arrives is that of the body that arrives."""
    async with _client(shop) as client:
        await client.fetch(strict=True)

    (sent,) = sandbox.requests
    signature = hmac.new(shop.settings["secret"].encode(), sent.body, hashlib.sha512).hexdigest()
    assert (sent.method, sent.path, sent.body) == ("POST", "/api/v2/accounts/list", b"{}")
    assert sent.headers["X-Processing-Signature"] == signature
    assert sent.headers["X-Processing-Key"] == shop.settings["key"]
    assert sent.headers.getall("Content-Type") == ["application/json"]


async def test_the_bytes_signed_are_the_bytes_sent_to_getmany(sandbox, till):
    """The signature that arrives verifies over the headers, the path and the body that arrive."""
    async with _client(till) as client:
        await client.fetch(strict=True)

    (sent,) = sandbox.requests
    key_id, timestamp, nonce = (sent.headers[f"Bs-{name}"] for name in ("Key-Id", "Timestamp", "Nonce"))
    counted = ":".join(f"{len(part)}:{part}" for part in (key_id, timestamp, nonce))
    text = f"{counted}:POST:{len(sent.path)}:{sent.path}:"
    key = load_der_private_key(base64.b64decode(till.settings["signing_key"]), None).public_key()
    key.verify(base64.b64decode(sent.headers["Bs-Signature"]), text.encode())
    assert (sent.path, sent.body, sent.headers["Content-Length"]) == ("/account.balance.getMany", b"", "0")
    assert "Content-Type" not in sent.headers
    assert "Content-Digest" not in sent.headers


async def test_two_hundred_requests_have_two_hundred_nonces(sandbox, till):
    """No nonce is ever used twice, however many requests are sent at once."""
    async with _client(till) as client:
        await asyncio.gather(*(client.fetch(strict=True) for _ in range(200)))

    nonces = {request.headers["Bs-Nonce"] for request in sandbox.requests}
    assert len(nonces) == len(sandbox.requests) == 200
    assert {len(base64.b64decode(nonce)) for nonce in nonces} == {16}


async def test_a_retry_is_signed_anew(sandbox, till):
    """Every attempt has its own nonce and signature, and the provider takes each."""
    sandbox.fail("till", Fault(status=503), times=2)

    async with _client(till) as client:
        await client.fetch(strict=True)

    assert [request.status for request in sandbox.requests] == [503, 503, 200]
    assert len({request.headers["Bs-Signature"] for request in sandbox.requests}) == 3


async def test_an_account_behind_a_signing_gateway_sends_no_credentials(sandbox):
    """Without a key the requests go unsigned, to whatever path the gateway has."""
    behind = sandbox.add_getmany("behind", {"USD": "5"}, signed=False)

    async with _client(behind) as client:
        merged = await client.fetch(strict=True)

    assert merged.amount("USD") == 5
    assert not [name for name in sandbox.requests[0].headers if name.lower().startswith("bs-")]


async def test_a_wrong_clock_is_corrected_once_and_remembered(sandbox, till, caplog):
    """A refused timestamp is signed anew with the provider's time, which is then known for all accounts of the host."""
    caplog.set_level(logging.WARNING)
    other = sandbox.add_getmany("other", {"USD": "1"})
    providers = [GetManyProvider(one.label, **one.settings) for one in (till, other)]
    for provider in providers:
        provider.clock = lambda: time.time() - 3600

    async with AggregateClient(providers, attempts=1) as client:
        first, again = await client.fetch(["till"]), await client.fetch()

    assert first.complete
    assert again.complete
    assert [request.error for request in sandbox.requests] == ["stale_timestamp", None, None, None]
    (record,) = caplog.records
    # A `Date` is told in whole seconds.
    assert re.fullmatch(rf"the clock of {sandbox.address} is \+(3599|3600) s from .*", record.message)


async def test_a_wrong_key_is_not_tried_again(sandbox, till):
    """Where the clock is right, a refused signature is final."""
    stranger = sandbox.add_getmany("stranger")
    provider = GetManyProvider("till", **(till.settings | {"signing_key": stranger.settings["signing_key"]}))

    async with AggregateClient([provider]) as client:
        (failure,) = (await client.fetch()).failures

    assert (failure.error.status, failure.error.code) == (401, "invalid_signature")
    assert "clock" in failure.error.hint
    assert len(sandbox.requests) == 1


async def test_a_wrong_key_and_a_wrong_clock_are_tried_once_more(sandbox, till):
    """After the clock is corrected the key is judged, and that is final."""
    stranger = sandbox.add_getmany("stranger")
    provider = GetManyProvider("till", **(till.settings | {"signing_key": stranger.settings["signing_key"]}))
    provider.clock = lambda: 0.0

    async with AggregateClient([provider]) as client:
        (failure,) = (await client.fetch()).failures

    assert failure.error.code == "invalid_signature"
    assert len(sandbox.requests) == 2


async def test_a_connection_that_died_while_it_was_kept_is_replaced_at_once(sandbox, account):
    """The first request after some idle time does not fail, and does not use up an attempt."""
    async with _client(account, attempts=1) as client:
        await client.fetch(strict=True)
        sandbox.fail(account.label, Fault(raw=b""))
        merged = await client.fetch()

    assert merged.complete
    assert len(sandbox.requests) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        (Fault(status=400), BadRequestError, 1),
        (Fault(status=401), AuthenticationError, 1),
        (Fault(status=403), AuthenticationError, 1),
        (Fault(status=404), BadRequestError, 1),
        (Fault(status=418, body='{"errors": {"teapot": "short and stout"}}'), BadRequestError, 1),
        (Fault(status=429), RateLimitedError, 3),
        (Fault(status=500), ServiceUnavailableError, 3),
        (Fault(status=502, body="<h1>502</h1>", headers={"Content-Type": "text/html"}), ServiceUnavailableError, 3),
        (Fault(status=302, headers={"Location": "https://evil.example/"}), UnexpectedRedirectError, 1),
        (Fault(status=204), MalformedResponseError, 1),
        (Fault(status=200, body=""), MalformedResponseError, 1),
        (Fault(status=200, body="<html>maintenance</html>"), MalformedResponseError, 1),
        (Fault(status=200, body='{"data": {}}'), MalformedResponseError, 1),
        (Fault(status=200, body="[" * 100_000), MalformedResponseError, 1),
        (Fault(cut_after=5), TransportError, 3),
        (Fault(raw=b""), TransportError, 4),
        (Fault(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), TransportError, 3),
        (Fault(hang=True), ProviderTimeoutError, 3),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)  # fmt: skip
async def test_every_fault_is_the_error_of_its_account_alone(sandbox, account, fault, kind, requests):
    """Whatever one account's provider does, its error has the right class and the other account is read."""
    other = sandbox.add_cryptoprocessing("other", {"BTC": "1"})
    sandbox.fail(account.label, fault, times=requests)

    async with _client(account, other, timeout=0.2) as client:
        merged = await client.fetch()

    (failure,) = merged.failures
    assert (failure.account, type(failure.error)) == (account.label, kind)
    assert [snapshot.account for snapshot in merged.accounts] == ["other"]
    assert len([request for request in sandbox.requests if request.account == account.label]) == requests


async def test_a_provider_that_cannot_be_reached_is_named(shop):
    """Nobody listens: the error says so, and the others are read."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        lost = GetManyProvider("lost", base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        async with _client(shop) as client, AggregateClient([lost], attempts=1) as other:
            merged = await client.fetch() | await other.fetch()

    (failure,) = merged.failures
    assert isinstance(failure.error, TransportError)
    assert "Cannot connect" in str(failure.error)
    assert not merged.complete


async def test_retry_after_reaches_the_caller(sandbox, shop):
    """Where waiting would pass the deadline, the caller learns at once when to come back."""
    sandbox.fail("shop", Fault(status=503, headers={"Retry-After": "120"}))

    async with _client(shop) as client:
        (failure,) = (await client.fetch()).failures

    assert failure.error.retry_after == 120
    assert len(sandbox.requests) == 1


async def test_the_deadline_returns_what_has_arrived(sandbox, shop, till):
    """One provider that never answers holds nobody beyond the deadline."""
    sandbox.fail("till", Fault(hang=True))

    async with _client(shop, till, deadline=0.3) as client:
        started = asyncio.get_running_loop().time()
        merged = await client.fetch()
        took = asyncio.get_running_loop().time() - started

    assert merged.amount("EUR") == 10000
    assert isinstance(merged.failures[0].error, ProviderTimeoutError)
    assert 0.3 <= took < 1.0


async def test_cancelling_leaves_no_task_and_a_usable_client(sandbox_in_thread):
    """A caller that gives up takes its requests with it."""
    shop = sandbox_in_thread.add_cryptoprocessing("shop", {"BTC": "1"})
    sandbox_in_thread.fail("shop", Fault(hang=True))

    async with _client(shop) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.fetch()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        merged = await client.fetch()

    assert merged.complete


async def test_a_lent_session_with_habits_of_its_own_changes_nothing(sandbox, shop):
    """A session that raises for statuses still gives the provider's own words."""
    sandbox.fail("shop", Fault(status=400))

    async with aiohttp.ClientSession(raise_for_status=True) as session, _client(shop, session=session) as client:
        (failure,) = (await client.fetch()).failures

    assert failure.error.code == "bad_content_format"


async def test_balances_that_change_are_read_anew(shop):
    """Each fetch reads the accounts as they are."""
    async with _client(shop) as client:
        await client.fetch()
        shop.set("BTC", "0.05")
        merged = await client.fetch()

    assert merged.amount("BTC") == Decimal("0.05")


FAULTS = [
    Fault(status=400), Fault(status=403), Fault(status=429), Fault(status=503), Fault(status=302, headers={"Location": "https://evil.example/"}),
    Fault(raw=b"nonsense\r\n\r\n"), Fault(raw=b""), Fault(cut_after=5), Fault(hang=True),
    Fault(body="{"), Fault(body="x" * 11 * 2**20),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
async def test_no_secret_is_in_an_error_however_it_is_shown(sandbox, account, fault, caplog):
    """Message, repr, traceback with local variables, log and pickle of every failure show no key and no signature."""
    caplog.set_level(logging.DEBUG)
    sandbox.fail(account.label, fault, times=2)

    async with _client(account, attempts=1, timeout=0.2) as client:
        merged = await client.fetch()

    sent = sandbox.requests[-1]
    canaries = {account.settings.get("secret"), account.settings.get("signing_key"), account.settings.get("key")}
    canaries |= {sent.headers.get("X-Processing-Signature"), sent.headers.get("Bs-Signature")}
    (failure,) = merged.failures
    shown = [caplog.text, repr(merged), repr(client), merged.to_json(), repr(pickle.dumps(merged))]
    shown += [_shown(error) for error in _chain(failure.error)]
    assert [canary for canary in canaries - {None} if any(canary in text for text in shown)] == []


def _chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _shown(error):
    formatted = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return f"{error} {error!r} {error.args!r} {vars(error)!r} {''.join(formatted)}"


async def test_an_echoed_key_is_blotted_out(sandbox, shop):
    """A debugging server that sends back what it received does not put the key into a message."""
    sandbox.fail("shop", Fault(status=500, body=f"received {shop.settings['key']} from you"))

    async with _client(shop, attempts=1) as client:
        (failure,) = (await client.fetch()).failures

    assert failure.error.message == "500: received *** from you"


async def test_a_result_read_over_http_survives_json_and_pickle(shop, till):
    """What was read can be stored and sent on without losing anything."""
    async with _client(shop, till) as client:
        merged = await client.fetch()

    assert MergedBalances.from_json(merged.to_json()) == merged
    assert pickle.loads(pickle.dumps(merged)) == merged


async def test_a_refusal_whose_words_never_come_is_still_a_refusal(sandbox, shop, monkeypatch):
    """A wrong key is not tried again because the body of its 403 stalls."""
    monkeypatch.setattr(transport, "_ERROR_BODY_TIMEOUT", 0.05)
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n"
    async with (
        _stalling_server(head) as url,
        AggregateClient([CryptoprocessingProvider("shop", **(shop.settings | {"base_url": url}))]) as client,
    ):
        (failure,) = (await client.fetch()).failures

    assert isinstance(failure.error, AuthenticationError)


@asynccontextmanager
async def _stalling_server(head):
    done = asyncio.Event()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        await done.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()
        await server.wait_closed()


async def test_a_cancelled_request_carries_no_frames_of_the_one_below(sandbox, account):
    """A caller's own timeout around one provider shows no header in its traceback."""
    sandbox.fail(account.label, Fault(hang=True))
    provider = PROVIDERS[account.provider](account.label, **account.settings)

    async with aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(provider.fetch_balances(session), 0.1)

    # Before anything secret is a variable of this test, whose frame is in the traceback as well.
    shown = "".join(_shown(error) for error in _chain(caught.value))
    (sent,) = sandbox.requests
    canaries = {sent.headers.get("X-Processing-Signature"), sent.headers.get("Bs-Signature")} - {None}
    assert canaries
    assert not any(canary in shown for canary in canaries)


async def test_an_adapters_own_mistake_shows_where_it_is_and_no_key(shop):
    """A bug in building a request is named by file and line, without the variables around it."""

    class Buggy(CryptoprocessingProvider):
        def build_request(self, *, now, nonce):
            key = self._key.reveal()
            raise NameError(f"a bug after {len(key)} characters")

    async with AggregateClient([Buggy("shop", **shop.settings)]) as client:
        (failure,) = (await client.fetch()).failures

    assert failure.error.message == "NameError while building the request"
    assert "test_main_job.py" in failure.error.__notes__[0]
    assert shop.settings["key"] not in "".join(_shown(error) for error in _chain(failure.error))


@pytest.mark.parametrize(("trust_env", "read"), [(False, True), (True, False)], ids=["by default", "asked for"])
async def test_no_proxy_of_the_environment_sees_a_key_in_the_clear(sandbox, shop, monkeypatch, trust_env, read):
    """Proxies are used only if they are asked for, and never for what is not encrypted."""
    async with Sandbox() as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with _client(shop, trust_env=trust_env) as client:
            merged = await client.fetch()

        assert proxy.requests == ()
    assert merged.complete is read
    assert [failure.error.message for failure in merged.failures] == (
        [] if read else ["http:// through a proxy would send credentials in the clear"]
    )
