"""A server on loopback that plays both provider APIs from their specification, for demos and for tests.

async with Sandbox() as sandbox:
    shop = sandbox.add_cryptoprocessing("shop-eu", {"BTC": "0.04", "EUR": "10000"})
    provider = CryptoprocessingProvider(shop.label, **shop.settings)
"""

from balancekit.sandbox.accounts import Holding, SandboxAccount
from balancekit.sandbox.certificates import Certificate
from balancekit.sandbox.faults import Fault
from balancekit.sandbox.requests import ReceivedRequest
from balancekit.sandbox.server import Sandbox

__all__ = ["Certificate", "Fault", "Holding", "ReceivedRequest", "Sandbox", "SandboxAccount"]
