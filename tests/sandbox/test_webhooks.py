"""The webhooks that the sandbox sends, as a receiver on a real socket sees them."""

import asyncio
import base64
import decimal
import hashlib
import hmac
import json
from decimal import Decimal

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from multidict import CIMultiDict

from balancekit import AggregateClient, CryptoprocessingProvider, GetManyProvider
from balancekit.sandbox import Holding, Sandbox
from balancekit.sandbox.cryptoprocessing_webhooks import sign_body
from balancekit.sandbox.getmany_webhooks import encode_public_key, sign_webhook

NOW = 1767225600
MINUTE, HOUR = 60.0, 3600.0
PROVIDERS = ("cryptoprocessing", "getmany")
COMMON = (
    "body-changed",
    "body-truncated",
    "not-json",
    "signature-missing",
    "signature-malformed",
    "signature-repeated",
    "wrong-key",
)
REFUSALS = {
    "body-changed": "signature",
    "body-truncated": "signature",
    "not-json": "JSON",
    "signature-missing": "headers",
    "signature-malformed": "signature",
    "signature-repeated": "headers",
    "wrong-key": "signature",
    "key-missing": "headers",
    "key-changed": "key",
    "id-missing": "headers",
    "id-changed": "signature",
    "timestamp-missing": "headers",
    "timestamp-changed": "signature",
    "timestamp-old": "timestamp",
    "timestamp-future": "timestamp",
}
OWN = {
    "cryptoprocessing": ("key-missing", "key-changed"),
    "getmany": (
        "id-missing",
        "id-changed",
        "timestamp-missing",
        "timestamp-changed",
        "timestamp-old",
        "timestamp-future",
    ),
}
TAMPERED = [(provider, tamper) for provider in PROVIDERS for tamper in (*COMMON, *OWN[provider])]


class Receiver:
    """A merchant's server: it keeps what it got and answers 200, unless it was told something else."""

    def __init__(self):
        """Begin with nothing received."""
        self.received = []
        self.answers = []
        self.url = ""
        self.awake = asyncio.Event()
        self.awake.set()

    async def handle(self, request):
        """Answer with the next status, once it is awake."""
        self.received.append((request.path, CIMultiDict(request.headers), await request.read()))
        await self.awake.wait()
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": f"{self.url}/elsewhere"})

    @property
    def documents(self):
        """The bodies, decoded."""
        return [json.loads(body) for _, _, body in self.received]

    def values_of(self, name):
        """Return one header of everything received."""
        return [headers.get(name) for _, headers, _ in self.received]


class Naps:
    """What waits between attempts: it notes how long and does not, unless it is held."""

    def __init__(self):
        """Begin with nothing waited."""
        self.taken = []
        self.held = False

    async def __call__(self, seconds):
        """Return at once."""
        self.taken.append(seconds)
        if self.held:
            await asyncio.Event().wait()


def refusal(account, headers, body, *, now=NOW):
    """Return what a receiver refuses a delivery for, None if it is genuine: written from the specification alone."""
    check = {"cryptoprocessing": callback_refusal, "getmany": standard_refusal}[account.provider]
    reason = check(account.settings, headers, body, now)
    if reason is None:
        try:
            json.loads(body)
        except ValueError:
            return "JSON"
    return reason


def callback_refusal(settings, headers, body, now):
    """Check a callback of Cryptoprocessing; it has no time."""
    keys, signatures = (headers.getall(name, []) for name in ("X-Processing-Key", "X-Processing-Signature"))
    if len(keys) != 1 or len(signatures) != 1:
        return "headers"
    if keys != [settings["key"]]:
        return "key"
    expected = hmac.new(settings["secret"].encode(), body, hashlib.sha512).hexdigest()
    return None if signatures == [expected] else "signature"


