"""What somebody would write for two accounts: reads a configuration, asks both at once, prints the totals.

It stands alone, since it is measured as a whole process.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import sys
import time
import tomllib
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives.serialization import load_der_private_key


async def _shop(session, account):
    secret = os.environ[account["secret"]["env"]]
    headers = {
        "Content-Type": "application/json",
        "X-Processing-Key": account["key"],
        "X-Processing-Signature": hmac.new(secret.encode(), b"{}", hashlib.sha512).hexdigest(),
    }
    async with session.post(f"{account['base_url']}/accounts/list", data=b"{}", headers=headers) as response:
        response.raise_for_status()
        lines = (await response.json())["data"]
    return [(line["currency"], Decimal(line["balance"])) for line in lines]


async def _till(session, account):
    key = load_der_private_key(base64.b64decode(os.environ[account["signing_key"]["env"]]), None)
    key_id, now, nonce = account["key_id"], str(int(time.time())), base64.b64encode(os.urandom(16)).decode()
    text = f"{len(key_id)}:{key_id}:10:{now}:24:{nonce}:POST:24:/account.balance.getMany:"
    headers = {
        "Bs-Key-Id": key_id,
        "Bs-Timestamp": now,
        "Bs-Nonce": nonce,
        "Bs-Signature": base64.b64encode(key.sign(text.encode())).decode(),
    }
    async with session.post(f"{account['base_url']}/account.balance.getMany", headers=headers) as response:
        response.raise_for_status()
        held = [line["balance"] for line in (await response.json())["data"]]
    return [(one["code"], Decimal(one["value"]).scaleb(-one["decimals"])) for one in held]


async def _main(accounts):
    async with aiohttp.ClientSession() as session:
        read = (_shop if one["provider"] == "cryptoprocessing" else _till for one in accounts)
        lists = await asyncio.gather(*(one(session, account) for one, account in zip(read, accounts, strict=True)))
    totals = defaultdict(Decimal)
    for code, amount in (pair for pairs in lists for pair in pairs):
        totals[code] += amount
    for code, amount in sorted(totals.items()):
        print(f"{code:8} {amount:>30f}")


asyncio.run(_main(tomllib.loads(Path(sys.argv[1]).read_text())["accounts"].values()))
