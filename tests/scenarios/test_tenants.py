"""Several tenants, with a client each, on one store: none is ever given the balances of another."""

import functools
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from uuid import uuid4

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from balancekit import AggregateClient, ConfigError, GetManyProvider, HttpProvider, Request, Secret
from tests.support.loopback_origin import LoopbackOrigin, raw_response
from tests.support.tenants import MyBankProvider, amount
from tests.support.thread_server import ThreadServer


async def test_an_adapter_without_code_for_it_is_known_by_its_credentials(bank, store):
    """Two tenants have the same label at the same bank."""
    read = [
        await amount(MyBankProvider("main", token=token, base_url=bank), "EUR", store)
        for token in ("alice", "bob", "alice")
    ]

    assert read == [1000000, 5, 1000000]


class MutualTlsProvider(HttpProvider):
    """An adapter whose credential is the client certificate of its session: its requests say nothing of the account."""

    provider = "mtls"

    def build_request(self, *, now, nonce):
        """Build a request without credentials."""
        headers = {"X-Api-Version": "2026-01-01", "X-Idempotency-Key": nonce}
        return Request("GET", f"{self.base_url}/balances", headers)

    def read_response(self, response):
        """Read the balances."""
        return [self.balance("EUR", row["balance"]["value"]) for row in response.json()["data"]]


def unsigned(kind, url):
    """Return an account whose request carries no credentials, at a gateway of the same URL on every machine."""
    return MutualTlsProvider("main", base_url=url) if kind == "mtls" else GetManyProvider("main", base_url=url)


@pytest.fixture
async def gateway():
    """Serve what the owner of the gateway holds, which the test sets."""
    origin = LoopbackOrigin()

    def hold(amount):
        body = b'{"data":[{"id":"w-1","balance":{"value":"%d","code":"EUR","decimals":0}}]}' % amount
        origin.response = raw_response(200, body)

    origin.hold = hold
    await origin.start()
    yield origin
    await origin.stop()


@pytest.mark.parametrize("kind", ["getmany", "mtls"])
async def test_an_account_whose_request_carries_no_credentials_is_not_shared(gateway, store, caplog, kind):
    """Each machine has its own gateway at the same address, or its own certificate: the request is the same."""
    read = []
    for held in (1000000, 5):
        gateway.hold(held)
        read.append(await amount(unsigned(kind, gateway.url), "EUR", store))

    assert read == [1000000, 5]
    assert [record.getMessage() for record in caplog.records] == [
        "not shared through the store, since nothing distinguishes it from other accounts: main"
    ] * 2


@pytest.mark.parametrize("kind", ["getmany", "mtls"])
def test_two_accounts_whose_requests_are_alike_have_to_be_named(kind):
    """They may be one; the error says how to tell the client that they are not."""
    first, other = (unsigned(kind, "https://gateway.example") for _ in range(2))
    other.account = "other"

    with pytest.raises(ConfigError, match="If they are two, set the `fingerprint` of each"):
        AggregateClient([first, other])
    first.fingerprint, other.fingerprint = "alice", "bob"
    assert AggregateClient([first, other]).accounts == ("main", "other")


def test_an_account_with_a_fingerprint_and_one_without_may_still_be_one():
    """Both need one to be two: one alone does not say that the other is another account."""
    first, other = (GetManyProvider(label, base_url="https://gateway.example/shop") for label in ("shop", "other"))
    first.fingerprint = "shop"

    for accounts in ([first, other], [other, first]):
        with pytest.raises(ConfigError, match="counted twice"):
            AggregateClient(accounts)


async def test_an_account_is_added_again_under_another_label_once_it_was_removed():
    """What has its request no longer has it then."""
    accounts = [GetManyProvider(label, base_url="https://gateway.example/shop") for label in ("a", "b", "c")]
    accounts[0].fingerprint, accounts[1].fingerprint = "a", "b"
    async with AggregateClient(accounts[:2]) as client:
        await client.remove("a")
        with pytest.raises(ConfigError, match="counted twice"):
            await client.add(accounts[2])
        await client.remove("b")
        await client.add(accounts[2])
        assert client.accounts == ("c",)