def standard_refusal(settings, headers, body, now):
    """Check a Standard Webhook signed with Ed25519."""
    sent = [headers.getall(name, []) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")]
    if any(len(values) != 1 for values in sent):
        return "headers"
    (event_id,), (timestamp,), (signature,) = sent
    if not -5 <= now - int(timestamp) <= 300:
        return "timestamp"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(settings["webhook_key"]))
    try:
        encoded = signature.removeprefix("v1a,").encode()
        key.verify(base64.b64decode(encoded, validate=True), f"{event_id}.{timestamp}.".encode() + body)
    except (InvalidSignature, ValueError):
        return "signature"
    return None


@pytest.fixture
async def receiver():
    """Run a receiver on a free port."""
    running = Receiver()
    runner = web.ServerRunner(web.Server(running.handle, handler_cancellation=True), shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield running
    await runner.cleanup()


@pytest.fixture
def naps():
    """Return the waiting between attempts."""
    return Naps()


@pytest.fixture
async def sandbox(clock, naps):
    """Run a sandbox that never waits."""
    async with Sandbox(clock=clock, sleep=naps) as started:
        yield started


@pytest.fixture
def add(sandbox, receiver):
    """Add an account whose webhooks go to the receiver."""

    def add(provider, holdings=(), label="shop", **more):
        return getattr(sandbox, f"add_{provider}")(label, holdings, webhook_url=f"{receiver.url}/{label}", **more)

    return add


def test_a_published_callback_comes_out():
    """The provider's own example of a signature is what the sandbox makes of it."""
    signature = sign_body("AbCdEfG123456", b'{"currency":"BTC","foreign_id":"123456"}')

    assert signature == (
        "03c25fcf7cd35e7d995e402cd5d51edd72d48e1471e865907967809a0c189ba5"
        "5b90815f20e2bb10f82c7a9e9d865546fda58989c2ae9e8e2ff7bc29195fa1ec"
    )


def test_a_known_standard_webhook_comes_out():
    """The vector of the specification is what the sandbox makes of its parts."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    body = b'{"type":"transaction.updated","data":{"id":"tx_1","status":"COMPLETED"}}'

    assert encode_public_key(key) == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert sign_webhook(key, "msg_2b", str(NOW), body) == (
        "v1a,bQt6wiYN5iRcg17aI0f4X8zkn9HqbHwLpmBir9+2S/+i18utQTYSi6rXKrE157fCi9KF5qxDwOJ4F4nB6poQBw=="
    )


async def test_a_settlement_at_getmany_is_told(sandbox, add, receiver):
    """The account holds more, and the webhook says that a transaction is completed, in the smallest unit."""
    account = add("getmany", [Holding("USDC", "12.5", decimals=6, chain="solana")])

    delivery = await sandbox.settle("shop", "USDC", "0.25")

    (path, headers, body), document = receiver.received[0], receiver.documents[0]
    assert account.holdings == (Holding("USDC", "12.75", decimals=6, chain="solana"),)
    assert (path, headers["Content-Type"], refusal(account, headers, body)) == ("/shop", "application/json", None)
    assert (document["type"], document["data"]["status"]) == ("transaction.updated", "COMPLETED")
    assert document["data"]["amount"] == {"value": "250000", "code": "USDC", "decimals": 6, "chain": "solana"}
    assert (delivery.accepted, len(receiver.received)) == (True, 1)


async def test_a_settlement_at_cryptoprocessing_is_told(sandbox, add, receiver):
    """The account holds more, and the callback says that a deposit is confirmed."""
    account = add("cryptoprocessing", {"BTC": "0.04"})

    delivery = await sandbox.settle(account, "BTC", "0.010")

    _, headers, body = receiver.received[0]
    amount = {"currency": "BTC", "amount": "0.010"}
    assert account.holdings == (Holding("BTC", "0.050"),)
    assert (headers["Content-Type"], refusal(account, headers, body)) == ("application/json", None)
    assert receiver.documents == [
        {
            "id": delivery.transaction,
            "type": "deposit",
            "status": "confirmed",
            "currency_sent": amount,
            "currency_received": amount,
        }
    ]


@pytest.mark.parametrize(
    ("provider", "adapter"),
    [("cryptoprocessing", CryptoprocessingProvider), ("getmany", GetManyProvider)],
    ids=PROVIDERS,
)
async def test_a_client_reads_what_was_settled(sandbox, add, provider, adapter):
    """The sum is what the account's adapter reports afterwards; the settings are those of the adapter's constructor."""
    account = add(provider, {"BTC": "1.0"})

    await sandbox.settle(account, "BTC", "0.25")

    async with AggregateClient([adapter("shop", **account.settings)]) as client:
        assert (await client.fetch()).amount("BTC") == Decimal("1.25")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_what_is_settled_can_leave_the_account(sandbox, add, receiver, provider):
    """A negative amount takes away, below zero too."""
    account = add(provider, {"EUR": "10.00"})

    await sandbox.settle(account, "EUR", Decimal("-12.50"))

    assert account.holdings == (Holding("EUR", "-2.50"),)
    document = receiver.documents[0]
    if provider == "getmany":
        assert document["data"]["amount"]["value"] == "-1250"
    else:
        assert (document["type"], document["currency_sent"]["amount"]) == ("withdrawal", "12.50")


async def test_a_settlement_is_exact(sandbox, add):
    """However few digits the caller's context keeps, none is lost."""
    account = add("cryptoprocessing", {"EUR": "123456789012345678901234567890"})

    with decimal.localcontext(prec=5):
        await sandbox.settle(account, "EUR", "0.123456789012345678901234567891")

    assert account.holdings[0].plain == "123456789012345678901234567890.123456789012345678901234567891"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_currency_that_was_not_held_is_held_then(sandbox, add, provider):
    """A new currency is a new holding, and so is another chain of one."""
    account = add(provider, [Holding("USDC", "1", chain="solana")])

    await sandbox.settle(account, "USDC", "2", chain="base")
    await sandbox.settle(account, "ETH", "3")

    assert account.holdings[1:] == (Holding("USDC", "2", chain="base"), Holding("ETH", "3"))


@pytest.mark.parametrize(
    ("provider", "status", "told"),
    [
        ("cryptoprocessing", None, ("deposit", "not_confirmed")),
        ("cryptoprocessing", "cancelled", ("deposit", "cancelled")),
        ("getmany", None, ("transaction.created", "PENDING")),
        ("getmany", "FAILED", ("transaction.updated", "FAILED")),
    ],
    ids=["not-confirmed", "cancelled", "pending", "failed"],
)
async def test_an_announcement_changes_nothing(sandbox, add, receiver, provider, status, told):
    """What is pending, or failed, is told in the provider's words, and the account holds what it held."""
    account = add(provider, {"BTC": "1"})

    delivery = await sandbox.announce("shop", "BTC", "2", status=status)

    document = receiver.documents[0]
    assert (document["type"], document.get("data", document)["status"]) == told
    assert delivery.status == told[1]
    assert refusal(account, *receiver.received[0][1:]) is None
    assert account.holdings == (Holding("BTC", "1"),)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_transaction_is_announced_and_then_settled(sandbox, add, receiver, provider):
    """Both events have the transaction's id, and another transaction has another."""
    add(provider)

    announced = await sandbox.announce("shop", "BTC", "1")
    await sandbox.settle("shop", "BTC", "1", transaction=announced.transaction)
    await sandbox.settle("shop", "BTC", "1")

    first, second, third = [document.get("data", document)["id"] for document in receiver.documents]
    assert first == second != third
    if provider == "getmany":
        assert len(set(receiver.values_of("webhook-id"))) == 3


@pytest.mark.parametrize(
    ("provider", "schedule"),
    [
        ("cryptoprocessing", [MINUTE * n for n in (1, 5, 15, 30, 60, 90, 120, 180, 240, 240, 240, 240)]),
        ("getmany", [5.0, 5 * MINUTE, 30 * MINUTE, *(HOUR * n for n in (2, 5, 10, 14, 20, 24))]),
    ],
    ids=PROVIDERS,
)
async def test_what_is_never_accepted_is_given_up(sandbox, add, receiver, naps, provider, schedule):
    """After the first attempt come those of the provider's schedule, and then no more."""
    add(provider)
    receiver.answers = [500] * 20

    delivery = await sandbox.settle("shop", "BTC", "1")

    assert await delivery.done() is False
    assert naps.taken == schedule
    assert [attempt.status for attempt in delivery.attempts] == [500] * (len(schedule) + 1)
    assert len(receiver.received) == len(schedule) + 1


@pytest.mark.parametrize("status", [200, 204, 299])
async def test_retries_end_with_the_first_success(sandbox, add, receiver, naps, status):
    """Any status of success is an acceptance; a redirect is none, and is not followed."""
    add("cryptoprocessing")
    receiver.answers = [503, 302, 199 + 200, status, 500]

    delivery = await sandbox.settle("shop", "BTC", "1")

    assert await delivery.done() is True
    assert [attempt.status for attempt in delivery.attempts] == [503, 302, 399, status]
    assert [path for path, _, _ in receiver.received] == ["/shop"] * 4
    assert naps.taken == [60.0, 300.0, 900.0]


async def test_a_retry_is_the_same_event_signed_anew(add, receiver, clock):
    """The id stays, the timestamp is that of the attempt, and every attempt is genuine when it arrives."""

    async def sleep(seconds):
        clock.now += seconds

    async with Sandbox(clock=clock, sleep=sleep) as sandbox:
        account = sandbox.add_getmany("till", webhook_url=receiver.url)
        receiver.answers = [500, 500]

        delivery = await sandbox.settle(account, "BTC", "1")
        await delivery.done()

        times = [NOW, NOW + 5, NOW + 305]
        assert [attempt.at for attempt in delivery.attempts] == times
        assert receiver.values_of("webhook-timestamp") == [str(time) for time in times]
        assert len(set(receiver.values_of("webhook-id"))) == 1
        assert [
            refusal(account, headers, body, now=time)
            for time, (_, headers, body) in zip(times, receiver.received, strict=True)
        ] == [None] * 3


async def test_an_attempt_tells_what_was_sent(sandbox, add, receiver):
    """Its headers and its body are those that arrived."""
    add("getmany")

    delivery = await sandbox.settle("shop", "BTC", "1")

    (attempt,), (_, headers, body) = delivery.attempts, receiver.received[0]
    assert attempt.body == body
    assert {name: headers[name] for name in attempt.headers} == dict(attempt.headers)
    assert (attempt.at, attempt.status, attempt.error, attempt.accepted) == (NOW, 200, None, True)


async def test_nobody_there_is_an_error_of_the_attempt(sandbox, add, receiver, naps):
    """A receiver that is down is tried again as one that refuses is."""
    account = add("cryptoprocessing")
    account.webhook_url = f"{sandbox.address.rpartition(':')[0]}:1/"
    naps.held = True

    delivery = await sandbox.settle("shop", "BTC", "1")

    assert [(one.status, one.accepted, one.error.partition(":")[0]) for one in delivery.attempts] == [
        (None, False, "ClientConnectorError")
    ]


async def test_a_receiver_that_hangs_holds_up_nothing(receiver, naps):
    """An attempt ends with its timeout, and the next follows."""
    async with Sandbox(sleep=naps, webhook_timeout=0.02) as sandbox:
        sandbox.add_getmany("till", webhook_url=receiver.url)
        receiver.awake.clear()
        naps.held = True

        delivery = await sandbox.settle("till", "BTC", "1")

        assert [attempt.error.partition(":")[0] for attempt in delivery.attempts] == ["TimeoutError"]


async def test_closing_ends_an_attempt(receiver, until):
    """What hangs is dropped at once, no task stays, and whoever waits is told."""
    sandbox = Sandbox(webhook_timeout=3600.0)
    sandbox.add_getmany("till", webhook_url=receiver.url)
    receiver.awake.clear()
    async with asyncio.timeout(5):
        await sandbox.start()
        settling = asyncio.create_task(sandbox.settle("till", "BTC", "1"))
        await until(lambda: receiver.received)

        await sandbox.aclose()
        delivery = await settling

        assert await delivery.done() is False
        assert [attempt.error for attempt in delivery.attempts] == ["the sandbox closed"]
        assert sandbox._webhooks._tasks == set()


async def test_closing_ends_the_retries(sandbox, add, receiver, naps, until):
    """Nothing is tried any more, not even once the sandbox is started again."""
    add("getmany")
    receiver.answers = [500]
    naps.held = True
    delivery = await sandbox.settle("shop", "BTC", "1")
    await until(lambda: naps.taken)

    await sandbox.aclose()
    await sandbox.start()

    assert await delivery.done() is False
    assert len(delivery.attempts) == 1
    assert (await sandbox.settle("shop", "BTC", "1")).accepted


async def test_closing_before_an_attempt_begins_ends_it(sandbox, add, receiver):
    """A delivery whose turn has not come does not hang."""
    add("getmany")
    settling = asyncio.create_task(sandbox.settle("shop", "BTC", "1"))
    await asyncio.sleep(0)

    await sandbox.aclose()

    delivery = await settling
    assert (delivery.attempts, await delivery.done(), receiver.received) == ((), False, [])


async def test_a_delivery_outlives_whoever_asked_for_it(sandbox, add, receiver, until):
    """The caller that is cancelled cancels nothing at the provider's."""
    add("getmany")
    receiver.awake.clear()
    settling = asyncio.create_task(sandbox.settle("shop", "BTC", "1"))
    await until(lambda: receiver.received)

    settling.cancel()
    await asyncio.wait([settling])
    receiver.awake.set()

    assert settling.cancelled()
    assert await sandbox.deliveries[0].done() is True
    assert len(receiver.received) == 1


async def test_webhooks_go_on_while_the_api_is_down(sandbox, add):
    """A provider whose API refuses connections still delivers."""
    add("getmany")

    async with sandbox.refusing():
        delivery = await sandbox.settle("shop", "BTC", "1")

    assert delivery.accepted


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_copies_are_the_same_event(sandbox, add, receiver, provider):
    """Duplicates are delivered at once, each until it is accepted; the account is changed once."""
    account = add(provider)
    receiver.answers = [200, 500, 200]

    delivery = await sandbox.settle("shop", "BTC", "1", copies=3)
    await delivery.done()

    assert len({(headers.get("webhook-id"), body) for _, headers, body in receiver.received}) == 1
    assert sorted(attempt.status for attempt in delivery.attempts) == [200, 200, 200, 500]
    assert account.holdings == (Holding("BTC", "1"),)


async def test_deliveries_can_be_held_and_sent_out_of_order(sandbox, add, receiver):
    """What is held has changed the account, is in the log, and waits for nothing."""
    account = add("cryptoprocessing")

    first = await sandbox.announce(account, "BTC", "1", send=False)
    second = await sandbox.settle(account, "BTC", "1", transaction=first.transaction, send=False)
    assert account.holdings == (Holding("BTC", "1"),)
    assert (await first.done(), receiver.received) == (False, [])
    await second.send()
    await first.send()

    assert [document["status"] for document in receiver.documents] == ["confirmed", "not_confirmed"]
    assert sandbox.deliveries == (first, second)


async def test_a_delivery_sent_again_is_a_duplicate(sandbox, add, receiver, clock):
    """It is the same event at a later time, whether it was accepted or not."""
    add("getmany")
    delivery = await sandbox.settle("shop", "BTC", "1")
    clock.now += 600

    await delivery.send()

    assert len(set(receiver.values_of("webhook-id"))) == 1
    assert receiver.values_of("webhook-timestamp") == [str(NOW), str(NOW + 600)]
    assert len(delivery.attempts) == 2


@pytest.mark.parametrize(("provider", "tamper"), TAMPERED, ids=[f"{one}-{tamper}" for one, tamper in TAMPERED])
async def test_a_tampered_webhook_is_wrong_in_one_way(sandbox, add, receiver, provider, tamper):
    """A receiver refuses it for its own reason, and all else about it is right."""
    account = add(provider)

    delivery = await sandbox.settle(account, "BTC", "1", tamper=tamper)

    assert refusal(account, *receiver.received[0][1:]) == REFUSALS[tamper]
    assert delivery.tamper == tamper


@pytest.mark.parametrize(
    ("provider", "tamper"),
    [("cryptoprocessing", "timestamp-old"), ("getmany", "key-missing"), ("getmany", "no-such-thing")],
    ids=["no-time", "no-key", "unknown"],
)
async def test_only_what_a_scheme_has_is_tampered_with(sandbox, add, provider, tamper):
    """The error says what can be done, and nothing is changed."""
    account = add(provider)

    with pytest.raises(ValueError, match=f"tamper must be one of body-changed, .*, not '{tamper}'"):
        await sandbox.settle(account, "BTC", "1", tamper=tamper)

    assert (account.holdings, sandbox.deliveries) == ((), ())


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("shop", "USDC", 0.5), {}, TypeError),
        (("shop", "USDC", True), {}, TypeError),
        (("shop", "USDC", "0,5"), {}, ValueError),
        (("shop", "EUR", "0.005"), {}, ValueError),
        (("shop", "", "1"), {}, ValueError),
        (("shop", "BTC", "1"), {}, ValueError),
        (("shop", "USDC", "1"), {"copies": 0}, ValueError),
        (("nobody", "USDC", "1"), {}, ValueError),
        (("silent", "USDC", "1"), {}, RuntimeError),
    ],
    ids=["float", "bool", "comma", "too-fine", "no-code", "two-chains", "no-copy", "no-account", "no-url"],
)
@pytest.mark.parametrize("method", ["settle", "announce"])
async def test_what_cannot_be_settled_changes_nothing(sandbox, add, receiver, method, arguments, options, error):
    """Wrong arguments are refused before anything is added, logged or sent."""
    held = [Holding("EUR", "1", decimals=2), Holding("BTC", "1", chain="a"), Holding("BTC", "1", chain="b")]
    account = add("getmany", held)
    silent = sandbox.add_cryptoprocessing("silent")

    with pytest.raises(error, match=r"amount|decimal|currency|chain|once|labelled|webhook_url"):
        await getattr(sandbox, method)(*arguments, **options)

    assert (account.holdings, silent.holdings) == (tuple(held), ())
    assert (sandbox.deliveries, receiver.received) == ((), [])


