"""`balancekit webhook-test`: a signed and a forged delivery to an endpoint of one's own."""

import asyncio
import os
import re
import socket
import stat
import threading

import pytest
from aiohttp import web

from balancekit import load_config
from balancekit.sandbox.event_loop import loop_in_thread
from balancekit.webhooks import webhook_routes


@pytest.fixture
def serve():
    """Serve the webhooks of a configuration's client in a loop of its own thread; returns the address."""
    closing = []

    async def start(path):
        client = load_config(path).make_client()
        app = web.Application()
        app.add_routes(webhook_routes(client))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        closing.extend([runner.cleanup, client.aclose])
        return f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"

    with loop_in_thread() as loop:
        yield lambda path: asyncio.run_coroutine_threadsafe(start(path), loop).result()
        for close in closing:
            asyncio.run_coroutine_threadsafe(close(), loop).result()


def test_a_receiver_that_verifies_deliveries_passes(run, serve, accounts_toml):
    """It accepts the signed one, and rejects the forged one."""
    result = run("webhook-test", "--config", accounts_toml, "--account", "shop-eu", f"{serve(accounts_toml)}/shop-eu")

    assert (result.exit_code, result.stderr) == (0, "")
    signed, forged = result.stdout.splitlines()
    assert re.fullmatch(r"The signed delivery: accepted, status 204 in \d+ ms", signed)
    assert re.fullmatch(r"The forged delivery: rejected, status 400 in \d+ ms", forged)


def test_a_receiver_that_has_another_secret_fails(run, serve, accounts_toml, tmp_path):
    """The signed delivery is not accepted, and the exit code is 1."""
    address = serve(accounts_toml)
    (accounts_toml.parent / "shop-eu.secret").write_text("of-another-key")

    result = run("webhook-test", "--config", accounts_toml, "--account", "shop-eu", f"{address}/shop-eu")

    assert result.exit_code == 1
    assert result.stdout.startswith("The signed delivery: not accepted, status 400 in ")
    assert "of-another-key" not in result.output


def test_a_webhook_of_getmany_is_signed_with_a_key_for_the_test(run, serve, accounts_toml, tmp_path):
    """It is written once, readable by its owner alone, and the public key is shown for the service."""
    key = tmp_path / "test.key"
    arguments = ["webhook-test", "--config", accounts_toml, "--account", "treasury", "--key", key]

    first = run(*arguments, "http://127.0.0.1:1/")
    (public,) = re.findall(r'webhook_key = "(.*)"', first.stdout)
    text = re.sub(r"webhook_key = .*", "", accounts_toml.read_text())
    accounts_toml.write_text(text.replace('provider = "getmany"', f'provider = "getmany"\nwebhook_key = "{public}"'))
    second = run(*arguments, f"{serve(accounts_toml)}/treasury")

    assert (first.exit_code, second.exit_code) == (1, 0)
    assert "The signed delivery: not accepted: " in first.stdout
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().strip() not in first.output


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--account", "shop-uk", "http://127.0.0.1:1"],
            "accounts: no account is labelled 'shop-uk'; did you mean 'shop-us'?",
        ),
        (["--account", "shop-eu", "http://shop.example"], "URL: http:// to shop.example would send credentials"),
        (["--account", "treasury", "http://127.0.0.1:1"], "--key: name a file for a key"),
        (["--account", "treasury", "--key", "{}", "http://127.0.0.1:1"], "expected an Ed25519 private key"),
        (["--account", "shop-eu", "http://a..b"], "URL: the host has an empty part"),
        (["http://127.0.0.1:1"], "--account"),
    ],
    ids=["account", "URL", "no key", "bad key", "host", "no account"],
)
def test_what_cannot_be_sent_is_a_usage_error(run, accounts_toml, arguments, problem):
    """Nothing is sent."""
    given = [each.format(accounts_toml) for each in arguments]

    result = run("webhook-test", "--config", accounts_toml, *given)

    assert result.exit_code == 2
    assert problem in result.stderr


def test_the_command_does_not_wait_for_a_lookup_that_goes_on(run, accounts_toml, monkeypatch):
    """A name server that is dead takes longer than a delivery may: what waits for it ends with the process."""
    threads_are_daemons = []

    def getaddrinfo(*_, **__):
        threads_are_daemons.append(threading.current_thread().daemon)
        raise socket.gaierror(socket.EAI_AGAIN, "no name server")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    result = run("webhook-test", "--config", accounts_toml, "--account", "shop-eu", "https://receiver.example")

    assert result.exit_code == 1
    assert result.stdout.count("no name server") == 2
    assert set(threads_are_daemons) == {True}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has neither")
@pytest.mark.parametrize(("name", "problem"), [("fifo", "is a FIFO"), ("/dev/zero", "is a device")])
def test_a_key_is_read_from_a_regular_file(run, accounts_toml, tmp_path, name, problem):
    """Nothing is waited for, or read without an end."""
    os.mkfifo(tmp_path / "fifo")

    result = run(
        "webhook-test", "--config", accounts_toml, "--account", "treasury", "--key", tmp_path / name, "http://[::1]"
    )

    assert result.exit_code == 2
    assert f"{problem}, not a regular file" in result.stderr


@pytest.fixture
def echo():
    """Serve what quotes each request in a response that cannot be read; returns the address, and what was received."""
    received = []

    def start(response):
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    head = connection.recv(65536)
                    received.append(head)
                    connection.sendall(response.replace(b"{echo}", head.replace(b"\r\n", b" ")))

        thread = threading.Thread(target=run)
        thread.start()
        closing.extend([thread.join, listener.close])
        return f"http://127.0.0.1:{listener.getsockname()[1]}/hook-8f3a7c91d2"

    closing = []
    yield start, received
    for close in closing:
        close()


@pytest.mark.parametrize(
    "response",
    [b"Invalid request: {echo}\r\n\r\n", b"HTTP/1.1 4xx {echo}\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad {echo}\r\n\r\n", b""],
    ids=["no http", "status", "header", "nothing"],
)
def test_nothing_of_the_request_is_shown(run, echo, accounts_toml, response):
    """A debugging server, or a wrong port, may send it back: neither the key nor a signature, nor the URL's path."""
    start, received = echo

    result = run("webhook-test", "--config", accounts_toml, "--account", "shop-eu", start(response))

    assert result.exit_code == 1
    assert result.stdout.startswith("The signed delivery: not accepted: ")
    values = re.findall(rb"(?m)^X-Processing-\w+: (.*)\r$", b"".join(received))
    assert len(values) == 4
    for value in (*map(bytes.decode, values), "hook-8f3a7c91d2"):
        assert value[:8] not in result.output


def test_what_is_no_http_is_called_so(run, echo, accounts_toml):
    """There is no status in the outcome: none was sent."""
    start, _ = echo

    result = run("webhook-test", "--config", accounts_toml, "--account", "shop-eu", start(b"SSH-2.0-OpenSSH\r\n\r\n"))

    assert "ClientResponseError: the response is no HTTP: Bad status line" in result.stdout
    assert "400" not in result.stdout
