"""A response that sends back a credential as the name of something, and responses that only look like it."""

import base64
import json
from decimal import Decimal
from uuid import UUID

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from balancekit import (
    AggregateClient,
    AssetType,
    Balance,
    CryptoprocessingProvider,
    GetManyProvider,
    HttpProvider,
    MalformedResponseError,
    ProviderError,
    Request,
    Response,
    Secret,
)
from balancekit.providers import base

REPEATED = "the response repeats a credential of the request"


async def failure_of(provider):
    """Return the error that a read ends with."""
    with pytest.raises(ProviderError) as caught:
        await provider.fetch_balances(None)
    return caught.value


def signing_key():
    """Return a key as getMany's adapter takes it."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    key = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(key).decode()


KEY = "pk_9f3aK27dQ81mZx04Lw"


@pytest.mark.parametrize(
    "pieces",
    [lambda key, signature: [key], lambda key, signature: [signature[:32], signature[32:64]],
     lambda key, signature: ["BTC", key[4:18]], lambda key, signature: [base64.b64encode(key.encode()).decode()[:32]]],
    ids=["key", "signature", "a piece", "base64"],
)  # fmt: skip
async def test_a_200_that_repeats_credentials_is_malformed_each_time(wire, everything_shown_by, pieces):
    """A server that sends everything back, however shaped, puts no key into a result."""
    provider = CryptoprocessingProvider("shop", key=KEY, secret="a-secret-of-the-shop")
    headers = provider.build_request(now=0, nonce="").headers
    codes = pieces(headers["X-Processing-Key"], headers["X-Processing-Signature"])
    lines = [{"currency": code, "type": "crypto", "balance": "1"} for code in codes]
    wire.outcome = Response(200, body=json.dumps({"data": lines}).encode())

    for _ in range(2):
        failure = await failure_of(provider)

        assert type(failure) is MalformedResponseError
        assert failure.message == REPEATED
        assert not [code for code in codes if len(code) > 3 and code in everything_shown_by(failure)]


async def test_a_credential_before_thousands_of_new_codes_is_malformed(wire):
    """However many texts a response has, each is compared."""
    lines = [{"currency": code, "type": "crypto", "balance": "1"} for code in (KEY, *(f"C{n}" for n in range(4_000)))]
    wire.outcome = Response(200, body=json.dumps({"data": lines}).encode())

    failure = await failure_of(CryptoprocessingProvider("shop", key=KEY, secret="a-secret-of-the-shop"))

    assert failure.message == REPEATED


@pytest.mark.parametrize("field", ["code", "chain", "id"])
async def test_no_field_of_a_balance_repeats_a_signature(monkeypatch, field):
    """The fields are names, and a name may be anything."""
    provider = GetManyProvider("shop", key_id="kid_0123456789abcdef", signing_key=signing_key())

    async def send_back(session, request):
        signature = request.headers["Bs-Signature"]
        held = {"value": "1", "decimals": 0, "code": "BTC", "chain": "bitcoin"}
        line = {"id": "b-1", "balance": held}
        (line if field == "id" else held)[field] = signature if field == "id" else signature[:32]
        return Response(200, body=json.dumps({"data": [line]}).encode())

    monkeypatch.setattr(base, "send", send_back)

    assert (await failure_of(provider)).message == REPEATED


async def test_a_name_that_is_a_part_of_a_label_is_no_credential(wire):
    """A key may be called after a chain."""
    provider = CryptoprocessingProvider("shop", key="bitcoin-shop-1", secret="a-secret-of-the-shop")
    wire.outcome = Response(200, body=b'{"data": [{"currency": "BITCOIN", "type": "crypto", "balance": "1"}]}')

    assert [balance.currency for balance in await provider.fetch_balances(None)] == ["BITCOIN"]


class Own(HttpProvider):
    """An adapter of anybody's own, which makes its balances as the documentation shows."""

    provider = "own"

    def __init__(self, account="shop", key=KEY, url="https://own.example/api"):
        super().__init__(account, base_url=url)
        self.key = Secret.of(key)

    def build_request(self, *, now, nonce):
        """Name a network and an account beside the key."""
        url = f"{self.base_url}/accounts/acct-4711-0815?network=ethereum-mainnet"
        return Request("GET", url, {"X-Key": self.key.reveal(), "X-Api-Key-Id": "key-2026-eur"})

    def read_response(self, response):
        """Read lines of a code, a chain and an id."""
        return [
            self.balance(line["code"], "1", chain=line.get("chain"), reference=line.get("id"))
            for line in response.json()
        ]


