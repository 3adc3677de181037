"""The store in Redis after a fork: parent and child each have connections of their own."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, gc, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking while there are threads
from balancekit.stores import RedisStore
store, loop = RedisStore.from_url(sys.argv[1]), asyncio.new_event_loop()
changes = store.changes()

def run(coroutine):
    if sys.argv[2] == "stands still":
        return loop.run_until_complete(coroutine)
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

async def begin():
    # Only where the child closes the store: what gives changes would keep the connections from being collected.
    if sys.argv[3] == "closes":
        await anext(changes)
    return await store.lease("shop", "parent", seconds=60)

async def end():
    global changes, store
    print(await store.lease("shop", "child", seconds=60) > 0)
    if sys.argv[3] == "closes":
        await asyncio.wait_for(store.aclose(), 5)
    changes = store = None
    gc.collect()

async def go_on():
    print(await store.lease("shop", "parent", seconds=60))
    if sys.argv[3] == "closes":
        await store.invalidate("shop")
        print(await asyncio.wait_for(anext(changes), 5))
    await changes.aclose()
    await store.aclose()

if sys.argv[2] == "runs":
    threading.Thread(target=loop.run_forever, daemon=True).start()
print(run(begin()), flush=True)
child = os.fork()
if child == 0:
    try:
        asyncio.run(end())
    except BaseException as error:
        print(repr(error))
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
run(go_on())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.parametrize("loop", ["stands still", "runs"])
@pytest.mark.parametrize("child", ["closes", "drops"])
def test_a_child_leaves_the_connections_of_its_parent_alone(server, loop, child):
    """It has its own, and ends them at once; the parent goes on with those that it has, and hears of changes."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.url, loop, child],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    heard = "Change(key='shop', invalidated=True, released=False)\n" if child == "closes" else ""
    assert ran.stdout + ran.stderr == f"0.0\nTrue\n0.0\n{heard}"
