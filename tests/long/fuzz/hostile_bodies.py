"""What a hostile body costs: every case through both adapters, as a response that succeeded and as an error response.

    python -m tests.long.fuzz.hostile_bodies [least milliseconds to show]

Prints the best of five in milliseconds, and the peak of memory beside the body's own in MiB. The event loop stands
still while a body is read. So a megabyte may take 50 ms, and the most balances that are admitted, one of them wrong,
30 ms. Memory is bounded by twice the body and what the most values take.
"""

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import NamedTuple

from balancekit import CryptoprocessingProvider, GetManyProvider, HttpProvider, ProviderError, Response
from balancekit.http.fields import MAX_BALANCES
from balancekit.money.exact_json import MAX_VALUES
from tests.support.offline import fetch_offline

MEGABYTE = 2**20
MAX_MILLISECONDS_PER_MEGABYTE = 50.0
MAX_MILLISECONDS_OF_BALANCES = 30.0
MAX_MEBIBYTES_OF_VALUES = 16.0
ROUNDS = 5

CRYPTO_LINE = b'{"currency":"BTC","type":"crypto","balance":"1"}'
GETMANY_LINE = b'{"balance":{"value":"1","code":"BTC","decimals":8}}'

GETMANY_LONG_LINE = (
    b'{"id":"01a694ab-b2cb-43b4-b048-1ab9115ff052","account_id":"7724b470-552f-4d57-bfbf-f461fb620e73",'
    b'"balance":{"value":"1","code":"USDC","decimals":6,"chain":"ethereum"}}'
)


