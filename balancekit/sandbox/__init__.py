"""A server on loopback that simulates both provider APIs from their specifications, for demos and for tests.

async with Sandbox() as sandbox:
    shop = sandbox.add_cryptoprocessing("shop-eu", {"BTC": "0.04", "EUR": "10000"})
    provider = CryptoprocessingProvider(shop.label, **shop.settings)
    shop.webhook_url = "http://127.0.0.1:8080/webhooks/shop-eu"
    delivery = await sandbox.settle(shop, "BTC", "0.01")
"""

from balancekit.sandbox.accounts import SandboxAccount
from balancekit.sandbox.certificates import Certificate
from balancekit.sandbox.deliveries import Attempt, Delivery
from balancekit.sandbox.faults import Fault
from balancekit.sandbox.holdings import Holding
from balancekit.sandbox.request_log import ReceivedRequest
from balancekit.sandbox.server import Sandbox
from balancekit.sandbox.webhooks import SignedWebhook, Tamper

__all__ = [
    "Attempt",
    "Certificate",
    "Delivery",
    "Fault",
    "Holding",
    "ReceivedRequest",
    "Sandbox",
    "SandboxAccount",
    "SignedWebhook",
    "Tamper",
]