@pytest.mark.parametrize("kind", ["getmany", "mtls"])
async def test_an_account_whose_adapter_names_it_is_shared(gateway, store, caplog, kind):
    """A fingerprint that is set stands for the credentials that the request lacks."""
    read = []
    for held, owner in ((1000000, "alice"), (5, "bob"), (7, "alice")):
        gateway.hold(held)
        source = unsigned(kind, gateway.url)
        source.fingerprint = owner
        read.append(await amount(source, "EUR", store))

    assert read == [1000000, 5, 1000000]
    assert not caplog.records


class EcdsaProvider(HttpProvider):
    """An adapter whose signature is another one each time, as those of ECDSA are."""

    provider = "ecdsa"
    secret_settings = frozenset({"key"})

    def __init__(self, account, *, key, base_url):
        self._key = load_pem_private_key(key, password=None)
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Build a request signed at random."""
        headers = {"Authorization": self._key.sign(nonce.encode(), ec.ECDSA(SHA256())).hex()}
        return Request("GET", self.base_url, headers)

    def read_response(self, response):
        """Read nothing."""
        return []


def new_key():
    """Return an ECDSA key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_one_account_is_known_whatever_is_random_in_its_signature():
    """The key is the same, although it was read twice, and no two requests are."""
    mine, theirs = new_key(), new_key()

    def accounts(*keys):
        return [
            EcdsaProvider(label, key=key, base_url="https://bank.example")
            for label, key in zip("ab", keys, strict=True)
        ]

    with pytest.raises(ConfigError, match="counted twice"):
        AggregateClient(accounts(mine, mine))
    AggregateClient(accounts(mine, theirs))


async def test_an_account_whose_request_is_random_is_not_shared(bank, store):
    """Nobody can know what its signature is made of, such as a merchant's id under the key of a whole platform."""

    class Envelope(MyBankProvider):
        def build_request(self, *, now, nonce):
            headers = {
                "Authorization": f"Bearer {self.owner}",
                "X-Request-Signature": f"{uuid4()} {self._token.reveal()}",
            }
            return Request("GET", f"{self.base_url}/balances", headers)

    read = []
    for owner in ("alice", "bob"):
        source = Envelope("main", token="of-the-platform", base_url=bank)
        source.owner = owner
        read.append(await amount(source, "EUR", store))

    assert read == [1000000, 5]


