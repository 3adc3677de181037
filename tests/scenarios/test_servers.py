"""Servers of docs/servers.md stop while readers of a watch are attached and an account hangs; over real sockets."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web

from balancekit import AggregateClient, GetManyProvider
from balancekit.sandbox import Fault
from tests.support.pages import ROOT, blocks
from tests.support.redis_server import free_port

PAGE = "docs/servers.md"
STOPS_WITHIN = 2.0
"""Seconds; without `stop_watching` none of these servers stops at all."""

COMMAND = """
{server}
{signals}
import json
import os
from contextlib import asynccontextmanager
from balancekit import GetManyProvider

accounts = json.loads(os.environ["ACCOUNTS"])
client = AggregateClient([GetManyProvider(label, **settings) for label, settings in accounts.items()])
app = make_starlette_server(client).config.app


@asynccontextmanager
async def lifespan(app):
    async with client:
        with stop_watching_at_signals(client):
            yield


app.router.lifespan_context = lifespan
"""


def program(name):
    """Return the program of the page that defines a name."""
    (code,) = [block.code for block in blocks("python") if f"def {name}(" in block.code]
    return code


def defined(name):
    """Run the program of the page, and return what it defines by that name."""
    namespace = {}
    exec(compile(program(name), PAGE, "exec"), namespace)
    return namespace[name]


@pytest.fixture
async def accounts(sandbox):
    """Give the settings of an account that responds, and of one that hangs."""
    settings = {label: sandbox.add_getmany(label, {"USDC": "1"}).settings for label in ("till", "hung")}
    sandbox.fail("hung", Fault(hang=True), times=1000)
    return settings


@pytest.fixture
async def client(accounts):
    """Make a client of both accounts, which the server closes."""
    return AggregateClient([GetManyProvider(label, **settings) for label, settings in accounts.items()])


async def serve_aiohttp(client, port):
    """Serve until cancelled, as `web.run_app` does."""
    runner = web.AppRunner(defined("make_aiohttp_app")(client), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner.cleanup


async def serve_uvicorn(client, port):
    """Serve until `should_exit` is set."""
    server = defined("make_starlette_server")(client, port)
    task = asyncio.create_task(server.serve())

    async def stop():
        server.should_exit = True
        await task

    return stop


async def read(session, url, arrived, ended):
    """Read a stream to its end, and note when its first event has arrived."""
    for _ in range(200):
        with suppress(aiohttp.ClientConnectorError):
            async with session.get(url) as response:
                async for line in response.content:
                    if line.startswith(b"data: "):
                        assert b'"USDC"' in line
                        arrived.release()
                ended.append(url)
                return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("serve", [serve_aiohttp, serve_uvicorn], ids=["aiohttp", "uvicorn and Starlette"])
async def test_a_server_stops_while_readers_are_attached(client, serve):
    """It ends their responses properly, waits for no hung account, and leaves no task behind."""
    before = asyncio.all_tasks()
    stop = await serve(client, port := free_port())
    arrived, ended = asyncio.Semaphore(0), []
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        url = f"http://127.0.0.1:{port}/events"
        readers = [asyncio.create_task(read(session, url, arrived, ended)) for _ in range(2)]
        for _ in readers:
            await arrived.acquire()
        async with asyncio.timeout(STOPS_WITHIN):
            await stop()
        await asyncio.gather(*readers)
    await asyncio.sleep(0)

    assert len(ended) == 2
    assert repr(client) == "AggregateClient(2 accounts, closed)"
    assert asyncio.all_tasks() <= before


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
async def test_a_server_that_the_command_of_uvicorn_runs_stops(accounts, tmp_path):
    """SIGTERM ends the watches first, so that the process ends."""
    code = COMMAND.format(server=program("make_starlette_server"), signals=program("stop_watching_at_signals"))
    (tmp_path / "service.py").write_text(code)
    port, arrived, ended = free_port(), asyncio.Semaphore(0), []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--app-dir", tmp_path, "--port", str(port), "service:app"),
        env=os.environ | {"ACCOUNTS": json.dumps(accounts), "PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            url = f"http://127.0.0.1:{port}/events"
            readers = [asyncio.create_task(read(session, url, arrived, ended)) for _ in range(2)]
            for _ in readers:
                await arrived.acquire()
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOPS_WITHIN):
                code = await process.wait()
            await asyncio.gather(*readers)
    finally:
        with suppress(ProcessLookupError):
            process.kill()

    assert (code, len(ended)) == (-signal.SIGTERM, 2)
