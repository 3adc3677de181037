"""Spans and metrics of a fetch, which work without OpenTelemetry, and the lines of the log."""

import asyncio
import contextvars
import io
import logging
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from balancekit import (
    AggregateClient,
    CryptoprocessingProvider,
    RetryPolicy,
    ServiceUnavailableError,
)
from balancekit.client import instrumentation
from balancekit.http.secret import Secret
from balancekit.sandbox import Fault
from tests.support.logs import broken_handler, handled_by
from tests.support.providers import Bank
from tests.support.stores import PanicError


@pytest.fixture
def exported(monkeypatch):
    """Collect spans and metrics in memory."""
    spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([metrics])
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    instruments = instrumentation._Instruments(
        tracers.get_tracer("test"), meters.get_meter("test").create_histogram("balancekit.attempt.duration")
    )
    monkeypatch.setattr(instrumentation, "_instruments", lambda: instruments)
    yield spans, metrics
    meters.shutdown()


@pytest.fixture
async def fetch(sandbox):
    """Read an account that fails once before it succeeds."""
    shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
    sandbox.fail("shop", Fault(status=503, body='{"error": "down", "code": "outage"}'))
    provider = CryptoprocessingProvider("shop", **shop.settings)

    async def run(**settings):
        async with AggregateClient([provider], retry=RetryPolicy(2, first=0), **settings) as client:
            return await client.fetch()

    return run


