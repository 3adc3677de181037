"""The getMany API as the sandbox simulates it."""

import base64
import hashlib
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from multidict import CIMultiDict

from balancekit.sandbox import Holding

NOW = 1767225600
NONCE = "AAECAwQFBgcICQoLDA0ODw=="
OTHER_NONCE = "AQECAwQFBgcICQoLDA0ODw=="
KEY = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
SIGNATURE = "qXW2N3+VTMLOsvj9rbUobN10oss7pB+T65upzVhboqesZzn/JsexNYxApe6uraL6YYNFLRURa8yPv3OksFr9DA=="


def digest_of(body):
    """Return the Content-Digest of a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


async def test_balances_are_listed(sandbox, ask_getmany):
    """Amounts come in the smallest unit, crypto with its chain, fiat without."""
    held = [Holding("USDC", "12.5", decimals=6, chain="solana"), Holding("ETH", "1e-18"), Holding("USD", 250)]
    account = sandbox.add_getmany("till", held)

    response = await ask_getmany(account)

    assert response.status == 200
    assert [row["balance"] for row in (await response.json())["data"]] == [
        {"value": "12500000", "code": "USDC", "decimals": 6, "chain": "solana"},
        {"value": "1", "code": "ETH", "decimals": 18, "chain": "ethereum"},
        {"value": "250", "code": "USD", "decimals": 0},
    ]


async def test_zeros_are_not_listed(sandbox, ask_getmany):
    """An account with only zeros is an empty list."""
    account = sandbox.add_getmany("till", [Holding("USD", "0.00"), Holding("USDC", "-0", decimals=6)])

    response = await ask_getmany(account)

    assert await response.json() == {"data": []}


async def test_ids_are_stable(sandbox, ask_getmany):
    """The ids are UUIDs that stay from request to request, each row with its own."""
    account = sandbox.add_getmany("till", [Holding("USDC", 1, chain="base"), Holding("USDC", 2, chain="solana")])

    first, second = [await (await ask_getmany(account, nonce=nonce)).json() for nonce in (NONCE, OTHER_NONCE)]

    assert first == second
    assert len({uuid.UUID(row["id"]) for row in first["data"]}) == 2
    assert len({uuid.UUID(row["account_id"]) for row in first["data"]}) == 1


async def test_our_vector_is_accepted(sandbox, ask_getmany):
    """A signature that other software made is accepted."""
    account = sandbox.add_getmany("till", key_id="key_0123", signing_key=KEY)

    response = await ask_getmany(account, Bs_Signature=SIGNATURE)

    assert response.status == 200


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Bs_Key_Id": None}, "missing_header"),
        ({"Bs_Timestamp": None}, "missing_header"),
        ({"Bs_Nonce": None}, "missing_header"),
        ({"Bs_Signature": None}, "missing_header"),
        ({"Bs_Key_Id": "key_4567"}, "unknown_key"),
        ({"Bs_Key_Id": "key_\xfc"}, "unknown_key"),
        ({"Bs_Timestamp": str(NOW + 1)}, "invalid_signature"),
        ({"Bs_Timestamp": f"0{NOW}"}, "invalid_signature"),
        ({"Bs_Timestamp": f"{NOW}.0"}, "malformed_timestamp"),
        ({"Bs_Timestamp": "-1"}, "malformed_timestamp"),
        ({"Bs_Timestamp": "\u0661"}, "malformed_timestamp"),
        ({"Bs_Timestamp": "9" * 16}, "malformed_timestamp"),
        ({"Bs_Nonce": OTHER_NONCE}, "invalid_signature"),
        ({"Bs_Nonce": "AAECAwQFBgcICQoLDA0ODw"}, "malformed_nonce"),
        ({"Bs_Nonce": "AAECAwQFBgcICQoLDA0ODx=="}, "malformed_nonce"),
        ({"Bs_Nonce": "AAECAwQFBgcICQoLDA0O"}, "malformed_nonce"),
        ({"Bs_Nonce": "\xfc"}, "malformed_nonce"),
        ({"Bs_Signature": "A" * 86 + "=="}, "invalid_signature"),
        ({"Bs_Signature": "AAAA"}, "malformed_signature"),
        ({"Bs_Signature": "%"}, "malformed_signature"),
        ({"Bs_Signature": SIGNATURE.replace("+", "-")}, "malformed_signature"),
        ({"extra": "?page=2"}, "invalid_signature"),
    ],
)
async def test_a_wrong_signature_is_unauthorized(sandbox, ask_getmany, changed, code):
    """Whatever is changed after signing, the response is 401 with a flat code."""
    account = sandbox.add_getmany("till", key_id="key_0123", signing_key=KEY)

    response = await ask_getmany(account, **changed)

    assert response.status == 401
    assert await response.json() == {"error": code}
    assert sandbox.requests[-1].error == code


async def test_a_header_sent_twice_is_unauthorized(sandbox, send):
    """Two key ids are ambiguous, and count as none."""
    headers = CIMultiDict([("Bs-Key-Id", "a"), ("Bs-Key-Id", "b"), ("Bs-Timestamp", "1"), ("Bs-Nonce", "1")])

    response = await send("POST", f"{sandbox.address}/account.balance.getMany", headers)

    assert await response.json() == {"error": "missing_header"}


async def test_the_query_is_signed(sandbox, ask_getmany):
    """A query is part of the path that the signature covers, as raw as it was sent."""
    account = sandbox.add_getmany("till")

    response = await ask_getmany(account, query="?a=%2f&b=c+d")

    assert response.status == 200
    assert sandbox.requests[-1].path == "/account.balance.getMany?a=%2f&b=c+d"


@pytest.mark.parametrize("seconds", [-300, 300], ids=["past", "future"])
async def test_a_timestamp_within_the_window_is_accepted(sandbox, ask_getmany, seconds):
    """A clock may be off by the window, either way."""
    account = sandbox.add_getmany("till")

    response = await ask_getmany(account, timestamp=str(NOW + seconds))

    assert response.status == 200


@pytest.mark.parametrize("seconds", [-301, 301], ids=["past", "future"])
async def test_a_timestamp_outside_the_window_is_unauthorized(sandbox, ask_getmany, seconds):
    """It makes a request stale, even if the signature is valid."""
    account = sandbox.add_getmany("till")

    response = await ask_getmany(account, timestamp=str(NOW + seconds))

    assert (response.status, await response.json()) == (401, {"error": "stale_timestamp"})


async def test_a_nonce_is_accepted_once(sandbox, ask_getmany):
    """The same request sent again is unauthorized."""
    account = sandbox.add_getmany("till")

    first, again = await ask_getmany(account), await ask_getmany(account)

    assert first.status == 200
    assert (again.status, await again.json()) == (401, {"error": "reused_nonce"})


async def test_a_nonce_belongs_to_its_key(sandbox, ask_getmany):
    """Another account may use the same one."""
    accounts = sandbox.add_getmany("first"), sandbox.add_getmany("second")

    statuses = [(await ask_getmany(account)).status for account in accounts]

    assert statuses == [200, 200]


async def test_a_wrong_signature_uses_no_nonce(sandbox, ask_getmany):
    """Nobody without the key can use up the nonces of an account."""
    account = sandbox.add_getmany("till")
    await ask_getmany(account, Bs_Signature=SIGNATURE)

    response = await ask_getmany(account)

    assert response.status == 200


def test_old_nonces_are_forgotten(sandbox):
    """A nonce is kept only while its timestamp is in the window, since a stale request is an error anyway."""
    account = sandbox.add_getmany("till")

    assert account.use_nonce("one", NOW, now=NOW)
    assert not account.use_nonce("one", NOW, now=NOW)
    assert account.use_nonce("two", NOW + 301, now=NOW + 301)
    assert account.use_nonce("one", NOW + 301, now=NOW + 301)


async def test_a_body_is_the_endpoints_own_error(sandbox, ask_getmany):
    """The signature is valid, but the endpoint takes no input."""
    account = sandbox.add_getmany("till")

    response = await ask_getmany(account, body=b"{}", digest=digest_of(b"{}"))

    assert response.status == 400
    assert (await response.json())["error"]["code"] == "invalid_input"


@pytest.mark.parametrize(
    ("digest", "code"),
    [(None, "digest_required"), (digest_of(b"[]"), "digest_mismatch"), ("sha-256=:\xfc:", "digest_mismatch")],
    ids=["missing", "of-another", "not-ascii"],
)
async def test_a_body_needs_its_digest(sandbox, ask_getmany, digest, code):
    """The signature covers a body only through its digest."""
    account = sandbox.add_getmany("till")

    response = await ask_getmany(account, body=b"{}", digest=digest)

    assert (response.status, await response.json()) == (401, {"error": code})


async def test_a_changed_digest_is_unauthorized(sandbox, ask_getmany):
    """The digest of the body is wrong if that of another was signed."""
    account = sandbox.add_getmany("till")

    response = await ask_getmany(account, body=b"{}", digest=digest_of(b"[]"), Content_Digest=digest_of(b"{}"))

    assert await response.json() == {"error": "invalid_signature"}


async def test_without_a_body_the_digest_is_empty(sandbox, ask_getmany):
    """A digest that is sent without a body is not part of the signed text."""
    account = sandbox.add_getmany("till")

    response = await ask_getmany(account, digest=digest_of(b""))

    assert await response.json() == {"error": "invalid_signature"}


@pytest.mark.parametrize("label", ["till", "shop eu/\xfc?2"], ids=["plain", "quoted"])
async def test_an_account_behind_a_gateway_needs_no_signature(sandbox, send, label):
    """Its path identifies it."""
    account = sandbox.add_getmany(label, {"USD": "2.50"}, signed=False)

    response = await send("POST", f"{account.settings['base_url']}/account.balance.getMany")

    assert list(account.settings) == ["webhook_key", "base_url"]
    assert (await response.json())["data"][0]["balance"] == {"value": "250", "code": "USD", "decimals": 2}
    assert sandbox.requests[-1].account == label


async def test_a_body_behind_a_gateway_is_an_error_too(sandbox, send):
    """The endpoint takes no input there either."""
    account = sandbox.add_getmany("till", signed=False)

    response = await send("POST", f"{account.settings['base_url']}/account.balance.getMany", body=b"{}")

    assert response.status == 400


@pytest.mark.parametrize("path", ["/gateway/other/account.balance.getMany", "/gateway/till/ping", "/gateway/till"])
async def test_other_paths_of_the_gateway_are_not_found(sandbox, send, path):
    """The gateway has one endpoint for each of its accounts."""
    sandbox.add_getmany("till", signed=False)

    response = await send("POST", sandbox.address + path)

    assert response.status == 404


async def test_another_method_is_not_allowed(sandbox, send):
    """The response has the right one in its Allow header."""
    response = await send("GET", f"{sandbox.address}/account.balance.getMany")

    assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "%",
        "AAAA",
        base64.b64encode(
            X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        ).decode(),
    ],
    ids=["empty", "not-base64", "not-der", "x25519"],
)
def test_a_key_of_another_kind_is_an_error(sandbox, key):
    """Only an Ed25519 key can sign, and the error does not quote the key."""
    with pytest.raises(ValueError, match=r"must be an Ed25519 private key as base64 of PKCS#8 DER$"):
        sandbox.add_getmany("till", signing_key=key)


def test_an_account_behind_a_gateway_has_no_key(sandbox):
    """Unsigned and a key contradict each other."""
    with pytest.raises(ValueError, match="no credentials"):
        sandbox.add_getmany("till", key_id="key_0123", signed=False)


def test_a_key_id_belongs_to_one_account(sandbox):
    """The key id identifies the account, so two cannot share it."""
    sandbox.add_getmany("first", key_id="key_0123")

    with pytest.raises(ValueError, match="same key id"):
        sandbox.add_getmany("second", key_id="key_0123")
