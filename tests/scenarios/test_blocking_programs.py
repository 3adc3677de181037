"""Programs that use the blocking client: how they end, and how they fork."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def till(sandbox):
    """Return an account of the sandbox."""
    return sandbox.add_getmany("till", {"USDC": "12.5"})


def run_program(code, *arguments):
    """Run a program of its own and return what it has printed."""
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", code, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return ran.stdout + ran.stderr


ENDED = "the event loop has ended, by a fork, an adapter that exits or the end of the program"

PROGRAM = """
import os, sys
from balancekit import GetManyProvider
from balancekit.blocking import Client
key_id, signing_key, base_url = sys.argv[1:]
client = Client([GetManyProvider("till", key_id=key_id, signing_key=signing_key, base_url=base_url)])
def show(): print(client.fetch().to_text(), flush=True)
"""


def settings_of(account):
    """Return the arguments of the program."""
    return [account.settings[name] for name in ("key_id", "signing_key", "base_url")]


@pytest.mark.parametrize("end", ["", "import threading; threading.Thread(target=show).start()", "sys.exit()"])
def test_a_program_ends_without_closing_it(till, end):
    """Its session is closed at exit: nothing hangs, and nothing is warned of."""
    printed = run_program(f"{PROGRAM}show()\n{end}", *settings_of(till))

    assert printed in {"USDC 12.5\n", "USDC 12.5\nUSDC 12.5\n"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.parametrize("before", ["", "show()"])
def test_it_is_used_in_a_child_after_a_fork(till, before):
    """Used by the parent before or not, it starts a thread in the child; the parent's goes on, with its connection."""
    fork = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking while there are threads
child = os.fork()
if child == 0:
    show()
    client.close()
    sys.exit()
print(os.waitpid(child, 0)[1])
show()
"""
    printed = run_program(f"{PROGRAM}{before}{fork}", *settings_of(till))

    assert printed == ("USDC 12.5\n" if before else "") + "USDC 12.5\n0\nUSDC 12.5\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.parametrize("kind", ["stream", "watch"])
@pytest.mark.parametrize("call", ["close", "__next__"])
def test_an_iteration_of_the_parent_does_not_go_on_in_a_child(till, kind, call):
    """Closing it there closes nothing, its next value is an error, and the parent's goes on."""
    fork = f"""
import asyncio, signal, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking while there are threads
class Waiting:
    account, provider = "waiting", "shop"
    async def fetch_balances(self, session):
        waited.set()
        while not goes_on:
            await asyncio.sleep(0.01)
        return []
waited, goes_on = threading.Event(), []
client.add(Waiting())
iteration = client.{kind}()
next(iteration)
def wait():
    for value in iteration:
        if getattr(value, "account", "") == "waiting" or getattr(value, "complete", False):
            print("goes on")
            break
waiting = threading.Thread(target=wait)
waiting.start()
waited.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)  # if it waits for ever
    try:
        iteration.{call}()
        print("closed", flush=True)
    except RuntimeError as error:
        print(error, flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
goes_on.append(True)
waiting.join()
iteration.close()
"""
    printed = run_program(f"{PROGRAM}{fork}", *settings_of(till)).splitlines()

    assert printed == ["closed" if call == "close" else ENDED, "0", "goes on"]


def test_a_call_at_the_end_of_the_program_is_an_error():
    """As in a `__del__`: no thread can be begun for it then."""
    printed = run_program("""
from balancekit.blocking import Client
class Report:
    client = Client([])
    def __del__(self):
        try:
            self.client.fetch()
        except RuntimeError as error:
            print(error)
report = Report()
report.client.fetch()
""")

    assert printed == f"{ENDED}\n"


def test_clients_that_do_not_end_are_waited_for_together():
    """Two seconds at the end of the program, not two for each; each is told to end before."""
    printed = run_program("""
import asyncio, atexit, threading, time
# The first to be registered is the last to be called.
atexit.register(lambda: print(time.monotonic() - ends, len(told)))
from balancekit.blocking import Client
begun, told = threading.Semaphore(0), set()
class Stubborn:
    account, provider = "till", "shop"
    async def fetch_balances(self, session):
        begun.release()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.add(self)
clients = [Client([Stubborn()]) for _ in range(4)]
for client in clients:
    threading.Thread(target=client.fetch, daemon=True).start()
for client in clients:
    begun.acquire()
ends = time.monotonic()
""")

    seconds, told = printed.splitlines()[0].split()
    assert 1.9 < float(seconds) < 5
    assert told == "4"
