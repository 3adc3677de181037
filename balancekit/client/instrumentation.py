"""What an operator sees of a client: log lines, and spans and metrics for OpenTelemetry.

An account that goes down, or is up again, is logged once, and each attempt at DEBUG. Where OpenTelemetry's API is
installed (the extra `otel`), there is a span for each fetch and each attempt, with the attributes of the semantic
conventions for HTTP clients. Of a request or a response, only the status and the provider's error code are ever shown.
"""

import logging
import time
import traceback
from functools import cache
from typing import TYPE_CHECKING, Final

import attrs
from yarl import URL

from balancekit.client.accounts import Account
from balancekit.client.origins import Origin
from balancekit.errors import BalancekitError, ProviderError
from balancekit.http.messages import MAX_EXCERPT, excerpt
from balancekit.http.redaction import traceback_of
from balancekit.logs import Log
from balancekit.money.balances import AccountBalances
from balancekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Link, Span, Tracer

_log = Log(__name__)

_SCOPE: Final = "balancekit"
_CODE: Final = "balancekit.error.code"
_OK: Final = 200

_MAX_LINKS: Final = 128
"""How many links a span has at most, as many as OpenTelemetry keeps by default: there may be thousands of callers."""


@attrs.frozen
class _Instruments:
    tracer: "Tracer"
    duration: "Histogram"


@cache
def _report(name: str, place: str) -> None:
    # Once, since it may be raised in every attempt.
    _log.warning("OpenTelemetry raised %s: reads go on without their spans. Look at %s", name, place)


def _log_raised(raised: BaseException) -> None:
    """Log what OpenTelemetry has raised: its processors are the host's, and no account has failed."""
    if isinstance(raised, KeyboardInterrupt | SystemExit):
        raise raised
    *_, (frame, line) = traceback.walk_tb(traceback_of(raised))
    _report(type(raised).__name__, f"{frame.f_code.co_filename}:{line}")


@cache
def _instruments() -> _Instruments | None:
    try:
        from opentelemetry import metrics, trace

        duration = metrics.get_meter(_SCOPE, __version__).create_histogram(
            "balancekit.attempt.duration", unit="s", description="How long one attempt to read an account took."
        )
        return _Instruments(trace.get_tracer(_SCOPE, __version__), duration)
    except ImportError:
        pass
    except BaseException as raised:  # noqa: BLE001 - raised again if it ends the program, as below
        _log_raised(raised)
    return None


@attrs.frozen
class AttemptSpan:
    """The span of one attempt, the current one until it ends."""

    _duration: "Histogram"
    _span: "Span"
    _token: "Token[Context]"
    _shared: dict[str, str | int]
    _started: float = attrs.field(factory=time.perf_counter)

    def end(self, ended: AccountBalances | BalancekitError | None) -> None:
        """End it with what was read, or an error; None if the attempt was cancelled."""
        try:
            from opentelemetry.context import detach
            from opentelemetry.trace import Status, StatusCode

            detach(self._token)
            result = _attributes_of(ended)
            self._span.set_attributes(result)
            # The text of an exception may quote a response, so none is recorded.
            if "error.type" in result:
                self._span.set_status(Status(StatusCode.ERROR))
            self._span.end()
            # A server may send any number of codes, and each would be a time series of its own.
            result.pop(_CODE, None)
            self._duration.record(time.perf_counter() - self._started, {**self._shared, **result})
        except BaseException as raised:  # noqa: BLE001 - as above
            _log_raised(raised)


