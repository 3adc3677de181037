"""Sandboxes in a process of their own, each an origin, and all that can go wrong with their responses."""

import asyncio
import contextlib
import logging
import multiprocessing
from collections import Counter

from balancekit.sandbox import Fault, Sandbox
from tests.long.model import plain

TIMEOUT = 0.4
"""The timeout of an attempt that the faults are made for, in seconds."""

FAULTS = {
    **{f"status {status}": Fault(status=status) for status in (204, 304, 400, 401, 403, 404, 418, 429, 500, 502, 503)},
    "proxy's page": Fault(status=502, body="<html>Bad Gateway</html>", headers={"Content-Type": "text/html"}),
    "retry at once": Fault(status=429, headers={"Retry-After": "0"}),
    "retry in a second": Fault(status=503, headers={"Retry-After": "1"}),
    "retry soon": Fault(status=429, headers={"Retry-After": "0.3"}),
    "retry the latest": Fault(status=429, headers={"Retry-After": "0.1, 0.5"}),
    "retry at nonsense": Fault(status=503, headers={"Retry-After": "soon"}),
    "redirect": Fault(status=302, headers={"Location": "https://elsewhere.invalid/"}),
    "no JSON": Fault(body="not JSON"),
    "empty": Fault(body=b""),
    "not UTF-8": Fault(body=b'{"data": "\xff"}'),
    "wrong shape": Fault(body='{"data": {}}'),
    "a float's idea of money": Fault(body='{"data": [{"balance": NaN}]}'),
    "nested": Fault(body="[" * 5000),
    "many values": Fault(body="[" + "0," * 100_000 + "0]"),
    "too large": Fault(body=b" " * (11 * 2**20)),
    "no gzip": Fault(headers={"Content-Encoding": "gzip"}),
    "harmless header": Fault(headers={"Content-Type": "text/plain"}),
    "cut at once": Fault(cut_after=0),
    "cut in the body": Fault(cut_after=20),
    "short delay": Fault(delay=0.05),
    "long delay": Fault(delay=TIMEOUT / 2),
    "delay beyond the timeout": Fault(delay=2 * TIMEOUT),
    "closed": Fault(raw=b""),
    "cut in the head": Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "no HTTP": Fault(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
    "wrong length": Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"),
    "bad chunk": Fault(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "two answers": Fault(raw=2 * b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
    "hang": Fault(hang=True),
    **{f"reset at the {part}": Fault.reset(part) for part in ("start", "head", "body")},
    **{f"stalled at the {part}": Fault.stall(part) for part in ("head", "body")},
    "dead kept-alive connection": Fault(ending="close"),
    "reset kept-alive connection": Fault(ending="reset-next"),
    "one byte more": Fault(length_error=1),
    "one byte fewer": Fault(length_error=-1),
    "drip": Fault(drip="body", interval=0.0001),
    "bomb": Fault.bomb(mebibytes=20),
    "flood": Fault.flood(),
}
COSTLY = {"hang", "too large", "delay beyond the timeout", "many values", "bomb", "flood"} | {
    name for name in FAULTS if name.startswith("stalled")
}
LIMITING = ("status 429", "retry at once", "retry soon", "retry the latest")
"""Those after which no request goes to the origin for a while: at one that plays them often nothing else happens."""

# A hanging request costs all of a timeout, and a large body much of a second: rarely, or nothing else would happen.
WEIGHTS = [0.2 if name in COSTLY else 1.0 for name in FAULTS]


class Server:
    """The sandboxes, and the commands that they take; `places` are the origins of the accounts that are elsewhere.

    With `signed` no account is behind a gateway, where nothing distinguishes it from others.
    """

    def __init__(self, holdings, places, *, signed):
        self.sandboxes = {name: Sandbox() for name in ["main", *sorted(set(places.values()))]}
        self.places = places
        self.accounts = {}
        self.names = {id(fault): name for name, fault in FAULTS.items()}
        self.requests = 0
        self.played = Counter()
        for number, (label, held) in enumerate(holdings.items()):
            amounts = {code: plain(units) for code, units in held.items()}
            sandbox = self._of(label)
            if number % 2:
                self.accounts[label] = sandbox.add_getmany(label, amounts, signed=signed or number % 10 != 1)
            else:
                as_numbers = number % 10 == 0
                self.accounts[label] = sandbox.add_cryptoprocessing(label, amounts, balances_as_numbers=as_numbers)

    def _of(self, label):
        return self.sandboxes[self.places.get(label, "main")]

    async def settings(self):
        """Return how each account is read."""
        return [(account.label, account.provider, account.settings) for account in self.accounts.values()]

    async def set(self, label, held):
        """Change what an account holds, all at once."""
        for code, units in held.items():
            self.accounts[label].set(code, plain(units))

    async def fail(self, faults, times=1):
        """Line up faults: pairs of a label, or None for the main sandbox, and a fault's name."""
        for label, name in faults:
            self._of(label).fail(label, FAULTS[name], times=times)

    async def clear_faults(self, *names):
        """Play no more faults, at all sandboxes or at those of the names."""
        for name in names or self.sandboxes:
            self.sandboxes[name].clear_faults()

    async def restart(self, name, seconds):
        """Have one of the sandboxes be out of reach for some seconds."""
        sandbox = self.sandboxes[name]
        await sandbox.aclose()
        await asyncio.sleep(seconds)
        await sandbox.start()

    async def figures(self):
        """Return how many requests came, and which faults were played."""
        for sandbox in self.sandboxes.values():
            received = sandbox.requests
            sandbox.clear_requests()
            self.requests += len(received)
            self.played.update(self.names[id(request.fault)] for request in received if request.fault is not None)
        return self.requests, self.played

    async def run(self, pipe):
        """Serve until the pipe ends."""
        async with contextlib.AsyncExitStack() as stack:
            for sandbox in self.sandboxes.values():
                await stack.enter_async_context(sandbox)
            while True:
                try:
                    name, *arguments = await asyncio.to_thread(pipe.recv)
                except EOFError:
                    return
                pipe.send(await getattr(self, name)(*arguments))


def serve(pipe, holdings, places, signed):
    """Run the server's process."""
    # A client that goes away in the middle is part of the plan.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Server(holdings, places, signed=signed).run(pipe))


class Remote:
    """The server, as the client's process commands it."""

    def __init__(self, holdings, places=None, *, signed=False):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, holdings, places or {}, signed), daemon=True)
        self._process.start()
        theirs.close()
        self._turn = asyncio.Lock()

    async def __call__(self, name, *arguments):
        """Have something done, even if this is cancelled, and wait until it is."""
        # The thread cannot be cancelled: nobody else may use the pipe before it has the answer.
        return await asyncio.shield(asyncio.create_task(self._command((name, *arguments))))

    async def _command(self, command):
        async with self._turn:
            return await asyncio.to_thread(self._ask, command)

    def _ask(self, command):
        self._pipe.send(command)
        return self._pipe.recv()

    def close(self):
        """End the server's process."""
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
