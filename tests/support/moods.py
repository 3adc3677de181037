"""Providers and a store that do as they like, and the world that notes what comes of it. Time is virtual."""

import asyncio
from contextlib import aclosing, suppress
from decimal import Decimal

import attrs

from balancekit import (
    AssetType,
    Balance,
    ProviderError,
    RateLimitedError,
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


MOODS = {
    # How often a host's providers respond, hang, raise, give nonsense, cancel their task, are cancelled by nobody,
    # refuse to end, and respond 429.
    "moody": (12, 1, 3, 1, 1, 1, 2, 0),
    "limiting": (12, 0, 1, 0, 0, 0, 1, 2),
    "hanging": (1, 12, 0, 0, 0, 0, 1, 0),
}
CALM = 0.02
"""After how many seconds the providers of a host respond that has no moods."""


@attrs.define(eq=False)
class Sent:
    """A request; `refuses` is whether it has gone on after it was cancelled, and `ended` when its response came."""

    number: int
    label: str
    client: int
    host: str
    at: float
    task: asyncio.Task
    refuses: bool = False
    ended: float = float("inf")


class World(Laws):
    """All requests that providers were sent, and what was found to break a law."""

    def __init__(self, chance):
        super().__init__(slack=SLACK)
        self.chance = chance
        self.sent = {}
        self._now = 1000.0
        # By client.
        self.requests = {}

    @property
    def now(self):
        """The time of the event loop that runs."""
        with suppress(RuntimeError):
            # What a loop that has ended has left may be cleared away when none runs.
            self._now = asyncio.get_running_loop().time()
        return self._now

    def problem(self, text):
        """Note a broken law, and when."""
        super().problem(f"at {self.now - 1000:.3f}: {text}")

    def begin(self, provider):
        """Note a request."""
        number = len(self.sent) + 1
        task = self.requests[provider.client].begin(provider.provider, provider.account, self.now)
        sent = Sent(number, provider.account, provider.client, provider.provider, self.now, task)
        self.sent[number] = sent
        return sent

    @property
    def refusing(self):
        """The tasks that have gone on after they were cancelled."""
        return {sent.task for sent in self.sent.values() if sent.refuses}

    def of(self, snapshot):
        """Return the request whose response a snapshot shows."""
        (balance,) = snapshot.balances
        return self.sent[int(balance.amount)]


class Moody:
    """A provider that does as its host likes; its balance is the number of its request."""

    def __init__(self, account, provider, client, world, *, kind):
        self.account = account
        self.fingerprint = account
        self.provider = provider
        self.client = client
        self.kind = kind
        # Not an attribute, of which errors are searched for secrets: it holds all requests.
        self._get_world = lambda: world

    @property
    def _world(self):
        return self._get_world()

    async def fetch_balances(self, session):
        """Respond, or do something else."""
        world, requests = self._world, self._world.requests[self.client]
        sent = world.begin(self)
        moods = (
            self._respond,
            self._hang,
            self._raise,
            self._nonsense,
            self._cancel,
            self._cancelled,
            self._stubborn,
            self._limit,
        )
        mood = self._calm if self.kind == "calm" else world.chance.choices(moods, weights=MOODS[self.kind])[0]
        try:
            balances = await mood(sent)
        except BaseException as error:
            requests.note(self.provider, self.account, world.now, error)
            raise
        else:
            if mood == self._nonsense or sent.refuses:
                requests.note(self.provider, self.account, world.now, ValueError())
            return balances
        finally:
            sent.ended = world.now
            requests.end(self.account, sent.ended, sent.task)

    async def _calm(self, sent):
        await asyncio.sleep(CALM)
        return self._balances(sent)

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
        if self.kind == "limiting":
            raise RateLimitedError("429", account=self.account, provider=self.provider, retry_after=2.0)
        return self._balances(sent)

    async def _limit(self, sent):
        await self._while()
        retry_after = self._world.chance.choices([None, 0, 0.3, 2.0, 100.0], weights=(4, 2, 6, 6, 1))[0]
        raise RateLimitedError("429", account=self.account, provider=self.provider, retry_after=retry_after)


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
