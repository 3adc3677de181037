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
