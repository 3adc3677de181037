"""Providers that do no I/O: one that plays a script, one whose balance the test sets, one at an origin of its own."""

import asyncio
from decimal import Decimal

from balancekit import AssetType, Balance, HttpProvider, Request, ServiceUnavailableError, WebhookEvent


def bitcoin(provider, amount):
    """Return what an account holds as one balance in BTC."""
    return [Balance("BTC", Decimal(amount), AssetType.CRYPTO, provider.account, provider.provider, "BTC")]


def outage(account, **facts):
    """Make the error of a provider that is down."""
    return ServiceUnavailableError("503", account=account, provider="scripted", status=503, **facts)


class Scripted:
    """A provider that plays its script, one step an attempt.

    A step is seconds to wait, an exception to raise, balances, or a coroutine function that gives them.
    """

    provider = "scripted"

    def __init__(self, account, *script, running=None):
        self.account = account
        self.script = list(script)
        self.calls = 0
        self.running = running or Running()

    def balances(self, amount="1"):
        """Return one balance of the account."""
        return bitcoin(self, amount)

    async def fetch_balances(self, session):
        """Play the next step."""
        self.calls += 1
        self.session = session
        step = self.script.pop(0) if self.script else None
        with self.running:
            if isinstance(step, int | float):
                await asyncio.sleep(step)
            elif isinstance(step, BaseException):
                raise step
            elif callable(step):
                return await step()
            elif step is not None:
                return step
            return self.balances()


class Running:
    """Counts how many calls are under way at once."""

    def __init__(self):
        self.now = self.most = 0

    def __enter__(self):
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_):
        self.now -= 1


class Till:
    """A provider that holds the amount that it is set to, or else the number of its requests, and takes any webhook.

    It responds after `takes` seconds, and fails while it is `broken`.
    """

    provider = "till"

    def __init__(self, account="till", *, takes=1.0, held=None):
        self.account = account
        self.fingerprint = f"till {account}"
        self.takes = takes
        self.held = held
        self.requests = 0
        self.ended = 0
        self.broken = False
        self.retry_after = None
        self.event_id = None

    async def fetch_balances(self, session):
        """Respond, or fail."""
        self.requests += 1
        self.session = session
        number = self.requests
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.ended += 1
        if self.broken:
            facts = {"retryable": False, "retry_after": self.retry_after}
            raise ServiceUnavailableError("503", account=self.account, provider=self.provider, **facts)
        return bitcoin(self, number if self.held is None else self.held)

    def verify_webhook(self, headers, body, *, now=None):
        """Take the body for the event's id; headers may be an exception to raise, or "pending" for no settlement."""
        if isinstance(headers, Exception):
            raise headers
        event_id = self.event_id or body.decode()
        return WebhookEvent(self.account, self.provider, event_id, "payment", None, settled=headers != "pending")


class QuickTill(Till):
    """A till that responds after a tenth of a second, and holds 1 until it is set."""

    def __init__(self, account="till", *, takes=0.1, held="1"):
        super().__init__(account, takes=takes, held=held)


class Bank(HttpProvider):
    """An account at `https://bank.example`, which responds after `takes` seconds, or fails while `down()`."""

    provider = "bank"

    def __init__(self, account, *, takes=0.0, down=lambda: False):
        super().__init__(account, base_url="https://bank.example/api")
        self.takes, self.down, self.calls = takes, down, []

    def build_request(self, *, now, nonce):
        """Build a request that is never sent."""
        return Request("GET", f"{self.base_url}/{self.account}")

    def read_response(self, response):
        """Read a response that never comes."""
        return ()

    async def fetch_balances(self, session):
        """Respond, or fail."""
        self.calls.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if self.down():
            raise ServiceUnavailableError("503", account=self.account, provider=self.provider, status=503)
        return []
