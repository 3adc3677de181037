"""Spans and metrics for OpenTelemetry, where its API is installed (the extra `otel`); otherwise nothing at all.

One span a fetch and one an attempt, with the attributes of the semantic conventions for HTTP clients as far as they are
known here. Nothing of a request or an answer but the status and the provider's error code is ever told.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

import attrs
from yarl import URL

from balancekit.errors import BalancekitError, ProviderError
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span, Tracer

_SCOPE: Final = "balancekit"
_OK: Final = 200


@attrs.frozen
class _Instruments:
    tracer: "Tracer"
    duration: "Histogram"


@cache
def _instruments() -> _Instruments | None:
    try:
        from opentelemetry import metrics, trace
    except ImportError:
        return None
    duration = metrics.get_meter(_SCOPE, __version__).create_histogram(
        "balancekit.attempt.duration", unit="s", description="How long one attempt to read an account took."
    )
    return _Instruments(trace.get_tracer(_SCOPE, __version__), duration)


@attrs.define
class Attempt:
    """One attempt to read an account, as it will be told; the outcome is set before it ends."""

    outcome: AccountBalances | AccountFailure | None = None


class FetchSpan:
    """The span of one fetch, and those of the attempts in it; `silent` if nobody is told anything."""

    def __init__(self, accounts: int) -> None:
        self._instruments = _instruments()
        self.silent = self._instruments is None
        self._span: Span | None = None
        self._context: Context | None = None
        if self._instruments is not None:
            from opentelemetry.trace import set_span_in_context

            self._span = self._instruments.tracer.start_span(
                "balancekit.fetch", attributes={"balancekit.accounts": accounts}
            )
            # Handed on, not made current: the fetch is a generator, and its caller's context is not its own.
            self._context = set_span_in_context(self._span)

    def end(self, failures: int) -> None:
        """End the span with the number of accounts that could not be read."""
        if self._span is not None:
            self._span.set_attribute("balancekit.failures", failures)
            self._span.end()

    @contextmanager
    def attempt(self, account: str, provider: str, host: str, number: int) -> Generator[Attempt]:
        """Measure one attempt, which is the current span meanwhile; `number` counts from 1."""
        attempt = Attempt()
        instruments = self._instruments
        if instruments is None:
            yield attempt
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

        told: dict[str, str | int] = {"balancekit.provider": provider, **_address(host)}
        more: dict[str, str | int] = {"balancekit.account": account}
        if number > 1:
            more["http.request.resend_count"] = number - 1
        started = time.perf_counter()
        span = instruments.tracer.start_span(
            "balancekit.attempt", self._context, SpanKind.CLIENT, attributes={**told, **more}
        )
        try:
            # An exception's text may quote an answer, so it is not recorded.
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield attempt
        finally:
            result = _result(attempt.outcome)
            span.set_attributes(result)
            if "error.type" in result:
                span.set_status(Status(StatusCode.ERROR))
            span.end()
            instruments.duration.record(time.perf_counter() - started, {**told, **result})


def _address(host: str) -> dict[str, str | int]:
    url = URL(host)
    if url.host is None or url.port is None:
        return {}
    return {"server.address": url.host, "server.port": url.port, "url.scheme": url.scheme}


def _result(outcome: AccountBalances | AccountFailure | None) -> dict[str, str | int]:
    if isinstance(outcome, AccountBalances):
        return {"http.response.status_code": _OK}
    if outcome is None:
        return {"error.type": "cancelled"}
    return {"error.type": type(outcome.error).__name__, **_facts(outcome.error)}


def _facts(error: BalancekitError) -> dict[str, str | int]:
    facts: dict[str, str | int] = {}
    if isinstance(error, ProviderError) and error.status is not None:
        facts["http.response.status_code"] = error.status
    if isinstance(error, ProviderError) and error.code is not None:
        facts["balancekit.error.code"] = error.code
    return facts
