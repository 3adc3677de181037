"""The Cryptoprocessing API as the sandbox simulates it."""

import hashlib
import hmac

import pytest

from balancekit.sandbox import Holding

SECRET = "AbCdEfG123456"
PUBLISHED = (
    "03c25fcf7cd35e7d995e402cd5d51edd72d48e1471e865907967809a0c189ba5"
    "5b90815f20e2bb10f82c7a9e9d865546fda58989c2ae9e8e2ff7bc29195fa1ec"
)
OURS = (
    "89ff570683bfcd9e2c8911332e07e3ff196ca50f91faef98126fb0eb76df90d7"
    "ccddc4372a99ba67ec072fd3aac5d0b7eac44652e2b29ce36dbcf5ee50b6fa05"
)


async def test_balances_are_listed(sandbox, ask_cryptoprocessing):
    """The response is that of the provider's page: decimal strings, zeros included."""
    account = sandbox.add_cryptoprocessing("shop", {"BTC": "0.04", "EUR": "10000", "ETH": "0"})

    response = await ask_cryptoprocessing(account)

    assert response.status == 200
    assert await response.json() == {
        "data": [
            {"currency": "BTC", "type": "crypto", "balance": "0.04"},
            {"currency": "EUR", "type": "fiat", "balance": "10000"},
            {"currency": "ETH", "type": "crypto", "balance": "0"},
        ]
    }


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("1e-18", "0.000000000000000001"), ("1E+3", "1000"), ("-0.50", "-0.50"), ("12345678901234567890.1", None)],
    ids=["small", "exponent", "negative", "long"],
)
@pytest.mark.parametrize("as_numbers", [False, True], ids=["string", "number"])
async def test_amounts_are_written_digit_by_digit(sandbox, ask_cryptoprocessing, amount, shown, as_numbers):
    """An amount is in plain notation with every digit, as a string or as a bare number."""
    account = sandbox.add_cryptoprocessing("shop", {"BTC": amount}, balances_as_numbers=as_numbers)

    response = await ask_cryptoprocessing(account)

    expected = shown or amount
    assert f'"balance": {expected}}}' if as_numbers else f'"balance": "{expected}"}}' in await response.text()


async def test_a_given_type_is_sent(sandbox, ask_cryptoprocessing):
    """A code that is both fiat and crypto has the type of the holding."""
    account = sandbox.add_cryptoprocessing("shop", [Holding("MNT", "1", asset_type="crypto")])

    response = await ask_cryptoprocessing(account)

    assert (await response.json())["data"] == [{"currency": "MNT", "type": "crypto", "balance": "1"}]


async def test_our_vector_is_accepted(sandbox, ask_cryptoprocessing):
    """A signature of an empty object that other software made is accepted."""
    account = sandbox.add_cryptoprocessing("shop", key="key", secret=SECRET)

    response = await ask_cryptoprocessing(account, X_Processing_Signature=OURS)

    assert response.status == 200


async def test_the_published_vector_is_accepted(sandbox, ask_cryptoprocessing):
    """The provider's own example has a valid signature, though its body is not for this endpoint."""
    account = sandbox.add_cryptoprocessing("shop", key="key", secret=SECRET)
    body = b'{"currency":"BTC","foreign_id":"123456"}'

    response = await ask_cryptoprocessing(account, body=body, X_Processing_Signature=PUBLISHED)

    assert response.status == 400
    assert set((await response.json())["errors"]) == {"currency", "foreign_id"}


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        ({"X_Processing_Key": None}, "required_header_key", "No key header"),
        ({"X_Processing_Key": ""}, "required_header_key", "No key header"),
        ({"X_Processing_Key": "other"}, "bad_header_key", "Bad key header"),
        ({"X_Processing_Signature": None}, "required_header_signature", "No signature header"),
        ({"X_Processing_Signature": "00"}, "bad_header_signature", "Bad signature header"),
        ({"X_Processing_Signature": "\xfc"}, "bad_header_signature", "Bad signature header"),
        ({"X_Processing_Signature": OURS.upper()}, "bad_header_signature", "Bad signature header"),
        ({"path": "/accounts/list/"}, "required_header_key", "No key header"),
        ({"path": ""}, "required_header_key", "No key header"),
    ],
    ids=["no-key", "empty-key", "other-key", "no-sig", "wrong-sig", "not-ascii", "upper-case", "wrong-url", "base"],
)
async def test_wrong_credentials_are_forbidden(sandbox, ask_cryptoprocessing, changed, code, text):
    """Each defect has its documented code, a wrong URL too."""
    account = sandbox.add_cryptoprocessing("shop", key="key", secret=SECRET)

    response = await ask_cryptoprocessing(account, **changed)

    assert response.status == 403
    assert await response.json() == {"error": text, "code": code}
    assert sandbox.requests[-1].error == code