@attrs.frozen
class Frozen(Own):
    """An adapter that cannot be changed."""

    account: str
    base_url: str = "https://own.example"
    key: Secret = attrs.field(factory=lambda: Secret(KEY))


def listed(*lines):
    """Return a response of lines."""
    return Response(200, body=json.dumps(lines).encode())


@pytest.mark.parametrize("make", [Own, Frozen])
@pytest.mark.parametrize("field", ["code", "chain", "id"])
@pytest.mark.parametrize("sent", [KEY, f"x-{KEY}", KEY[2:15]], ids=["key", "within", "a part"])
async def test_no_balance_of_an_adapter_of_ones_own_repeats_its_key(wire, everything_shown_by, make, field, sent):
    """Each time, and also after responses that were good."""
    provider = make("shop")
    for line in ({"code": "BTC"}, {"code": "ETH", "chain": "ethereum"}):
        wire.outcome = listed(line)
        assert len(await provider.fetch_balances(None)) == 1

    for _ in range(2):
        wire.outcome = listed({"code": "ETH", field: sent})
        failure = await failure_of(provider)

        assert (type(failure), failure.message) == (MalformedResponseError, REPEATED)
        assert sent not in everything_shown_by(failure)


DISGUISES = {
    "upper case": str.upper,
    "reversed": lambda key: key[::-1],
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
    "percent": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "escapes of JSON": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "entities": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "octal": lambda key: "".join(f"\\{ord(c):03o}" for c in key),
    "dashes": "-".join,
    "full width": lambda key: "".join(chr(ord(c) + 0xFEE0) for c in key),
    "within": lambda key: f"x/{key.lower()}/y",
}


@pytest.mark.parametrize("key", ["k3y-9f3aK27d", "Swordfish7"])
@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
async def test_no_id_of_a_balance_is_a_key_in_disguise(wire, disguise, key):
    """Nor is one that is as short as the usual ids."""
    wire.outcome = listed({"code": "ETH", "id": disguise(key)})

    failure = await failure_of(Own(key=key))

    assert failure.message == REPEATED


async def test_a_key_of_marks_is_found_as_it_is(wire):
    """It has too few letters and digits to be known by those."""
    wire.outcome = listed({"code": "ETH", "id": "x-a!b@c#d$-y"})

    assert (await failure_of(Own(key="a!b@c#d$"))).message == REPEATED


async def test_the_id_of_a_key_is_found_as_the_id_of_a_balance(wire):
    """Both have the length of a UUID."""
    key_id = "0a1b2c3d-1111-4222-8333-444455556666"
    line = {"id": key_id, "balance": {"value": "1", "decimals": 2, "code": "USD"}}
    wire.outcome = Response(200, body=json.dumps({"data": [line]}).encode())

    failure = await failure_of(GetManyProvider("shop", key_id=key_id, signing_key=signing_key()))

    assert failure.message == REPEATED


async def test_a_code_that_another_account_has_brought_may_be_a_key(wire):
    """Each account compares what it is sent with its own credentials."""
    wire.outcome = Response(200, body=json.dumps({"data": [{"currency": KEY, "type": "x", "balance": "1"}]}).encode())

    other = CryptoprocessingProvider("other", key="another-key", secret="a-secret-of-another")
    assert len(await other.fetch_balances(None)) == 1

    failure = await failure_of(CryptoprocessingProvider("shop", key=KEY, secret="a-secret-of-the-shop"))
    assert failure.message == REPEATED


async def test_an_adapter_without_the_base_class_is_held_to_it():
    """Its balances may repeat what it has marked as a secret."""

    class Bare:
        account, provider, key = "shop", "bare", Secret(KEY)

        def __init__(self):
            self.key = Secret(KEY)

        async def fetch_balances(self, session):
            return [Balance("BTC", Decimal(1), AssetType.CRYPTO, "shop", "bare", "BTC", reference=KEY)]

    async with AggregateClient([Bare()], attempts=1) as client:
        merged = await client.fetch()

    assert [failure.error.message for failure in merged.failures] == [REPEATED]
    assert KEY not in merged.to_json()


