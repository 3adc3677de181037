"""When a sandbox accepts connections, and when it refuses or ignores them."""

import asyncio

import aiohttp
import pytest

from balancekit.sandbox import Sandbox


async def test_it_listens_on_loopback():
    """The default is a free port that only this machine reaches."""
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        response = await http.get(f"{sandbox.address}/api/v2/ping")

        assert response.status == 200
        assert sandbox.address.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "sandbox.example"])
def test_it_serves_only_this_machine(host):
    """Any host but a loopback address is an error."""
    with pytest.raises(ValueError, match="loopback addresses only"):
        Sandbox(host=host)


async def test_starting_twice_is_an_error(sandbox):
    """One sandbox is one server."""
    with pytest.raises(RuntimeError, match="started already"):
        await sandbox.start()


async def test_closing_twice_does_nothing():
    """Closing is safe at any time, also before the start."""
    sandbox = Sandbox()
    await sandbox.aclose()
    await sandbox.start()

    await sandbox.aclose()
    await sandbox.aclose()


async def test_a_closed_sandbox_refuses_connections(sandbox, send):
    """Its settings stay, so that a client can be tested with a server that is down."""
    account = sandbox.add_cryptoprocessing("shop")

    await sandbox.aclose()

    with pytest.raises(aiohttp.ClientConnectorError):
        await send("GET", f"{account.settings['base_url']}/ping")


async def test_it_comes_back_on_the_same_port(sandbox, send):
    """An outage ends with the same address and the same log."""
    await send("GET", f"{sandbox.address}/before")
    address = sandbox.address

    await sandbox.aclose()
    await sandbox.start()
    await send("GET", f"{address}/after")

    assert [request.path for request in sandbox.requests] == ["/before", "/after"]


async def test_a_taken_port_is_an_error(sandbox):
    """A failed start leaves nothing open, and can be repeated."""
    second = Sandbox(port=int(sandbox.address.rpartition(":")[2]))

    with pytest.raises(OSError, match="address"):
        await second.start()
    await sandbox.aclose()

    await second.start()
    await second.aclose()


async def test_closing_leaves_no_task(until):
    """An idle connection, and one whose request is half sent, end with the sandbox."""
    before = asyncio.all_tasks()
    sandbox = Sandbox()
    await sandbox.start()
    port = int(sandbox.address.rpartition(":")[2])
    _, idle = await asyncio.open_connection("127.0.0.1", port)
    reader, half = await asyncio.open_connection("127.0.0.1", port)
    half.write(b"POST /api/v2/accounts/list HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    # One task for each connection, and one for the request.
    await until(lambda: len(asyncio.all_tasks()) > len(before) + 2)

    async with asyncio.timeout(30):
        await sandbox.aclose()

    assert asyncio.all_tasks() == before
    assert await reader.read() == b""
    for writer in (idle, half):
        writer.close()


async def test_it_can_refuse_connections(sandbox, send):
    """An open connection is dropped, new ones are refused, and the same address is served afterwards."""
    await send("GET", f"{sandbox.address}/before")

    async with sandbox.refusing():
        with pytest.raises(aiohttp.ClientConnectorError):
            await send("GET", f"{sandbox.address}/during")

    response = await send("GET", f"{sandbox.address}/after")
    assert response.status == 404
    assert [request.path for request in sandbox.requests] == ["/before", "/after"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_it_can_stop_reading(host):
    """A connection is accepted, and a request on it gets no response."""
    async with Sandbox(host=host) as sandbox:
        async with sandbox.not_reading():
            reader, writer = await asyncio.open_connection(host, int(sandbox.address.rpartition(":")[2]))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    assert sandbox.requests == ()
