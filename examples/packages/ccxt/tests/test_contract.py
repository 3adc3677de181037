"""balancekit's contract, with three exchanges that sign and report in different ways."""

import base64
import json
from types import MappingProxyType

import pytest
from balancekit_ccxt import CcxtProvider

from balancekit import AssetType
from balancekit.testing import ProviderContract, left_out, overrides

KEY = "kQ9vXr2LmB7tZc4W"
SECRET = base64.b64encode(b"5e884898da28047151d0e56f8dc62927").decode()
(_, WRONG_VALUES) = ProviderContract.test_a_wrong_value_in_any_field_is_refused_or_not_read.pytestmark[0].args


def free(balance):
    """Return what orders do not hold of a balance: all, unless it says otherwise."""
    return balance.amount if balance.available is None else balance.available


def used(balance):
    """Return what orders hold of a balance, without zeros that it does not have itself."""
    held = balance.amount - free(balance)
    return f"{held:f}" if held else "0"


class ExchangeContract(ProviderContract):
    """What the exchanges have in common."""

    secrets = (KEY, SECRET)
    currencies = MappingProxyType({"EUR": AssetType.FIAT, "BTC": AssetType.CRYPTO, "USDT": AssetType.CRYPTO})
    reports_available = True
    signs_anew = True
    exchange = ""

    def make_provider(self, account, base_url):
        """Make an account of the exchange."""
        return CcxtProvider(account, exchange=self.exchange, key=KEY, secret=SECRET, base_url=base_url)


class TestBinance(ExchangeContract):
    """Free and locked as text, in rows; the key in a header, the signature in the query."""

    exchange = "binance"

    def response_body(self, balances):
        """Write `GET /api/v3/account`."""
        rows = [{"asset": held.code, "free": f"{free(held):f}", "locked": used(held)} for held in balances]
        return json.dumps(
            {
                "makerCommission": 10,
                "canTrade": True,
                "updateTime": 1767225600123,
                "accountType": "SPOT",
                "balances": rows,
                "permissions": ["SPOT"],
            }
        ).encode()

    def error_body(self, code, message):
        """Write an error of the API."""
        return json.dumps({"code": code, "msg": message}).encode()


class TestKraken(ExchangeContract):
    """Total and hold as text, by the currency's id; a signed form, and errors with the status of a success."""

    exchange = "kraken"
    test_a_new_field_is_ignored = left_out(
        "the keys of the object are currencies, so that a new one has to be a balance"
    )

    @overrides("the keys of the object are currencies, so that one that is missing is not held")
    @pytest.mark.parametrize("wrong", sorted({*WRONG_VALUES} - {"missing"}))
    def test_a_wrong_value_in_any_field_is_refused_or_not_read(self, wrong):
        """As elsewhere, but for one kind."""
        super().test_a_wrong_value_in_any_field_is_refused_or_not_read(wrong)

    def response_body(self, balances):
        """Write `POST /0/private/BalanceEx`."""
        ids = {"EUR": "ZEUR", "BTC": "XXBT"}
        rows = {ids.get(held.code, held.code): {"balance": held.plain, "hold_trade": used(held)} for held in balances}
        return json.dumps({"error": [], "result": rows}).encode()

    def error_body(self, code, message):
        """Write an error of the API."""
        return json.dumps({"error": [f"{code}:{message}"]}).encode()


class TestBitfinex(ExchangeContract):
    """Total and free as JSON numbers, in lists; the key, nonce and signature in headers of their own."""

    exchange = "bitfinex"
    test_a_wrong_value_in_any_field_is_refused_or_not_read = left_out(
        "ccxt leaves out what is not in the wallet that is read, whatever the name of that is"
    )

    def response_body(self, balances):
        """Write `POST /v2/auth/r/wallets`."""
        rows = [f'["exchange","{held.code}",{held.plain},0,{free(held):f},null,null]' for held in balances]
        return f"[{','.join(rows)}]".encode()

    def error_body(self, code, message):
        """Write an error of the API."""
        return json.dumps(["error", code, message]).encode()
