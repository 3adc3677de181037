"""What may come of any response, and a search, guided by coverage, for one of which something else comes.

    python -m tests.long.fuzz.read_responses [seconds] [directory of the corpus]

Needs atheris. An input is a byte for the adapter and the frame, one for the status, a line of two headers' values with
a tab between them, and a body. The tests in tests/long/test_fuzz.py use the same check without atheris.
"""

import math
import pickle
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    from contextlib import nullcontext as instrumented
else:

    def instrumented():
        """Count the branches of the package, and of nothing else."""
        return atheris.instrument_imports(include=["balancekit"])


with instrumented():
    from balancekit import (
        Balance,
        CryptoprocessingProvider,
        GetManyProvider,
        MalformedResponseError,
        ProviderError,
        Response,
    )
    from balancekit.http.error_responses import error_class, error_detail, redact_detail
    from balancekit.http.messages import MAX_EXCERPT, excerpt, parse_date
    from balancekit.http.quotations import Secrets
    from balancekit.http.retry_after import parse_retry_after
    from tests.support.offline import fetch_offline

SECRET = "canary-key/1234"
PROVIDERS = (CryptoprocessingProvider("shop", key=SECRET, secret="secret"), GetManyProvider("shop"))
STATUSES = (200, 200, 200, 200, 201, 204, 301, 304, 400, 401, 403, 404, 418, 429, 500, 502, 503, 599, 600, 999)
FRAMES = (
    (b"", b""),
    (b'{"data":', b"}"),
    (b'{"data":[', b"]}"),
    (b'{"data":[{"currency":"BTC","type":"crypto","balance":', b"}]}"),
    (b'{"data":[{"balance":{"value":"1","code":"BTC","decimals":', b"}}]}"),
    (b'{"data":[{"balance":{"code":"BTC","decimals":8,"value":', b"}}]}"),
    (b'{"error":', b"}"),
    (b'{"errors":', b"}"),
)
WORDS = (
    *("data", "balance", "value", "code", "decimals", "chain", "currency", "type", "id", "error", "errors", "message"),
    *('{"', '":', "[{", "}]", "null", "true", "1e-100", "1E+100", "-0", "0.1", "NaN", "Infinity", "\\u0000", "\\ud800"),
    *(SECRET, "canary-key\\/1234", "Thu, 01 Jan 2026 00:00:00 GMT", "+9999", "\t", "\n", "\ufeff", "٣", "9" * 99),
)


def check(provider, response):
    """Read a response in every way that the package does; AssertionError if anything but its promises comes of it."""
    check_parts(response)
    if response.status == 200:
        try:
            balances = fetch_offline(provider, response)
        except MalformedResponseError as error:
            check_error(error, response.status)
        else:
            assert isinstance(balances, tuple)
            assert all(isinstance(balance, Balance) and balance.amount.is_finite() for balance in balances)
    else:
        error = failure_of(provider, response)
        assert type(error) is error_class(response.status)
        # The key of the other account, whose requests are not signed, is no secret of its own.
        assert provider is not PROVIDERS[0] or SECRET not in str(error).replace("\\", "")
        check_error(error, response.status)


def failure_of(provider, response):
    """Return the error that an error response becomes."""
    try:
        fetch_offline(provider, response)
    except ProviderError as error:
        return error
    raise AssertionError("an error response was read as balances")


def check_parts(response):
    """Read the parts of a response, each by itself."""
    for value in response.headers.values():
        moment = parse_date(value)
        assert moment is None or math.isfinite(moment)
        seconds = parse_retry_after(value, now=1767225600.0)
        assert seconds is None or 0 <= seconds < math.inf
    assert len(excerpt(response.body)) <= MAX_EXCERPT
    detail = redact_detail(error_detail(response), Secrets([SECRET]))
    assert SECRET not in f"{detail.code} {detail.message}"
    for said in (detail.code, detail.message):
        assert said is None or (said.isprintable() and 0 < len(said) <= MAX_EXCERPT)


def check_error(error, status):
    """Look at an error as its readers do: it is one short line, and survives being sent elsewhere."""
    assert error.status == status
    assert error.message.isprintable()
    assert len(error.message) <= 2 * MAX_EXCERPT
    assert error.retry_after is None or 0 <= error.retry_after < math.inf
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def run(data):
    """Check what one input stands for."""
    kind, status = (*data[:2], 0, 0)[:2]
    line, _, body = data[2:].partition(b"\n")
    retry_after, _, date = line.decode("utf-8", "surrogateescape").partition("\t")
    before, after = FRAMES[kind // 2 % len(FRAMES)]
    headers = {"Retry-After": retry_after, "Date": date}
    check(PROVIDERS[kind % 2], Response(STATUSES[status % len(STATUSES)], headers, before + body + after))


def main():
    """Search for some seconds, from what the providers send."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(sys.argv[2] if len(sys.argv) > 2 else scratch, "corpus")
        corpus.mkdir(parents=True, exist_ok=True)
        for number, sample in enumerate(sorted(Path(__file__).parents[2].glob("samples/*/*/*"))):
            kind = int(sample.parts[-3] == "getmany")
            status = STATUSES.index(int(sample.stem))
            headers = b"120\tThu, 01 Jan 2026 00:00:00 GMT\n"
            (corpus / f"sample-{number}").write_bytes(bytes([kind, status]) + headers + sample.read_bytes())
        words = Path(scratch, "words")
        # In libFuzzer's notation: anything but a quote, by its number.
        words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n' for word in WORDS))
        options = [
            f"-max_total_time={seconds}",
            "-max_len=4096",
            "-timeout=1",
            f"-dict={words}",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus.parent}/", str(corpus)], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