async def test_a_sum_beyond_the_limit_changes_nothing(sandbox, add):
    """Each amount may be admitted where their sum is not."""
    account = add("cryptoprocessing", {"BTC": 10**1000 - 1})

    with pytest.raises(ValueError, match="more than 1000 digits"):
        await sandbox.settle(account, "BTC", 1)

    assert (account.holdings[0].amount, sandbox.deliveries) == (10**1000 - 1, ())


async def test_another_sandbox_s_account_is_not_this_one_s(sandbox, add):
    """The same label elsewhere is another account."""
    add("getmany")

    with pytest.raises(ValueError, match="no account is labelled 'shop'"):
        await sandbox.settle(Sandbox().add_getmany("shop"), "BTC", "1")


@pytest.mark.parametrize("closed", [False, True], ids=["before", "after"])
async def test_webhooks_need_a_started_sandbox(receiver, closed):
    """Before the start and after the close nothing is changed or sent, held deliveries included."""
    sandbox = Sandbox()
    account = sandbox.add_getmany("shop", webhook_url=receiver.url)
    held = await sandbox.announce(account, "BTC", "1", send=False)
    if closed:
        await sandbox.start()
        await sandbox.aclose()

    with pytest.raises(RuntimeError, match="must be started to deliver"):
        await held.send()
    with pytest.raises(RuntimeError, match="must be started to deliver"):
        await sandbox.settle(account, "BTC", "1")

    assert (account.holdings, receiver.received) == ((), [])


