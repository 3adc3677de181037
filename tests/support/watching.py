"""What a watch gives, collected."""

import asyncio


class Seen:
    """Collects what a watch gives."""

    def __init__(self, client, *accounts, **settings):
        self.states = []
        self.task = asyncio.create_task(self._collect(client.watch(accounts or None, **settings)))

    async def _collect(self, states):
        async for merged in states:
            self.states.append(merged)

    @property
    def amounts(self):
        """What was held in all, each time."""
        return [merged.amount("BTC", partial=True) for merged in self.states]
