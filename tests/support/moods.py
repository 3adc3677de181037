"""Providers and a store that do as they like, and the world that notes what comes of it. Time is virtual."""

import asyncio
from contextlib import aclosing
from decimal import Decimal

import attrs

from balancekit import (
    AssetType,
    Balance,
    ProviderError,
    ServiceUnavailableError,
    TransportError,
    WebhookEvent,
)
from balancekit.stores import MemoryStore
from tests.support.clock import LoopClock
from tests.support.laws import Laws

SLACK = 0.1
WELL, UNWELL = 0.04, 0.4
"""How many seconds a call to a store that is well, or to one that is not, takes at most on the way there."""


class Unheard(BaseException):
    """An exception that `except Exception` does not catch."""


class MuteError(Exception):
    """An exception that cannot be printed."""

    def __str__(self):
        raise MuteError


@attrs.define(eq=False)
class Sent:
    """A request; `refuses` is whether it has gone on after it was cancelled."""

    number: int
    label: str
    client: int
    host: str
    at: float
    task: asyncio.Task
    refuses: bool = False


class World(Laws):
    """All requests that providers were sent, and what was found to break a law."""

    def __init__(self, chance):
        super().__init__(slack=SLACK)
        self.chance = chance
        self.loop = asyncio.get_running_loop()
        self.sent = {}
        self.under_way = set()
        self.concurrency = {}

    def problem(self, text):
        """Note a broken law, and when."""
        super().problem(f"at {self.loop.time() - 1000:.3f}: {text}")

    def begin(self, provider):
        """Note a request."""
        number, task = len(self.sent) + 1, asyncio.current_task()
        sent = Sent(number, provider.account, provider.client, provider.provider, self.loop.time(), task)
        self.sent[number] = sent
        self.under_way.add(sent)
        at_once = sum(other.client == sent.client and not other.refuses for other in self.under_way)
        if at_once > self.concurrency[sent.client]:
            self.problem(f"{at_once} requests under way with a concurrency of {self.concurrency[sent.client]}")
        return sent


class Moody:
    """A provider that does as it likes; its balance is the number of its request."""

    def __init__(self, account, provider, client, world):
        self.account = account
        self.fingerprint = account
        self.provider = provider
        self.client = client
        self._world = world

    async def fetch_balances(self, session):
        """Respond, or do something else."""
        sent = self._world.begin(self)
        moods = (self._respond, self._hang, self._raise, self._nonsense, self._cancel, self._cancelled, self._stubborn)
        try:
            return await self._world.chance.choices(moods, weights=(12, 1, 3, 1, 1, 1, 2))[0](sent)
        finally:
            self._world.under_way.discard(sent)

    def verify_webhook(self, headers, body, *, now=None):
        """Take the body for the id of an event."""
        return WebhookEvent(self.account, self.provider, body.decode(), "payment", None, settled=True)

    def _balances(self, sent):
        return [Balance("BTC", Decimal(sent.number), AssetType.CRYPTO, self.account, self.provider, "BTC")]

    async def _while(self):
        if self._world.chance.random() < 0.9:
            await asyncio.sleep(self._world.chance.choice([0, 0.01, 0.1, self._world.chance.uniform(0, 1)]))

    async def _respond(self, sent):
        await self._while()
        return self._balances(sent)

    async def _hang(self, sent):
        await asyncio.get_running_loop().create_future()

    async def _raise(self, sent):
        await self._while()
        about = {"account": self.account, "provider": self.provider}
        raise self._world.chance.choice(
            [
                ServiceUnavailableError("503", **about, retry_after=self._world.chance.choice([None, 0, 0.3, 100])),
                TransportError("reset", **about),
                ProviderError("no", **about),
                TimeoutError(),
                ConnectionResetError(),
                StopAsyncIteration(),
                GeneratorExit(),
                Unheard(),
                MuteError(),
                BaseExceptionGroup("several", [Unheard(), asyncio.CancelledError()]),
            ]
        )

    async def _nonsense(self, sent):
        await self._while()
        stranger = Balance("BTC", Decimal(1), AssetType.CRYPTO, "stranger", self.provider, "BTC")
        return self._world.chance.choice([None, 7, [7], [stranger]])

    async def _cancel(self, sent):
        asyncio.current_task().cancel()
        await self._while()
        return self._balances(sent)

    async def _cancelled(self, sent):
        await self._while()
        raise asyncio.CancelledError

    async def _stubborn(self, sent):
        loop, more = asyncio.get_running_loop(), self._world.chance.choice([0, 0.2, 3])
        ends_at = loop.time() + 3
        while (left := ends_at - loop.time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not sent.refuses:
                    sent.refuses, ends_at = True, loop.time() + more
        return self._balances(sent)


def _moody(name):
    async def call(self, *args, **kwargs):
        await self.before()
        result = await getattr(self.store, name)(*args, **kwargs)
        await self.after()
        return result

    return call


class MoodyStore:
    """A store that takes its time, and that raises or hangs unless it is well."""

    def __init__(self, world, *, well):
        self.store = MemoryStore(clock=LoopClock())
        self._chance = world.chance
        self._well = well

    get, put, invalidate, lease, release, seen, remember, acquire_permit, release_permit = map(
        _moody,
        ("get", "put", "invalidate", "lease", "release", "seen", "remember", "acquire_permit", "release_permit"),
    )

    async def changes(self):
        """Give the changes, until it breaks."""
        await self.before()
        async with aclosing(self.store.changes()) as changes:
            async for change in changes:
                yield change
                if not self._well and self._chance.random() < 0.05:
                    raise ConnectionResetError

    async def before(self):
        """Take time on the way there, or never get there."""
        if self._chance.random() < 0.3:
            await asyncio.sleep(self._chance.uniform(0, WELL if self._well else UNWELL))
        if not self._well:
            await self._break()

    async def after(self):
        """Take time on the way back, or never get back."""
        if self._chance.random() < 0.3:
            await asyncio.sleep(self._chance.uniform(0, WELL))
        if not self._well:
            await self._break()

    async def _break(self):
        broken = self._chance.random()
        if broken < 0.02:
            raise ConnectionResetError
        if broken < 0.03:
            raise asyncio.CancelledError
        if broken < 0.04:
            raise MuteError
        if broken < 0.05:
            await asyncio.sleep(5)
