"""Accounts at one origin that share a list of the moments at which requests were sent."""

import asyncio

from balancekit import RateLimitedError
from tests.support.providers import Scripted


def too_many(account="shop", retry_after=60.0):
    """Make the error of a 429."""
    return RateLimitedError("429", account=account, provider="scripted", status=429, retry_after=retry_after)


class Shop(Scripted):
    """A scripted provider that keeps when its requests were sent, in seconds from the first of all."""

    sent: list

    async def fetch_balances(self, session):
        """Play the next step."""
        self.sent.append(asyncio.get_running_loop().time())
        return await super().fetch_balances(session)


def shops(*scripts):
    """Make accounts at one origin that share a list of the moments at which requests were sent."""
    made = [Shop(f"shop{number}", *script) for number, script in enumerate(scripts)]
    sent = []
    for shop in made:
        shop.sent = sent
    return made


def since_first(sent):
    """Return the moments of requests, in seconds from the first."""
    return [moment - sent[0] for moment in sent]
