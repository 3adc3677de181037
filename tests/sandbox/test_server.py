"""The lifetime of a sandbox, and what it serves outside both APIs."""

import asyncio
import tempfile

import aiohttp
import pytest

from balancekit.sandbox import Certificate, Sandbox
from balancekit.sandbox.certificates import Authority


async def test_it_listens_on_loopback():
    """The default is a free port that only this machine reaches."""
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        response = await http.get(f"{sandbox.address}/api/v2/ping")

        assert response.status == 200
        assert sandbox.address.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "sandbox.example"])
def test_it_serves_this_machine_alone(host):
    """A stand-in with invented money is not put on a network."""
    with pytest.raises(ValueError, match="loopback addresses only"):
        Sandbox(host=host)


async def test_settings_need_the_port():
    """An account can be added before the start; where it is found is known after it."""
    sandbox = Sandbox()
    accounts = [sandbox.add_cryptoprocessing("a"), sandbox.add_getmany("b"), sandbox.add_getmany("c", signed=False)]

    for account in accounts:
        with pytest.raises(RuntimeError, match="must be started first"):
            _ = account.settings
    async with sandbox:
        assert all(account.settings["base_url"].startswith(sandbox.address) for account in accounts)
    assert sandbox.accounts == tuple(accounts)


async def test_credentials_are_random():
    """No two sandboxes share a secret."""
    settings = []
    for _ in range(2):
        sandbox = Sandbox(port=1)
        settings.append(sandbox.add_cryptoprocessing("shop").settings | sandbox.add_getmany("till").settings)

    assert [name for name in settings[0] if settings[0][name] == settings[1][name]] == ["base_url"]


def test_given_credentials_are_kept():
    """Vectors can be played."""
    sandbox = Sandbox(port=8080)

    shop = sandbox.add_cryptoprocessing("shop", key="public", secret="private")

    assert shop.settings == {"key": "public", "secret": "private", "base_url": "http://127.0.0.1:8080/api/v2"}


@pytest.mark.parametrize("again", ["add_cryptoprocessing", "add_getmany"])
def test_a_label_belongs_to_one_account(again):
    """Labels are unique over both providers."""
    sandbox = Sandbox()
    sandbox.add_getmany("shop", signed=False)

    with pytest.raises(ValueError, match="two accounts are labelled 'shop'"):
        getattr(sandbox, again)("shop")


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


async def test_a_closed_sandbox_listens_no_more(sandbox, send):
    """Its settings stay, so that a client can be shown that nobody is there."""
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
    """A start that failed leaves nothing open, and can be tried again."""
    second = Sandbox(port=int(sandbox.address.rpartition(":")[2]))

    with pytest.raises(OSError, match="address"):
        await second.start()
    await sandbox.aclose()

    await second.start()
    await second.aclose()


async def test_closing_leaves_no_task(until):
    """Connections that are idle, and one whose request is half sent, end with the sandbox."""
    before = asyncio.all_tasks()
    sandbox = Sandbox()
    await sandbox.start()
    port = int(sandbox.address.rpartition(":")[2])
    _, idle = await asyncio.open_connection("127.0.0.1", port)
    reader, half = await asyncio.open_connection("127.0.0.1", port)
    half.write(b"POST /api/v2/accounts/list HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    await until(lambda: sandbox._listener._tasks)

    async with asyncio.timeout(1):
        await sandbox.aclose()

    assert asyncio.all_tasks() == before
    assert await reader.read() == b""
    for writer in (idle, half):
        writer.close()


async def test_the_date_is_that_of_the_clock(sandbox, clock, send):
    """A client can be shown that its clock is off."""
    clock.now = 0

    response = await send("GET", f"{sandbox.address}/api/v2/ping")

    assert response.headers.getall("Date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


@pytest.mark.parametrize("path", ["/", "/api/v1/ping", "/api/v2x", "/account.balance.getmany"])
async def test_what_is_outside_both_apis_is_not_found(sandbox, send, path):
    """Neither provider answers for it."""
    response = await send("POST", sandbox.address + path)

    assert (response.status, response.content_type) == (404, "text/plain")


async def test_it_can_refuse_connections(sandbox, send):
    """Nobody listens, an open connection is dropped, and the same address answers afterwards."""
    await send("GET", f"{sandbox.address}/before")

    async with sandbox.refusing():
        with pytest.raises(aiohttp.ClientConnectorError):
            await send("GET", f"{sandbox.address}/during")

    response = await send("GET", f"{sandbox.address}/after")
    assert response.status == 404
    assert [request.path for request in sandbox.requests] == ["/before", "/after"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_it_can_stop_reading(host):
    """A connection is accepted, and what is sent on it is not read."""
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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_can_speak_tls(send, host):
    """A client that trusts the sandbox's authority is answered."""
    async with Sandbox(host=host, certificate=Certificate.VALID) as sandbox:
        connector = aiohttp.TCPConnector(ssl=sandbox.client_context)
        async with aiohttp.ClientSession(connector=connector) as http:
            response = await http.get(f"{sandbox.address}/api/v2/ping")

            assert response.status == 200
    assert sandbox.address.startswith(f"https://{host}:")


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (Certificate.EXPIRED, "certificate has expired"),
        (Certificate.OTHER_HOST, "IP address mismatch"),
        (Certificate.SELF_SIGNED, "self-signed certificate"),
    ],
)
async def test_a_wrong_certificate_is_wrong_in_one_way(certificate, reason):
    """A client that trusts the sandbox's authority refuses it for its own reason and asks nothing."""
    async with Sandbox(certificate=certificate) as sandbox:
        connector = aiohttp.TCPConnector(ssl=sandbox.client_context)
        async with aiohttp.ClientSession(connector=connector) as http:
            with pytest.raises(aiohttp.ClientConnectorCertificateError, match=reason):
                await http.get(f"{sandbox.address}/api/v2/ping")

    assert sandbox.requests == ()


def test_without_a_certificate_there_is_no_authority():
    """A sandbox that speaks plain HTTP has nothing to trust."""
    with pytest.raises(RuntimeError, match="does not speak TLS"):
        _ = Sandbox().client_context


def test_certificates_leave_no_file(tmp_path, monkeypatch):
    """The private key is on the disk only while it is loaded."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    Authority(Certificate.VALID).server_context("127.0.0.1")

    assert list(tmp_path.iterdir()) == []
