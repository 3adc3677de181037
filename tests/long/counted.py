"""Providers of a soak, which note their requests: real ones, at the origins that they really are at."""

import time

from balancekit import CryptoprocessingProvider, GetManyProvider
from balancekit.providers.base import HttpProvider


class Counted(HttpProvider):
    """Counts how many of an account's requests are under way and how many are wanted, and holds them to the laws.

    A request is wanted as long as a call that has asked for its account has not ended. `requests` are those of all
    accounts (`tests.support.laws.Requests`), and `attempts` is their number.
    """

    requests = None
    attempts = 0

    def __init__(self, account, **settings):
        super().__init__(account, **settings)
        self.running = 0
        self.wanted = 0

    async def fetch_balances(self, session):
        """Count and pass on."""
        Counted.attempts += 1
        self.running += 1
        task = self.requests.begin(self.origin, self.account, time.monotonic())
        try:
            return await super().fetch_balances(session)
        except BaseException as error:
            self.requests.note(self.origin, self.account, time.monotonic(), error)
            raise
        finally:
            self.running -= 1
            self.requests.end(self.account, time.monotonic(), task)


class CountedCryptoprocessing(Counted, CryptoprocessingProvider):
    """An account at Cryptoprocessing."""


class CountedGetMany(Counted, GetManyProvider):
    """An account at getMany."""


PROVIDERS = {"cryptoprocessing": CountedCryptoprocessing, "getmany": CountedGetMany}