async def test_the_key_is_checked_before_the_signature(sandbox, ask_cryptoprocessing):
    """If both are missing, the error is that of the key."""
    account = sandbox.add_cryptoprocessing("shop")

    response = await ask_cryptoprocessing(account, body=b"", X_Processing_Key=None, X_Processing_Signature=None)

    assert (await response.json())["code"] == "required_header_key"


async def test_a_changed_body_is_forbidden(sandbox, ask_cryptoprocessing):
    """The signature covers the bytes, so that one more blank makes it wrong."""
    account = sandbox.add_cryptoprocessing("shop", secret=SECRET)

    response = await ask_cryptoprocessing(account, body=b"{ }", X_Processing_Signature=OURS)

    assert (await response.json())["code"] == "bad_header_signature"


async def test_a_signature_that_is_not_text_is_forbidden(sandbox, exchange):
    """Bytes that are not UTF-8 get the response of any wrong signature."""
    sandbox.add_cryptoprocessing("shop", key="key", secret=SECRET)

    _, body = await exchange(
        b"POST /api/v2/accounts/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
        b"X-Processing-Key: key\r\nX-Processing-Signature: \xff\xfe\r\n\r\n{}"
    )

    assert b"bad_header_signature" in body


@pytest.mark.parametrize(
    "changed",
    [
        {"body": b""},
        {"body": b"{"},
        {"body": b"\xff"},
        {"body": b"[" * 200_000},
        {"Content_Type": None},
        {"Content_Type": "text/plain"},
    ],
    ids=["empty", "broken", "not-utf-8", "deep", "no-type", "other-type"],
)
async def test_a_body_that_is_not_json_is_a_bad_request(sandbox, ask_cryptoprocessing, changed):
    """Body and Content-Type must both be JSON."""
    account = sandbox.add_cryptoprocessing("shop")

    response = await ask_cryptoprocessing(account, **changed)

    assert response.status == 400
    assert await response.json() == {"error": "Bad content format", "code": "bad_content_format"}


async def test_the_content_type_may_have_parameters(sandbox, ask_cryptoprocessing):
    """A charset does not make it another media type."""
    account = sandbox.add_cryptoprocessing("shop")

    response = await ask_cryptoprocessing(account, Content_Type="Application/JSON; charset=utf-8")

    assert response.status == 200


@pytest.mark.parametrize(("body", "field"), [(b'{"limit": 1}', "limit"), (b"[]", "body"), (b"null", "body")])
async def test_a_body_that_is_not_an_empty_object_is_a_bad_request(sandbox, ask_cryptoprocessing, body, field):
    """The response lists the unknown fields, in the second shape of errors."""
    account = sandbox.add_cryptoprocessing("shop")

    response = await ask_cryptoprocessing(account, body=body)

    assert response.status == 400
    assert list((await response.json())["errors"]) == [field]


async def test_two_accounts_are_kept_apart(sandbox, ask_cryptoprocessing):
    """The secret of one account does not sign for another."""
    first, second = sandbox.add_cryptoprocessing("first"), sandbox.add_cryptoprocessing("second")
    signature = hmac.new(first.settings["secret"].encode(), b"{}", hashlib.sha512).hexdigest()

    response = await ask_cryptoprocessing(second, X_Processing_Signature=signature)

    assert (await response.json())["code"] == "bad_header_signature"


async def test_ping_needs_no_credentials(sandbox, send):
    """Its response is plain text."""
    response = await send("GET", f"{sandbox.address}/api/v2/ping")

    assert (response.status, await response.text()) == (200, "OK")


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", "accounts/list", "POST"), ("POST", "ping", "GET")], ids=["list", "ping"]
)
async def test_another_method_is_not_allowed(sandbox, send, method, path, allowed):
    """The response has the right one in its Allow header."""
    response = await send(method, f"{sandbox.address}/api/v2/{path}")

    assert (response.status, response.headers["Allow"]) == (405, allowed)


def test_a_key_belongs_to_one_account(sandbox):
    """The key identifies the account, so two cannot share it."""
    sandbox.add_cryptoprocessing("first", key="key")

    with pytest.raises(ValueError, match="same key"):
        sandbox.add_cryptoprocessing("second", key="key")