async def test_a_retry_goes_where_the_account_s_webhooks_go_then(sandbox, add, receiver):
    """A receiver that has moved is found at its new URL; where there is none, nothing is sent."""
    account = add("getmany")
    account.webhook_url = f"{receiver.url}/gone"
    receiver.answers = [410, 500]
    urls = [f"{receiver.url}/new", None]

    async def move(_):
        account.webhook_url = urls.pop(0) if urls else None

    sandbox._webhooks.sleep = move
    delivery = await sandbox.settle(account, "BTC", "1")

    assert await delivery.done() is False
    assert [path for path, _, _ in receiver.received] == ["/gone", "/new"]


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/token", "https://shop.example/token", "ftp://127.0.0.1/token", "token", ""]
)
def test_webhooks_stay_on_this_machine(url):
    """A stand-in tells nobody else, and the error does not show the URL, which may hold a token."""
    sandbox = Sandbox()
    account = sandbox.add_getmany("till", webhook_url="http://localhost:1/till")

    with pytest.raises(ValueError, match="webhook_url must be an http or https URL of a loopback") as setting:
        account.webhook_url = url
    with pytest.raises(ValueError, match="webhook_url must be") as adding:
        sandbox.add_cryptoprocessing("shop", webhook_url=url)

    assert account.webhook_url == "http://localhost:1/till"
    assert "token" not in f"{setting.value}{adding.value}"
    assert len(sandbox.accounts) == 1


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "gateway"])
def test_webhooks_have_a_key_of_their_own(signed):
    """The settings hold the public key, 32 bytes in base64, of a pair that no other account has."""
    sandbox = Sandbox(port=1)

    keys = [sandbox.add_getmany(label, signed=signed).settings["webhook_key"] for label in ("one", "two")]

    assert [len(base64.b64decode(key, validate=True)) for key in keys] == [32, 32]
    assert keys[0] != keys[1]


