"""Bodies of the shapes that exchanges send, by their public documentation; all values are invented."""

KRAKEN = {
    "error": [],
    "result": {
        "ZEUR": {"balance": "1504.3400", "hold_trade": "500.0000"},
        "XXBT": {"balance": "1.2435110100", "hold_trade": "0.8423000000"},
        "SOL.S": {"balance": "3.0000000000", "hold_trade": "0.0000000000"},
    },
}

BINANCE = {
    "makerCommission": 10,
    "takerCommission": 10,
    "commissionRates": {"maker": "0.00100000", "taker": "0.00100000"},
    "canTrade": True,
    "canWithdraw": False,
    "updateTime": 1767225600123,
    "accountType": "SPOT",
    "balances": [
        {"asset": "BTC", "free": "0.40120000", "locked": "0.10000000"},
        {"asset": "USDT", "free": "1250.00000000", "locked": "0.00000000"},
        {"asset": "LDBNB", "free": "2.00000000", "locked": "0.00000000"},
    ],
    "permissions": ["SPOT"],
    "uid": 354937868,
}

BINANCE_MARGIN = {
    "tradeEnabled": True,
    "marginLevel": "11.64405625",
    "totalNetAssetOfBtc": "0.93633000",
    "userAssets": [
        {
            "asset": "BTC",
            "borrowed": "0.20000000",
            "free": "0.80000000",
            "interest": "0.00010000",
            "locked": "0.10000000",
            "netAsset": "0.69990000",
        },
        {
            "asset": "USDT",
            "borrowed": "0.00000000",
            "free": "10.00000000",
            "interest": "0.00000000",
            "locked": "0.00000000",
            "netAsset": "10.00000000",
        },
    ],
}

BITFINEX = b"""[
    ["exchange", "UST", 19788.652925700000000000000001, 0, 19700.5, "Exchange 2.0 UST for USD @ 11.696", null],
    ["exchange", "BTC", 0.00000001, 0, 1e-8, null, null],
    ["margin", "BTC", 12, 0.001, 12, null, null]
]"""

OKX = {
    "code": "0",
    "msg": "",
    "data": [
        {
            "adjEq": "",
            "uTime": "1767225600000",
            "totalEq": "41624.32",
            "details": [
                {
                    "ccy": "USDT",
                    "eq": "4992.890093622894",
                    "cashBal": "4992.890093622894",
                    "availEq": "4834.317093622894",
                    "availBal": "4834.3170936228935",
                    "frozenBal": "158.573",
                    "ordFrozen": "0",
                    "upl": "0",
                    "uTime": "1767225600000",
                },
                {
                    "ccy": "BTC",
                    "eq": "0.049",
                    "cashBal": "0.049",
                    "availEq": "",
                    "availBal": "0.04",
                    "frozenBal": "0.009",
                    "ordFrozen": "0.009",
                    "upl": "",
                    "uTime": "1767225600000",
                },
            ],
        }
    ],
}

OKX_FUNDING = {
    "code": "0",
    "msg": "",
    "data": [{"availBal": "37.11827078", "bal": "37.11827078", "ccy": "ETH", "frozenBal": "0"}],
}


def coinbase_account(code, available, hold, kind="ACCOUNT_TYPE_CRYPTO"):
    """Write one account of Coinbase's Advanced Trade."""
    return {
        "uuid": "8bfc20d7-f7c6-4422-bf07-8243ca4169fe",
        "name": f"{code} Wallet",
        "currency": code,
        "available_balance": {"value": available, "currency": code},
        "default": True,
        "active": True,
        "created_at": "2025-05-31T09:59:59.000Z",
        "updated_at": "2025-05-31T09:59:59.000Z",
        "deleted_at": None,
        "type": kind,
        "ready": True,
        "hold": {"value": hold, "currency": code},
        "retail_portfolio_id": "b87a2d3f-8a1e-49b3-a4ea-402d8c389aca",
    }


def coinbase_page(*accounts, cursor=""):
    """Write one page of Coinbase's accounts; another follows if there is a cursor."""
    return {"accounts": list(accounts), "has_next": bool(cursor), "cursor": cursor, "size": len(accounts)}


KRAKEN_ASSETS = {
    "error": [],
    "result": {
        name: {"aclass": "currency", "altname": short, "decimals": 10, "display_decimals": 5, "status": "enabled"}
        for name, short in (("XXBT", "XBT"), ("ZEUR", "EUR"), ("XETH", "ETH"))
    },
}


def kraken_pair(base, quote, name):
    """Write one market of Kraken."""
    return {
        "altname": name,
        "wsname": f"{base[1:]}/{quote[1:]}",
        "aclass_base": "currency",
        "base": base,
        "aclass_quote": "currency",
        "quote": quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.25], [10000, 0.2]],
        "fees_maker": [[0, 0.16], [10000, 0.14]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
    }


KRAKEN_PAIRS = {
    "error": [],
    "result": {
        "XXBTZEUR": kraken_pair("XXBT", "ZEUR", "XBTEUR"),
        "XETHZEUR": kraken_pair("XETH", "ZEUR", "ETHEUR"),
    },
}


def kraken_ticker(ask, bid):
    """Write one ticker of Kraken."""
    return {
        "a": [ask, "1", "1.000"],
        "b": [bid, "2", "2.000"],
        "c": [bid, "0.04408910"],
        "v": ["4147.94474901", "8896.96086304"],
        "p": ["82456.22239", "82568.63032"],
        "t": [3907, 10056],
        "l": ["82302.1", "82302.1"],
        "h": ["82621.1", "82860.0"],
        "o": "82571.5",
    }
