"""When a sandbox accepts connections, and when it refuses or ignores them."""

import asyncio
import gc
import socket
import warnings

import aiohttp
import pytest

from balancekit.sandbox import Certificate, Fault, Sandbox


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
    port = int(sandbox.address.rpartition(":")[2])
    second = Sandbox(port=port)

    with pytest.raises(OSError, match=f"cannot listen on port {port} of 127.0.0.1: "):
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
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    for reader, writer in connections:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
    idle = len(asyncio.all_tasks())
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    await until(lambda: len(asyncio.all_tasks()) > idle)

    async with asyncio.timeout(30):
        await sandbox.aclose()

    assert asyncio.all_tasks() == before
    assert await reader.read() == b""
    for _, writer in connections:
        writer.close()


def _left_open_by(main):
    """Run a coroutine in an event loop of its own, and return what was not closed at its end."""
    with warnings.catch_warnings(record=True, action="always") as warned:
        # Not by `asyncio.run`, which lets the event loop go on for a while before it is closed.
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main)
        loop.close()
        gc.collect()
    return [str(warning.message) for warning in warned]


def _is_closed(client):
    with client:
        try:
            return client.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("turns", range(5))
def test_closing_closes_a_connection_that_is_being_accepted(turns, *, tls):
    """However far a connection has come when the sandbox closes, it ends with it, and nothing of it is left open."""
    clients = []

    async def connect_and_close():
        sandbox = Sandbox(certificate=Certificate.VALID if tls else None)
        await sandbox.start()
        address = ("127.0.0.1", int(sandbox.address.rpartition(":")[2]))
        # The kernel accepts them before the event loop does.
        clients.extend(socket.create_connection(address, timeout=30) for _ in range(3))
        for _ in range(turns):
            await asyncio.sleep(0)
        await sandbox.aclose()

    left_open = _left_open_by(connect_and_close())

    assert [_is_closed(client) for client in clients] == [True] * 3
    assert left_open == []


def test_closing_does_not_wait_for_a_client_that_does_not_read():
    """A response of which the half is sent is dropped with its connection."""
    clients = []

    async def connect_and_close():
        sandbox = Sandbox()
        await sandbox.start()
        sandbox.fail(None, Fault(body=bytes(64 * 2**20)))
        address = ("127.0.0.1", int(sandbox.address.rpartition(":")[2]))
        clients.append(socket.create_connection(address, timeout=30))
        clients[0].send(b"GET /api/v2/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.to_thread(clients[0].recv, 1)
        async with asyncio.timeout(30):
            await sandbox.aclose()

    left_open = _left_open_by(connect_and_close())
    clients[0].close()

    assert left_open == []


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