async def test_a_fetch_is_a_span_with_one_for_each_attempt(exported, fetch):
    """The attempts are children of the fetch, and say what came of them by the semantic conventions."""
    await fetch()

    failed, succeeded, whole = exported[0].get_finished_spans()
    assert (whole.name, whole.attributes) == ("balancekit.fetch", {"balancekit.accounts": 1, "balancekit.failures": 0})
    assert failed.parent.span_id == succeeded.parent.span_id == whole.context.span_id
    assert (failed.kind, failed.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert failed.attributes["http.response.status_code"] == 503
    assert failed.attributes["error.type"] == "ServiceUnavailableError"
    assert failed.attributes["balancekit.error.code"] == "outage"
    assert succeeded.attributes["http.request.resend_count"] == 1
    assert succeeded.attributes["server.address"] == "127.0.0.1"


def test_a_shared_attempt_has_links_to_the_other_fetches(exported, run_virtually):
    """It is a child of the first, and links lead to all others that wait when it begins; the second attempt's, too."""

    async def main():
        bank = Bank("shop", takes=1.0, down=[False, True].pop)
        async with AggregateClient([bank], retry=RetryPolicy(2, first=0)) as client:
            first = asyncio.create_task(client.fetch(max_age=60))
            second = asyncio.create_task(client.fetch(max_age=60))
            await asyncio.sleep(0.5)
            late = asyncio.create_task(client.fetch(max_age=60))
            await asyncio.gather(first, second, late)

    run_virtually(main())

    spans = exported[0].get_finished_spans()
    attempts = [span for span in spans if span.name == "balancekit.attempt"]
    fetches = {span.context.span_id for span in spans if span.name == "balancekit.fetch"}
    linked = [{link.context.span_id for link in attempt.links} for attempt in attempts]
    assert {attempt.parent.span_id for attempt in attempts} == fetches - linked[1]
    assert (len(linked[0]), len(linked[1])) == (1, 2)
    assert linked[0] < linked[1] < fetches


def test_an_attempt_of_one_caller_has_no_links(exported, run_virtually):
    """Callers without an age share nothing."""

    async def main():
        async with AggregateClient([Bank("shop", takes=1.0)]) as client:
            await asyncio.gather(client.fetch(), client.fetch())

    run_virtually(main())

    attempts = [span for span in exported[0].get_finished_spans() if span.name == "balancekit.attempt"]
    assert [list(attempt.links) for attempt in attempts] == [[], []]


async def test_every_attempt_is_measured(exported, fetch):
    """The histogram tells attempts apart by provider, host and result, and not by account."""
    await fetch()

    (metric,) = exported[1].get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    points = {point.attributes["http.response.status_code"]: point for point in metric.data.data_points}
    assert {status: point.count for status, point in points.items()} == {503: 1, 200: 1}
    assert "balancekit.account" not in points[200].attributes
    # A server may send any number of codes.
    assert "balancekit.error.code" not in points[503].attributes


async def test_no_key_is_exported(exported, fetch, sandbox):
    """No attribute, event or status of any span holds a header or a word of a body."""
    await fetch()

    text = "".join(span.to_json() for span in exported[0].get_finished_spans())
    sent = sandbox.requests[0]
    assert sent.headers["X-Processing-Key"] not in text
    assert sent.headers["X-Processing-Signature"] not in text
    assert "down" not in text


async def test_an_attempt_that_is_cancelled_says_so(exported, sandbox):
    """A deadline that ends an attempt is an error of its span, and a fetch that is given up as well."""
    shop = sandbox.add_cryptoprocessing("shop", {"BTC": "1"})
    sandbox.fail("shop", Fault(hang=True), times=2)
    async with AggregateClient([CryptoprocessingProvider("shop", **shop.settings)], deadline=0.1) as client:
        await client.fetch()

    attempt, whole = sorted(exported[0].get_finished_spans(), key=lambda span: span.name)
    assert attempt.attributes["error.type"] in {"ProviderTimeoutError", "cancelled"}
    assert whole.attributes["balancekit.failures"] == 1


def test_a_provider_without_a_url_has_no_address():
    """A name is no URL."""
    assert instrumentation._address("memory") == {}


class Failing(SpanProcessor):
    """A host's processor, which raises as spans of a name begin, or as they end."""

    def __init__(self, name, *, begins, raised):
        self.name, self.begins, self.raised = name, begins, raised

    def on_start(self, span, parent_context=None):
        """Raise, if that is to fail."""
        if self.begins and span.name == self.name:
            raise self.raised

    def on_end(self, span):
        """Raise, if that is to fail."""
        if not self.begins and span.name == self.name:
            raise self.raised


@pytest.fixture
def fail_tracing(monkeypatch):
    """Have the processor of the host's spans fail, and what was found out of tracing in this process be forgotten."""

    def fail(name, **how):
        tracers = TracerProvider()
        tracers.add_span_processor(Failing(name, **how))
        monkeypatch.setattr(trace, "get_tracer", tracers.get_tracer)
        instrumentation._instruments.cache_clear()
        instrumentation._report.cache_clear()

    yield fail
    instrumentation._instruments.cache_clear()


@pytest.mark.parametrize("name", ["balancekit.fetch", "balancekit.attempt"])
@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("raised", [RuntimeError("no exporter"), PanicError()], ids=repr)
async def test_tracing_that_fails_is_logged_once_and_fails_no_read(fail_tracing, fetch, caplog, name, begins, raised):
    """It is neither the adapter's error nor the caller's."""
    fail_tracing(name, begins=begins, raised=raised)

    results = [await fetch() for _ in range(3)]

    assert [result.complete for result in results] == [True] * 3
    (line,) = [record.getMessage() for record in caplog.records if "OpenTelemetry" in record.getMessage()]
    assert line.startswith(f"OpenTelemetry raised {type(raised).__name__}: reads go on without their spans. Look at ")
    assert "test_instrumentation.py" in line


def test_tracing_may_end_the_program(fail_tracing):
    """As when Ctrl-C arrives there."""
    fail_tracing("balancekit.fetch", begins=True, raised=KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        instrumentation.FetchSpan(1)


def test_opentelemetry_that_cannot_be_set_up_fails_no_read(fail_tracing, monkeypatch, run_virtually, caplog):
    """As with the name of a provider that is not installed in `OTEL_PYTHON_TRACER_PROVIDER`."""

    async def main():
        async with AggregateClient([Bank("shop")]) as client:
            return [(await client.fetch()).complete for _ in range(2)]

    fail_tracing("", begins=True, raised=RuntimeError())
    monkeypatch.setattr(trace, "get_tracer", None)

    assert run_virtually(main()) == [True, True]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
def test_a_handler_that_raises_fails_no_read(run_virtually, capsys, level):
    """The error is still that of the provider, and an account that is back is read in no more time than before."""

    async def main():
        began = asyncio.get_running_loop().time()
        async with AggregateClient([Bank("shop", down=[False, True].pop)], attempts=1) as client:
            results = [await client.fetch() for _ in range(2)]
        return results, asyncio.get_running_loop().time() - began

    with broken_handler(level):
        (down, back), took = run_virtually(main())

    assert [type(failure.error) for failure in down.failures] == [ServiceUnavailableError]
    assert back.complete
    assert took == 0
    assert "the disk is full" in capsys.readouterr().err


def test_without_opentelemetry_nothing_is_needed():
    """The API is an extra: without it a fetch is the same, and imports none of it."""
    code = """
import asyncio, sys
sys.modules["opentelemetry"] = None
from balancekit import AggregateClient
class Ledger:
    account = "a"; provider = "p"
    async def fetch_balances(self, session): return []
async def main():
    async with AggregateClient([Ledger()]) as client:
        return (await client.fetch()).complete
print(asyncio.run(main()))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "True"


def test_the_log_has_a_line_when_an_account_goes_down_and_one_when_it_is_back(run_virtually, caplog):
    """An outage is two lines, however many calls there are."""
    caplog.set_level(logging.INFO, logger="balancekit")

    async def main():
        async with AggregateClient([Bank("shop", down=states.pop)], attempts=1) as client:
            for _ in range(6):
                await client.fetch()

    states = [False, False, True, True, True, False]
    run_virtually(main())

    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "shop (bank) is down: ServiceUnavailableError 503"),
        ("INFO", "shop (bank) is back"),
    ]


def test_the_log_names_an_account_that_missed_the_deadline(run_virtually, caplog):
    """An account that never responds is down, which is one line."""
    caplog.set_level(logging.INFO, logger="balancekit")

    async def main():
        async with AggregateClient([Bank("shop", takes=9e9)], deadline=1.0) as client:
            for _ in range(2):
                await client.fetch()

    run_virtually(main())

    assert [record.message for record in caplog.records] == ["shop (bank) is down: ProviderTimeoutError"]


def test_the_log_has_a_line_for_every_attempt_at_debug(run_virtually, caplog):
    """Account, attempt, what came of it and how long it took; nothing of the request or the response."""
    caplog.set_level(logging.DEBUG, logger="balancekit")

    async def main():
        bank = Bank("shop", takes=0.25, down=[False, True].pop)
        async with AggregateClient([bank], retry=RetryPolicy(2, first=0)) as client:
            await client.fetch()

    run_virtually(main())

    assert [record.message for record in caplog.records] == [
        "shop (bank): attempt 1: ServiceUnavailableError 503 in 250 ms",
        "shop (bank): attempt 2: 200 in 250 ms",
    ]


def test_the_log_lines_of_an_attempt_are_written_in_its_callers_context(run_virtually, caplog):
    """A filter that adds a request's id to each line adds that of the caller whom the attempt is for."""
    caplog.set_level(logging.DEBUG, logger="balancekit")
    request_id = contextvars.ContextVar("request_id", default="-")
    seen = []

    def note(record):
        seen.append((record.getMessage().split()[0], request_id.get()))
        return True

    async def ask(client, label):
        request_id.set(f"of {label}")
        await client.fetch([label])

    async def main():
        banks = [Bank(label, takes=1.0, down=lambda: True) for label in ("alice", "bob")]
        async with AggregateClient(banks, concurrency=1, retry=RetryPolicy(2, first=0.1)) as client:
            await asyncio.gather(ask(client, "alice"), ask(client, "bob"))

    caplog.handler.addFilter(note)
    try:
        run_virtually(main())
    finally:
        caplog.handler.removeFilter(note)

    assert set(seen) == {("alice", "of alice"), ("bob", "of bob")}
    assert len(seen) == 6


def test_log_records_hold_no_balances(run_virtually, caplog):
    """Error trackers collect the arguments of a record, and an account's repr has its last balances."""
    caplog.set_level(logging.DEBUG, logger="balancekit")

    async def main():
        async with AggregateClient([Bank("shop", down=states.pop)], attempts=1) as client:
            for _ in range(4):
                await client.fetch(max_age=0)

    states = [False, True, True, False]
    run_virtually(main())

    assert {"is down", "is back"} <= {" ".join(record.message.split()[2:4]).rstrip(":") for record in caplog.records}
    assert {type(argument) for record in caplog.records for argument in record.args} <= {str, int, float}


class Leaking(Bank):
    """A bank whose adapter ends its task with its key as the text."""

    key = Secret.of("canary-key-123456")

    async def fetch_balances(self, session):
        """Raise it."""
        raise asyncio.CancelledError(self.key.reveal())


def test_a_log_handler_that_fails_shows_nothing_of_what_an_adapter_raised(run_virtually, capsys):
    """Python prints what was being handled as well."""
    handler = logging.StreamHandler(io.StringIO())
    handler.stream.close()

    async def main():
        async with AggregateClient([Leaking("shop")], attempts=1) as client:
            await client.fetch()

    with handled_by(handler):
        run_virtually(main())

    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "canary" not in shown