async def test_what_the_given_sleep_raises_is_not_lost(add, receiver):
    """Whoever waits for the end of a delivery gets the error."""

    async def sleep(_):
        raise LookupError("no time")

    async with Sandbox(sleep=sleep) as sandbox:
        sandbox.add_getmany("till", webhook_url=receiver.url)
        receiver.answers = [500]

        delivery = await sandbox.settle("till", "BTC", "1")

        with pytest.raises(LookupError, match="no time"):
            await delivery.done()


async def test_reprs_show_no_signature(sandbox, add):
    """A delivery and its attempts say what became of them, and nothing that was sent."""
    account = add("cryptoprocessing")

    delivery = await sandbox.settle(account, "BTC", "1")

    shown = repr((delivery, delivery.attempts))
    assert repr(delivery) == "<Delivery of 'confirmed' to 'shop': accepted, attempts: 1>"
    assert repr(delivery.attempts[0]) == f"Attempt(at={NOW}, status=200, error=None)"
    assert not [
        value
        for value in (*account.settings.values(), delivery.attempts[0].headers["X-Processing-Signature"])
        if value in shown
    ]


async def test_the_log_of_deliveries_can_be_emptied(sandbox, add, receiver, naps):
    """A test can forget what its preparation sent; what is under way goes on."""
    add("getmany")
    receiver.answers = [500]
    delivery = await sandbox.settle("shop", "BTC", "1")

    sandbox.clear_deliveries()
    later = await sandbox.announce("shop", "BTC", "1")

    assert sandbox.deliveries == (later,)
    assert await delivery.done() is True


async def test_the_log_keeps_the_latest_deliveries(sandbox, add):
    """A sandbox that runs for days does not fill the memory."""
    add("cryptoprocessing")

    for number in range(10_002):
        await sandbox.announce("shop", "BTC", 1, transaction=number, send=False)

    assert [delivery.transaction for delivery in sandbox.deliveries] == list(range(2, 10_002))
