"""What reading balances costs, in counts that are the same on any machine; times are for benchmarks."""

import gc
import json
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime

import pytest

from balancekit import AccountBalances, CryptoprocessingProvider, GetManyProvider, Response, merge
from balancekit.cli.sandbox_settings import write_settings
from tests.support.calls import python_calls_of

SHOP = CryptoprocessingProvider("shop", key="a-public-key", secret="a-secret")
TILL = GetManyProvider("till")
LINES = 500
ANSWERS = 10
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def crypto_line(number):
    """Return what cryptoprocessing.com sends of one balance."""
    return {"currency": f"C{number % 20}", "type": "crypto", "balance": f"{number}.12345678"}


def getmany_line(number):
    """Return what getMany sends of one balance."""
    reference = f"01a694ab-b2cb-43b4-b048-1ab9115f{number:04}"
    amount = {"value": f"{number}12345678", "code": f"C{number % 20}", "decimals": 8, "chain": "ethereum"}
    return {"id": reference, "account_id": reference, "balance": amount}


def answer_of(line):
    """Return an answer of some hundred lines."""
    return Response(200, body=json.dumps({"data": [line(number) for number in range(LINES)]}).encode())


def imported_by(code):
    """Return the modules that a fresh interpreter imports to run the code."""
    report = "print('', *set(sys.modules) - before, file=sys.stderr)"
    program = f"import sys\nbefore = set(sys.modules)\ntry:\n    {code}\nfinally:\n    {report}"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return set(ran.stderr.split())


def run_by(*arguments):
    """Return the code that runs the command line."""
    return f"sys.argv = {['balancekit', *map(str, arguments)]!r}; from balancekit.__main__ import main; main()"


@pytest.mark.parametrize(
    ("code", "most"),
    [("import balancekit", 2), (run_by("--version"), 3), ("from balancekit import Balance, merge", 104)],
    ids=["the package", "its version", "the arithmetic"],
)
def test_imports_are_few(code, most):
    """Nobody waits for what was not asked for."""
    imported = imported_by(code)

    assert "balancekit" in imported
    assert len(imported) <= most


@pytest.mark.parametrize("left_alone", ["aiohttp", "asyncio", "attrs", "cattrs", "cryptography", "rich"])
def test_help_is_given_without_what_the_commands_need(left_alone):
    """Help is text, and nothing but click has a part in it."""
    imported = imported_by(run_by("--help"))

    assert {"click", "balancekit.cli"} <= imported
    assert left_alone not in imported


@pytest.mark.parametrize("body", ['{"data":[]}', '{"data":{}}'], ids=["good", "bad"])
def test_a_response_is_read_and_merged_without_cattrs(body):
    """Results that are written and read again need it, and nothing else."""
    imported = imported_by(
        "from balancekit import *; merge([]); shop = CryptoprocessingProvider('shop', key='k', secret='s'); "
        f"shop.read_response(Response(200, body=b'{body}'))"
    )

    assert "msgspec" in imported
    assert "cattrs" not in imported


@pytest.mark.parametrize(
    ("form", "needed", "left_alone"),
    [
        ("csv", {"aiohttp"}, {"rich", "cattrs", "cryptography", "balancekit.sandbox"}),
        ("json", {"aiohttp"}, {"rich", "cryptography", "balancekit.sandbox"}),
        ("table", {"aiohttp", "rich"}, {"cattrs", "cryptography", "balancekit.sandbox"}),
    ],
)
def test_a_command_imports_what_it_needs(sandbox, tmp_path, form, needed, left_alone):
    """Tables need rich, and only an account that signs with Ed25519 needs cryptography."""
    path = write_settings(tmp_path, [sandbox.add_cryptoprocessing("shop", {"BTC": "1"})])

    imported = imported_by(run_by("balances", "--config", path, "--format", form))

    assert needed <= imported
    assert not left_alone & imported


def test_a_command_searches_for_no_garbage_among_what_it_imports(sandbox, tmp_path):
    """At its end that would take a tenth of the time that reading two accounts takes."""
    path = write_settings(tmp_path, [sandbox.add_cryptoprocessing("shop", {"BTC": "1"})])
    watched = "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count(), len(gc.get_objects())))"

    ran = subprocess.run(
        [sys.executable, "-c", f"{watched}; {run_by('balances', '--config', path)}"],
        capture_output=True,
        text=True,
        check=True,
    )
    frozen, searched = map(int, ran.stdout.split()[-2:])

    assert frozen > searched


@pytest.mark.parametrize(
    ("provider", "line", "most"), [(SHOP, crypto_line, 2), (TILL, getmany_line, 3)], ids=["cryptoprocessing", "getmany"]
)
def test_a_kept_balance_is_itself_its_amount_and_its_reference(provider, line, most):
    """Codes, chains, labels and types are shared by all balances, whatever account they are of."""
    response = answer_of(line)
    provider.read_response(response)

    before = sys.getallocatedblocks()
    balances = provider.read_response(response)
    kept = sys.getallocatedblocks() - before

    assert len(balances) == LINES
    assert kept / LINES < most + 0.2


@pytest.mark.parametrize(
    ("provider", "line", "most"),
    [(SHOP, crypto_line, 240), (TILL, getmany_line, 320)],
    ids=["cryptoprocessing", "getmany"],
)
def test_the_memory_of_a_kept_balance_is_bounded(provider, line, most):
    """Somebody who keeps two hundred thousand of them has some fifty megabytes."""
    response = answer_of(line)
    provider.read_response(response)

    tracemalloc.start()
    balances = [balance for _ in range(ANSWERS) for balance in provider.read_response(response)]
    # What is left over by then, and the list, are kept by nobody.
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - sys.getsizeof(balances)
    tracemalloc.stop()

    assert len(balances) == ANSWERS * LINES
    assert kept / len(balances) < most


@pytest.mark.parametrize(
    ("provider", "line", "most"),
    [(SHOP, crypto_line, 3), (TILL, getmany_line, 5)],
    ids=["cryptoprocessing", "getmany"],
)
def test_few_functions_are_called_for_a_line(provider, line, most):
    """From bytes to totals, a line is read by as many calls as it has fields, and by no general machinery."""
    response = answer_of(line)

    def read():
        merge([AccountBalances(provider.account, provider.provider, provider.read_response(response), MOMENT)])

    # What is made once is made before.
    read()
    calls = python_calls_of(read)

    assert calls / LINES < most + 0.2