def basic(login):
    """Return the header of a Basic login."""
    return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


class Plain(HttpProvider):
    """An adapter that sends what it is given, and marks nothing as a secret."""

    provider = "plain"

    def __init__(self, url="https://plain.example/api", headers=(), body=b""):
        super().__init__("shop", base_url="https://plain.example/api")
        self.sent = (url, dict(headers), body)

    def build_request(self, *, now, nonce):
        """Send it."""
        url, headers, body = self.sent
        return Request("POST", url, headers, body)

    read_response = Own.read_response


@pytest.mark.parametrize("field", ["code", "chain", "id"])
@pytest.mark.parametrize(
    "sent",
    [
        {"body": json.dumps({"api_key": KEY}).encode()},
        {"body": json.dumps({"batch": [{"auth": {"user": "shop", "password": KEY}}]}).encode()},
        {"body": f"user=shop&password={''.join(f'%{ord(letter):02x}' for letter in KEY)}".encode()},
        {"headers": basic(f"shop:{KEY}")},
        {"headers": basic(f"{KEY}:")},
        {"headers": basic(f"{KEY}:X")},
    ],
    ids=["JSON", "within JSON", "form", "password of Basic", "user of Basic alone", "user of Basic with a filler"],
)  # fmt: skip
async def test_a_credential_that_nobody_marked_is_one_wherever_a_request_has_it(wire, sent, field):
    """It has the name of one, or is what a Basic login consists of."""
    wire.outcome = listed({"code": "ETH", field: KEY})

    assert (await failure_of(Plain(**sent))).message == REPEATED


ACCOUNT = "acct-4711-0815-kiel"


@pytest.mark.parametrize(
    "sent",
    [
        {"url": f"https://plain.example/api/accounts/{ACCOUNT}"},
        {"url": f"https://plain.example/api?account={ACCOUNT}&token_address={ACCOUNT}"},
        {"body": json.dumps({"account": ACCOUNT, "key_name": ACCOUNT, "tokenContract": ACCOUNT}).encode()},
        {"body": json.dumps({"token": ACCOUNT, "accountKey": ACCOUNT, "author": ACCOUNT, "signet": ACCOUNT}).encode()},
        {"body": f"account={ACCOUNT}&password=correct-horse-battery".encode()},
        {"headers": basic(f"{ACCOUNT}:correct-horse-battery")},
        {"body": ACCOUNT.encode()},
    ],
    ids=["path", "query", "JSON", "names in JSON", "form", "user of Basic", "text"],
)
async def test_the_id_of_an_account_is_no_credential_wherever_a_request_has_it(wire, sent):
    """A provider may well name the account that it was asked for."""
    wire.outcome = listed({"code": "ETH", "id": ACCOUNT})

    assert [balance.reference for balance in await Plain(**sent).fetch_balances(None)] == [ACCOUNT]


async def test_a_body_of_another_kind_hides_no_credential_of_a_header(wire):
    """Nor does one that is nested too deep to be read."""
    wire.outcome = listed({"code": "ETH", "id": KEY})

    for body in (b"\xff\x00", b"[" * 100_000, "text"):
        assert (await failure_of(Plain(headers={"X-Api-Key": KEY}, body=body))).message == REPEATED


async def test_names_that_a_request_has_too_are_no_credentials(wire):
    """The id of an account, and the name of a network, are in the request and in its response."""
    line = {"code": "ETH", "chain": "ethereum-mainnet", "id": "acct-4711-0815-key-2026-eur"}
    wire.outcome = listed(line)

    assert [balance.reference for balance in await Own().fetch_balances(None)] == [line["id"]]


async def test_ids_that_one_server_has_given_out_at_one_time_are_no_credentials(wire):
    """A key's id and a balance's have all in common but a few digits."""
    key_id, reference = UUID(int=0xA1B2C3D4111111F0B0480242AC120002), UUID(int=0xA1B2C3D4111111F0B0480242AC120003)
    wire.outcome = listed({"code": "ETH", "id": str(reference)})

    assert len(await Own(key=str(key_id)).fetch_balances(None)) == 1
