"""requests, in 100 threads with a session each."""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, localcontext

import requests

from benchmarks.accounts import EXACT, Account
from benchmarks.contenders.contender import Contender, Fetched, Signer, make_signers
from benchmarks.contenders.tuned import add


class Requests(Contender):
    """A pool of threads that stays, with sessions as they come; it blocks the loop, which has nothing else to do."""

    name = "requests, 100 threads"
    trust_env = True

    def __init__(self, base_url: str, accounts: tuple[Account, ...]) -> None:
        super().__init__(base_url, accounts)
        self.signers = make_signers(base_url, accounts)
        self._threads = ThreadPoolExecutor(self.concurrency, initializer=self._open)
        self._own = threading.local()
        self._sessions: list[requests.Session] = []

    def _open(self) -> None:
        self._own.session = session = requests.Session()
        session.trust_env = self.trust_env
        self._sessions.append(session)

    async def fetch(self) -> Fetched:
        """Read all accounts once."""
        totals: defaultdict[str, Decimal] = defaultdict(Decimal)
        with localcontext(EXACT):
            for signer, body in zip(self.signers, self._threads.map(self._read, self.signers), strict=True):
                add(totals, signer.account, body)
        return Fetched(totals)

    def _read(self, signer: Signer) -> bytes:
        response = self._own.session.post(
            signer.url, data=signer.body, headers=signer.headers(), timeout=10, allow_redirects=False
        )
        response.raise_for_status()
        return response.content

    async def aclose(self) -> None:
        """End the threads and close their sessions."""
        self._threads.shutdown()
        for session in self._sessions:
            session.close()


class PlainRequests(Requests):
    """The same without looking for proxies and a `.netrc` in the environment, as aiohttp and httpx are used here."""

    name = "requests, environment unread"
    trust_env = False