class GatedProvider(HttpProvider):
    """An adapter behind a gateway, which adds the credentials; its requests have what looks like some."""

    provider = "gated"

    def __init__(self, account, *, certificate=None, token="", webhook_secret="", base_url):
        self._certificate, self._token, self._webhook_secret = certificate, Secret(token), Secret(webhook_secret)
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Build a request without credentials of the account."""
        headers = {"X-Auth-Method": "mtls", "Accept-Signature": "sig1", "X-Gateway-Key": self._token.reveal()}
        return Request("GET", f"{self.base_url}/balances?sort_key=currency&sign=plus", headers)

    def read_response(self, response):
        """Read the balances."""
        return [self.balance("EUR", row["balance"]["value"]) for row in response.json()["data"]]


@pytest.mark.parametrize(
    "settings",
    [
        [{}, {}],
        [{"webhook_secret": "of-the-platform"}] * 2,
        [{"token": "of-the-platform", "certificate": name} for name in ("alice.pem", "bob.pem")],
        [{"token": "of-the-platform", "certificate": object()} for _ in range(2)],
    ],
    ids=["names alone", "a secret that is not sent", "settings differ", "an object"],
)
async def test_what_only_looks_like_credentials_does_not_make_two_accounts_one(gateway, store, settings):
    """Whatever a header or a parameter is called, and whatever is the same for a whole platform."""
    read = []
    for held, given in zip((1000000, 5), settings, strict=True):
        gateway.hold(held)
        read.append(await amount(GatedProvider("main", base_url=gateway.url, **given), "EUR", store))

    assert read == [1000000, 5]


class RowsProvider(HttpProvider):
    """An adapter of a platform: one token reads the rows of all merchants, and it selects those of one."""

    provider = "rows"
    merchant = ""

    def __init__(self, account, *, token, base_url):
        self._token = Secret.of(token)
        super().__init__(account, base_url=base_url)

    def build_request(self, *, now, nonce):
        """Build a request that is the same for all merchants."""
        return Request("GET", f"{self.base_url}/balances", {"Authorization": self._token.reveal()})

    def read_response(self, response):
        """Read the rows of the merchant."""
        return [self.balance("EUR", row["amount"]) for row in response.entries("data") if row["of"] == self.merchant]


@dataclass(eq=False)
class DataclassProvider(RowsProvider):
    """An adapter whose constructor is written by a decorator."""

    account: str
    token: str = field(repr=False)
    base_url: str
    merchant: str

    def __post_init__(self):
        """Be made."""
        super().__init__(self.account, token=self.token, base_url=self.base_url)


@attrs.define(eq=False, slots=False)
class AttrsProvider(RowsProvider):
    """The same."""

    account: str
    token: str = attrs.field(repr=False)
    base_url: str
    merchant: str

    def __attrs_post_init__(self):
        """Be made."""
        super().__init__(self.account, token=self.token, base_url=self.base_url)


class MerchantMixin:
    """A class whose constructor is to be that of adapters."""

    def __init__(self, account, *, merchant, **settings):
        super().__init__(account, **settings)
        self.find_merchant = lambda: merchant


class MixedProvider(MerchantMixin, RowsProvider):
    """An adapter whose constructor is that of another class, and keeps what it is given where nobody sees it."""

    @property
    def merchant(self):
        """Whose rows are read."""
        return self.find_merchant()


def of_a_class(account, *, merchant, **settings):
    """Make an adapter whose class says which rows are read."""
    return type("OneMerchant", (RowsProvider,), {"merchant": merchant})(account, **settings)


def of_a_function(account, *, merchant, **settings):
    """Make an adapter that learns which rows are read when it is made already."""
    made = RowsProvider(account, **settings)
    made.merchant = merchant
    return made


class SlottedProvider(RowsProvider):
    """An adapter whose attributes have slots."""

    __slots__ = ("merchant",)


def with_slots(account, *, merchant, **settings):
    """Make an adapter that learns which rows are read when it is made already, in a slot."""
    made = SlottedProvider(account, **settings)
    made.merchant = merchant
    return made


def of_an_enclosing_function(account, *, merchant, **settings):
    """Make an adapter whose class is made by a function, whose argument says which rows are read."""

    class Enclosed(RowsProvider):
        merchant = property(lambda _: merchant)

    return Enclosed(account, **settings)


def of_a_decorator(account, *, merchant, **settings):
    """Make an adapter with a method that is made by a function, too."""

    def reading(wanted):
        def read(self, response):
            rows = [row for row in response.json()["data"] if row["of"] == wanted]
            return [self.balance("EUR", row["amount"]) for row in rows]

        return read

    return type("Decorated", (RowsProvider,), {"read_response": reading(merchant)})(account, **settings)


def of_a_partial(account, *, merchant, **settings):
    """Make an adapter that is given the function that reads."""
    made = RowsProvider(account, **settings)

    def read(wanted, response):
        rows = [row for row in response.json()["data"] if row["of"] == wanted]
        return [made.balance("EUR", row["amount"]) for row in rows]

    made.read_response = functools.partial(read, merchant)
    return made


@pytest.mark.parametrize(
    "make",
    [
        DataclassProvider,
        AttrsProvider,
        MixedProvider,
        of_a_class,
        of_a_function,
        with_slots,
        of_an_enclosing_function,
        of_a_decorator,
        of_a_partial,
    ],
)
async def test_an_adapter_is_known_by_what_it_was_made_with_however_it_is_written(store, make):
    """Whatever wrote its constructor, and whatever was set in its class or afterwards."""
    rows = {"data": [{"of": "alice", "amount": "1000000"}, {"of": "bob", "amount": "5"}]}
    with ThreadServer(lambda _: raw_response(200, json.dumps(rows).encode())) as server:
        made = [
            make("main", merchant=merchant, token="of-the-platform", base_url=server.url)
            for merchant in ("alice", "bob", "alice")
        ]
        read = [await amount(source, "EUR", store) for source in made]

    assert read == [1000000, 5, 1000000]
    assert made[0].fingerprint == made[2].fingerprint != ""


def test_a_random_signature_by_a_key_that_nobody_sees_says_nothing():
    """Two accounts are not taken for one because all that could be told of them is their URL."""

    class Hidden(EcdsaProvider):
        def __init__(self, account):
            super().__init__(account, key=new_key(), base_url="https://bank.example")
            self._key = SimpleNamespace(sign=self._key.sign)

    accounts = [Hidden("a"), Hidden("b")]

    AggregateClient(accounts)
    assert [account.fingerprint for account in accounts] == ["", ""]
