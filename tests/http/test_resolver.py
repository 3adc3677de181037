"""Finding the addresses of a name."""

import asyncio
import socket
import threading

import pytest

from balancekit.http.resolver import DaemonResolver

real_getaddrinfo = socket.getaddrinfo


async def test_the_addresses_are_those_that_aiohttp_finds():
    """The same as by its own resolver for threads, down to the flags that spare a second lookup."""
    from aiohttp.resolver import ThreadedResolver

    for family in (socket.AF_INET, socket.AF_UNSPEC):
        ours = await DaemonResolver().resolve("localhost", 443, family)
        assert ours == await ThreadedResolver().resolve("localhost", 443, family)
        assert ours


async def test_an_address_of_one_interface_keeps_the_interface(monkeypatch):
    """A link-local IPv6 address is none without it."""
    found = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 443, 0, 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found])

    (result,) = await DaemonResolver().resolve("router.example", 443, socket.AF_UNSPEC)

    assert result["host"].startswith("fe80::1%")


async def test_a_name_without_an_address_is_an_os_error(monkeypatch):
    """As it is where asyncio looks a name up."""

    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(socket.gaierror, match="not known"):
        await DaemonResolver().resolve("nowhere.example", 443)


@pytest.mark.parametrize("name", ["a..b", "a" * 64])
async def test_what_no_name_server_can_be_asked_for_is_an_os_error(name):
    """As a name that none knows: the host of a proxy, for example, is looked up as it is written."""
    with pytest.raises(socket.gaierror, match="empty part, or one of more than 63 characters"):
        await DaemonResolver().resolve(name, 443)


async def test_this_machine_is_found_without_a_network(monkeypatch):
    """Windows says otherwise if it is to look for addresses that can be reached alone."""

    def getaddrinfo(host, port, family, kind, flags=0):
        if flags:
            raise socket.gaierror(11001, "getaddrinfo failed")
        return real_getaddrinfo(host, port, family, kind)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    assert [found["host"] for found in await DaemonResolver().resolve("localhost", 443)] == ["127.0.0.1"]


async def test_any_number_of_names_that_hang_keep_no_other_waiting(monkeypatch):
    """Each lookup has a thread of its own."""
    answer = threading.Event()

    def getaddrinfo(host, *arguments, **options):
        if host != "localhost":
            answer.wait()
        return real_getaddrinfo("localhost", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = DaemonResolver()
    hanging = [asyncio.create_task(resolver.resolve(f"{n}.example", 443)) for n in range(50)]

    async with asyncio.timeout(30):
        assert await resolver.resolve("localhost", 443)
        assert not any(task.done() for task in hanging)
        answer.set()
        assert all(await asyncio.gather(*hanging))


def test_a_lookup_that_outlives_its_event_loop_ends_quietly(monkeypatch, capsys):
    """Nobody waits for it any more."""
    asked, answer, threads = threading.Event(), threading.Event(), []

    def getaddrinfo(*_, **__):
        threads.append(threading.current_thread())
        asked.set()
        answer.wait()
        return []

    async def give_up():
        await asyncio.wait_for(DaemonResolver().resolve("slow.example", 443), 0.01)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert asked.wait(30)
    answer.set()
    threads[0].join()

    assert threads[0].daemon
    assert capsys.readouterr().err == ""