class FetchSpan:
    """The span of one fetch, and those of the attempts in it; `is_recording` is whether anything is recorded."""

    def __init__(self, accounts: int) -> None:
        self._instruments = _instruments()
        self._span: Span | None = None
        self._context: Context | None = None
        if self._instruments is not None:
            try:
                from opentelemetry.trace import set_span_in_context

                self._span = self._instruments.tracer.start_span(
                    "balancekit.fetch", attributes={"balancekit.accounts": accounts}
                )
                # Passed on, not made current: a fetch is a generator, which runs in its caller's context.
                self._context = set_span_in_context(self._span)
            except BaseException as raised:  # noqa: BLE001 - as above
                _log_raised(raised)
        self.is_recording: bool = self._context is not None

    def link(self) -> "Link | None":
        """Return what another span refers to this one by."""
        if self._span is None:
            return None
        from opentelemetry.trace import Link

        return Link(self._span.get_span_context())

    def _links_to(self, fetches: "Sequence[FetchSpan]") -> "list[Link]":
        others = [fetch.link() for fetch in fetches[: _MAX_LINKS + 1] if fetch is not self]
        return [link for link in others if link is not None]

    def end(self, failures: int) -> None:
        """End the span with the number of accounts that could not be read."""
        if self._span is not None:
            try:
                self._span.set_attribute("balancekit.failures", failures)
                self._span.end()
            except BaseException as raised:  # noqa: BLE001 - as above
                _log_raised(raised)

    def attempt(
        self, account: str, provider: str, origin: str, number: int, others: "Sequence[FetchSpan]" = ()
    ) -> AttemptSpan | None:
        """Begin the span of an attempt; `number` counts from 1, and `others` are all that wait for it."""
        instruments = self._instruments
        if instruments is None or not self.is_recording:
            return None
        try:
            from opentelemetry.context import attach
            from opentelemetry.trace import SpanKind, set_span_in_context

            shared: dict[str, str | int] = {"balancekit.provider": provider, **_address(origin)}
            own: dict[str, str | int] = {"balancekit.account": account}
            if number > 1:
                own["http.request.resend_count"] = number - 1
            span = instruments.tracer.start_span(
                "balancekit.attempt",
                self._context,
                SpanKind.CLIENT,
                attributes={**shared, **own},
                links=self._links_to(others) if others else None,
            )
            return AttemptSpan(instruments.duration, span, attach(set_span_in_context(span)), shared)
        except BaseException as raised:  # noqa: BLE001 - as above
            _log_raised(raised)
        return None


def _address(origin: str) -> dict[str, str | int]:
    url = URL(origin)
    if url.host is None or url.port is None:
        return {}
    return {"server.address": url.host, "server.port": url.port, "url.scheme": url.scheme}


def _attributes_of(result: AccountBalances | BalancekitError | None) -> dict[str, str | int]:
    if isinstance(result, AccountBalances):
        return {"http.response.status_code": _OK}
    if result is None:
        return {"error.type": "cancelled"}
    attributes: dict[str, str | int] = {"error.type": type(result).__name__}
    if isinstance(result, ProviderError) and result.status is not None:
        attributes["http.response.status_code"] = result.status
    if isinstance(result, ProviderError) and result.code is not None:
        attributes[_CODE] = result.code
    return attributes


def log_transition(account: Account, error: BalancekitError | None) -> None:
    """Log that an account went down with an error, or came back."""
    # As text: log handlers may keep the arguments, and an account holds its last balances.
    if error is None:
        _log.info("%s is back", str(account))
    else:
        _log.warning("%s is down: %s", str(account), brief(error))


def log_clock_skew(origin: Origin) -> None:
    """Log that an origin's clock turned out to be off."""
    _log.warning(
        "the clock of %s is %+.0f s from this machine's: requests are signed by it", origin.name, origin.clock.offset
    )


def logs_attempts() -> bool:
    """Return whether each attempt is logged."""
    # Of the logger itself: `Log.isEnabledFor` would be one more call for every request.
    return _log.logger.isEnabledFor(logging.DEBUG)


def log_attempt(account: Account, number: int, result: AccountBalances | BalancekitError, seconds: float) -> None:
    """Log an attempt and how it ended."""
    if not logs_attempts():
        return
    ended = "200" if isinstance(result, AccountBalances) else brief(result)
    _log.debug("%s: attempt %d: %s in %.0f ms", str(account), number, ended, 1e3 * seconds)


def brief(error: BalancekitError) -> str:
    """Name an error by its class, status and provider's code: nothing else of a response is safe to log.

    For an exception of the adapter's own, its place and its redacted message follow.
    """
    facts = (error.status, error.code and excerpt(error.code)) if isinstance(error, ProviderError) else ()
    notes = (f"({excerpt(note, 2 * MAX_EXCERPT)})" for note in getattr(error, "__notes__", ()))
    return " ".join(map(str, filter(None, (type(error).__name__, *facts, *notes))))