def repeated(piece: bytes, *, before: bytes = b"", after: bytes = b"", between: bytes = b",") -> bytes:
    """Fill a megabyte with a piece between a start and an end."""
    room = MEGABYTE - len(before) - len(after)
    count = max(1, (room + len(between)) // (len(piece) + len(between)))
    return before + between.join([piece] * count) + after


def in_data(piece: bytes) -> bytes:
    """Fill a megabyte with lines of one shape where both APIs have theirs."""
    return repeated(piece, before=b'{"data":[', after=b"]}")


def keys(form: str, *, before: bytes = b"{", after: bytes = b"}", value: str = "1") -> bytes:
    """Fill a megabyte with one object of as many keys as fit."""
    made, size, number = [], len(before) + len(after), 0
    while size < MEGABYTE - 1:
        made.append(f'"{form.format(number)}":{value}')
        size += len(made[-1]) + 1
        number += 1
    return before + ",".join(made[:-1]).encode() + after


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    """Fill a megabyte with towers of one height, side by side where they are low."""
    return repeated(opening * depth + closing * depth, before=b'{"data":[', after=b"]}")


def most(piece: bytes, count: int) -> bytes:
    """Repeat a line as often as is admitted."""
    return b'{"data":[' + b",".join([piece] * count) + b"]}"


def all_but_one(line: bytes, wrong: bytes, index: int) -> bytes:
    """Return the most lines that are admitted, one of them wrong."""
    lines = [line] * MAX_BALANCES
    lines[index] = wrong
    return b'{"data":[' + b",".join(lines) + b"]}"


def balances() -> Iterator[tuple[str, bytes]]:
    """Give the name and body of every case of the most balances that are admitted."""
    for api, line, amount in (
        ("cryptoprocessing", CRYPTO_LINE, b'"balance":"1"'),
        ("getmany", GETMANY_LINE, b'"value":"1"'),
        ("getmany with ids", GETMANY_LONG_LINE, b'"value":"1"'),
    ):
        for place, index in (("start", 0), ("middle", MAX_BALANCES // 2), ("end", -1)):
            wrong = line.replace(amount, amount[:-2] + b'x"')
            yield f"one wrong amount of {MAX_BALANCES} at the {place}, {api}", all_but_one(line, wrong, index)
            missing = line.replace(amount, b'"x":1')
            yield f"one missing amount of {MAX_BALANCES} at the {place}, {api}", all_but_one(line, missing, index)


def bodies() -> Iterator[tuple[str, bytes]]:  # noqa: PLR0915 - a table
    """Give the name and body of every other case."""
    for piece in (b'","', b'["', b',"', b'"]', b'"[",', b'{"":1},', b'\\",'):
        yield f"ten megabytes of {piece.decode()}", piece * (10 * MEGABYTE // len(piece))
    yield "valid lines, cryptoprocessing", in_data(CRYPTO_LINE)
    yield "valid lines, getmany", in_data(GETMANY_LINE)
    last_wrong = b',{"currency":"BTC"}]}'
    yield "valid lines but for the last, cryptoprocessing", in_data(CRYPTO_LINE)[:-2] + last_wrong
    yield "valid lines but for the last, getmany", in_data(GETMANY_LINE)[:-2] + last_wrong
    yield "valid lines cut off, cryptoprocessing", in_data(CRYPTO_LINE)[:-2]
    long = b"9" * 100
    yield "lines of 100 digits, cryptoprocessing", in_data(CRYPTO_LINE.replace(b'"1"', b'"' + long + b'"'))
    yield "lines of numbers of 100 digits, cryptoprocessing", in_data(CRYPTO_LINE.replace(b'"1"', long))
    yield "lines of 100 digits, getmany", in_data(GETMANY_LINE.replace(b'"1"', b'"' + long + b'"'))
    yield "lines of exponents, cryptoprocessing", in_data(CRYPTO_LINE.replace(b'"1"', b"1e-100"))
    yield "lines of fractions, cryptoprocessing", in_data(CRYPTO_LINE.replace(b'"1"', b"1.5"))

    yield "as many balances as are admitted, cryptoprocessing", most(CRYPTO_LINE, MAX_BALANCES)
    yield "as many balances as are admitted, getmany", most(GETMANY_LINE, MAX_BALANCES)
    values = MAX_VALUES - 3
    yield "as many fractions as are admitted", most(b"1.5", values)
    yield "as many keys as are admitted", b",".join(keys("{:x}", value="1.5").split(b",")[:values]) + b"}"
    yield "as many arrays as are admitted", most(b"[]", values // 2)
    yield "as many arrays in arrays as are admitted", most(b"[" * 30 + b"]" * 30, values // 31)

    yield "arrays opened", b"[" * MEGABYTE
    yield "objects opened", b'{"a":' * (MEGABYTE // 5)
    yield "arrays opened within data", b'{"data":' + b"[" * MEGABYTE
    yield "one array nested to the end", b"[" * (MEGABYTE // 2) + b"]" * (MEGABYTE // 2)
    for depth in (10, 30, 31, 32, 60, 100, 500, 900):
        yield f"arrays {depth} deep", nested(b"[", b"]", depth)
        yield f"objects {depth} deep", nested(b'{"a":', b"}", depth).replace(b":}", b":1}")
    yield "brackets within a string", b'{"data":"' + b"[" * MEGABYTE + b'"}'
    yield "closing brackets", b"]" * MEGABYTE

    yield "empty arrays", in_data(b"[]")
    yield "empty objects", in_data(b"{}")
    yield "empty strings", in_data(b'""')
    yield "digits", in_data(b"1")
    yield "digits, without data", repeated(b"1", before=b"[", after=b"]")
    yield "strings, without data", repeated(b'"a"', before=b"[", after=b"]")
    yield "fractions", in_data(b"1.5")
    yield "exponents", in_data(b"1e9")
    yield "exponents, without data", repeated(b"1e9", before=b"[", after=b"]")
    yield "fractions beside data", repeated(b".5".join([b"1", b""]), before=b'{"x":[', after=b'],"data":[]}')
    yield "huge exponents", in_data(b"1e999999999")
    yield "strings", in_data(b'"a"')
    yield "nulls", in_data(b"null")
    yield "trues", in_data(b"true")
    yield "NaNs", in_data(b"NaN")
    yield "lines of the wrong fields", in_data(b'{"a":1}')
    yield "lines of wrong types", in_data(b'{"currency":1,"type":1,"balance":[]}')
    yield "objects beside data", repeated(b"{}", before=b'{"x":[', after=b'],"data":[]}')
    yield "arrays beside data", repeated(b"[]", before=b'{"x":[', after=b'],"data":[]}')
    yield "digits beside data", repeated(b"1", before=b'{"x":[', after=b'],"data":[]}')
    yield "objects of one key beside data", repeated(b'{"a":1}', before=b'{"x":[', after=b'],"data":[]}')
    yield (
        "objects of other keys beside data",
        (keys("{}", before=b'{"x":[{', after=b'}],"data":[]}').replace(b',"', b'},{"')[:MEGABYTE]),
    )
    yield "arrays in arrays beside data", repeated(b"[[],[]]", before=b'{"x":[', after=b'],"data":[]}')

    for size in (640, 4300, 4301, MEGABYTE - 12):
        yield f"integers of {size} digits", in_data(b"9" * size)
    yield "a fraction of a million digits", in_data(b"0." + b"9" * (MEGABYTE - 20))
    yield "a balance of a million digits", in_data(CRYPTO_LINE.replace(b'"1"', b'"' + b"9" * (MEGABYTE - 100) + b'"'))
    yield "a value of a million digits", in_data(GETMANY_LINE.replace(b'"1"', b'"' + b"9" * (MEGABYTE - 100) + b'"'))
    yield "a balance of a million numeric digits", in_data(CRYPTO_LINE.replace(b'"1"', b"0." + b"9" * (MEGABYTE - 100)))
    yield "a balance of a million points", in_data(CRYPTO_LINE.replace(b'"1"', b'"' + b"." * (MEGABYTE - 100) + b'"'))
    yield "a code of a million letters", in_data(CRYPTO_LINE.replace(b"BTC", b"B" * (MEGABYTE - 100)))
    yield (
        "a type of a million letters",
        in_data(CRYPTO_LINE.replace(b'"crypto"', b'"' + b"c" * (MEGABYTE - 100) + b'"')),
    )
    yield "lines of long types", in_data(CRYPTO_LINE.replace(b'"crypto"', b'"' + b"c" * 1000 + b'"'))

    yield "short keys", keys("{:x}")
    yield "long keys", keys("{:064d}")
    yield "one key again and again", repeated(b'"a":1', before=b"{", after=b"}")
    yield "data again and again", repeated(b'"data":[]', before=b"{", after=b"}")
    yield "keys within a line", keys("{:x}", before=b'{"data":[{', after=b"}]}")
    yield "keys of strings", keys("{:x}", value='"a"')
    yield "keys of objects", keys("{:x}", value="{}")
    yield "keys of fractions", keys("{:x}", value="1.5")

    yield "escapes", repeated(b"\\n", before=b'{"data":"', after=b'"}', between=b"")
    yield "escapes by number", repeated(b"\\u00e9", before=b'{"data":"', after=b'"}', between=b"")
    yield "escaped pairs", repeated(b"\\ud83d\\ude00", before=b'{"data":"', after=b'"}', between=b"")
    yield "escaped halves", repeated(b"\\ud800", before=b'{"data":"', after=b'"}', between=b"")
    yield "escaped strings", in_data(b'"\\n"')
    yield "escaped keys", keys("\\u0061{:x}")
    yield "quotes", b'"' * MEGABYTE
    yield "backslashes", b"\\" * MEGABYTE
    yield "backslashes by number", b"\\" + b"u005c" * (MEGABYTE // 5)
    yield "blanks", b" " * MEGABYTE
    yield "lines", b"\n" * MEGABYTE
    yield "blanks before JSON", b" " * MEGABYTE + b'{"data":[]}'
    yield "blanks within JSON", repeated(b"          ", before=b'{"data":[', after=b"]}", between=b"")
    yield "zeros", b"\0" * MEGABYTE
    yield "not UTF-8", b"\xff" * MEGABYTE
    yield "not UTF-8 at the end", b'"' + b"a" * MEGABYTE + b"\xff"
    yield "letters of two bytes", b'{"data":"' + "é".encode() * (MEGABYTE // 2) + b'"}'
    yield "letters of four bytes", b'{"data":"' + "😀".encode() * (MEGABYTE // 4) + b'"}'
    yield "plain text", b"a" * MEGABYTE
    yield "the secret again and again", repeated(b'"canary-key-1234"', before=b"[", after=b"]")
    yield "almost the secret", repeated(b"f" * 127, before=b'"', after=b'"', between=b"e")

    for name, before, after in (
        ("error", b'{"error":', b"}"),
        ("message", b'{"error":{"code":"a","message":', b"}}"),
        ("code", b'{"error":"a","code":', b"}"),
        ("errors", b'{"errors":', b"}"),
        ("errors by field", b'{"errors":{"a":', b"}}"),
    ):
        yield f"{name}: a long string", before + b'"' + b"a" * MEGABYTE + b'"' + after
        yield f"{name}: blanks", before + b'"' + b" " * MEGABYTE + b'"' + after
        yield f"{name}: strings", before + repeated(b'"a"', before=b"[", after=b"]") + after
        yield f"{name}: keys", before + keys("{:x}", value='"a"') + after
        yield f"{name}: keys of lists", before + keys("{:x}", value='["a"]') + after
        yield f"{name}: an integer of 4300 digits", before + b"9" * 4300 + after


def read(provider: HttpProvider, body: bytes) -> object:
    """Read a body as the response to a request that succeeded."""
    return fetch_offline(provider, Response(200, body=body))


def read_error(provider: HttpProvider, body: bytes) -> object:
    """Read a body as that of an error response."""
    return fetch_offline(provider, Response(400, body=body))


class Cost(NamedTuple):
    """What reading a body costs, and what comes of it."""

    milliseconds: float
    mebibytes: float
    outcome: str


def cost_of(run: Callable[[HttpProvider, bytes], object], provider: HttpProvider, body: bytes) -> Cost:
    """Return the time of the quickest run, and the peak of memory of one more."""
    times: list[float] = []
    for _ in range(ROUNDS):
        gc.collect()
        begun = time.perf_counter()
        outcome = outcome_of(run, provider, body)
        times.append((time.perf_counter() - begun) * 1000)
    tracemalloc.start()
    outcome_of(run, provider, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Cost(min(times), peak / MEGABYTE, outcome)


def outcome_of(run: Callable[[HttpProvider, bytes], object], provider: HttpProvider, body: bytes) -> str:
    """Read a body, and return the message of the error that comes of it."""
    try:
        run(provider, body)
    except ProviderError as error:
        return error.message
    return "balances"


def main() -> int:
    """Print the figures; the exit code is 1 if any is beyond its bound."""
    least = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    providers = (CryptoprocessingProvider("shop", key="key", secret="secret"), GetManyProvider("shop"))
    print("milliseconds: response and error response at Cryptoprocessing, the same at getMany; MiB: the largest peak")
    beyond = count = 0
    slowest = largest = 0.0
    cases = [*((case, MAX_MILLISECONDS_OF_BALANCES) for case in balances()), *((case, None) for case in bodies())]
    for (name, body), bound in cases:
        megabytes = max(1.0, len(body) / MEGABYTE)
        costs = [cost_of(run, provider, body) for provider in providers for run in (read, read_error)]
        milliseconds = max(cost.milliseconds for cost in costs)
        mebibytes = max(cost.mebibytes for cost in costs)
        is_beyond = (
            milliseconds > (bound or MAX_MILLISECONDS_PER_MEGABYTE * megabytes)
            or mebibytes > 2 * megabytes + MAX_MEBIBYTES_OF_VALUES
        )
        count, beyond = count + 1, beyond + is_beyond
        slowest, largest = max(slowest, milliseconds / megabytes), max(largest, mebibytes)
        if milliseconds >= least or is_beyond:
            shown = " ".join(f"{cost.milliseconds:7.1f}" for cost in costs)
            outcomes = f"{costs[0].outcome[:50]!r}, {costs[2].outcome[:50]!r}"
            print(f"{shown} {mebibytes:6.1f}{' BEYOND' if is_beyond else ''}  {name}: {outcomes}")
    print(f"{count} cases, {beyond} beyond a bound; at most {slowest:.1f} ms a megabyte, and {largest:.1f} MiB")
    return int(beyond > 0)


if __name__ == "__main__":
    sys.exit(main())
