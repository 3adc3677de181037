"""Running a command in an event loop, whatever an adapter does."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from balancekit.cli.event_loop import run
from tests.cli.conftest import ENVIRON

STUBBORN = """
import asyncio, sys
from balancekit.cli.event_loop import run

async def ignore_cancellation():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def main():
    main.task = asyncio.create_task(ignore_cancellation())
    await asyncio.sleep(0)
    return "read"

print(run(main()), flush=True)
sys.exit(3)
"""


def test_a_task_that_ignores_its_cancellation_ends_with_the_process():
    """The result is there to be shown, and nothing is written about the task."""
    ended = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "read\n", "")


def test_what_a_task_does_when_it_is_cancelled_is_done():
    """As with `asyncio.run`, and the event loop is closed."""
    ended = []

    async def work():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            ended.append(asyncio.get_running_loop())

    async def main():
        main.task = asyncio.create_task(work())
        await asyncio.sleep(0)
        raise LookupError("the result")

    with pytest.raises(LookupError, match="the result"):
        run(main())

    assert [loop.is_closed() for loop in ended] == [True]


ADAPTERS = '''
import asyncio, threading


class Stubborn:
    """Ignores that it is cancelled, as an `except BaseException` in a loop of retries does."""

    provider = "stubborn"

    def __init__(self, account):
        self.account = account

    async def fetch_balances(self, session):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass


class Blocking(Stubborn):
    """Waits in a thread, as an SDK without a timeout does."""

    provider = "blocking"

    async def fetch_balances(self, session):
        await asyncio.to_thread(threading.Event().wait)


class Leaving(Stubborn):
    """Starts a thread of its own, as an SDK that reports to somewhere does."""

    provider = "leaving"

    async def fetch_balances(self, session):
        threading.Thread(target=threading.Event().wait).start()
        return []
'''


@pytest.fixture
def command(start, accounts_toml, tmp_path):
    """Start a command with an account more, of one of these adapters; its timeout is short."""
    metadata = tmp_path / "adapters-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: adapters\nVersion: 1\n")
    names = ("stubborn", "blocking", "leaving")
    lines = "".join(f"{name} = adapters:{name.title()}\n" for name in names)
    (metadata / "entry_points.txt").write_text(f"[balancekit.providers]\n{lines}")
    (tmp_path / "adapters.py").write_text(ADAPTERS)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def command(name, adapter, *options):
        settings = accounts_toml.read_text()
        accounts_toml.write_text(f'{settings}\n[accounts.odd]\nprovider = "{adapter}"\n[client]\ntimeout = 2.5\n')
        return start(name, "--config", accounts_toml, *options, env={**ENVIRON, "PYTHONPATH": path})

    return command


@pytest.mark.parametrize(
    ("name", "adapter", "code"),
    [("balances", "stubborn", 3), ("balances", "blocking", 3), ("balances", "leaving", 0), ("check", "stubborn", 3)],
)
def test_it_ends_although_an_adapter_does_not(command, name, adapter, code):
    """What was read is shown, and the exit code is that of the result, be it a task or a thread that goes on."""
    process = command(name, adapter, "--timeout", "4")

    stdout, stderr = process.communicate(timeout=30)

    assert process.returncode == code
    assert "treasury" in stdout
    assert "Traceback" not in stderr


def test_a_watch_ends_although_an_adapter_does_not(command):
    """Ctrl-C ends it, as it ends any other."""
    process = command("watch", "stubborn")
    while "not shown" not in process.stdout.readline():
        pass

    process.send_signal(signal.SIGINT)

    process.communicate(timeout=30)
    assert process.returncode == 3
