"""What a read of an adapter fails with: one error of its account, in which no secret is left."""

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol, cast

from yarl import URL

from balancekit.errors import (
    AuthenticationError,
    BalancekitError,
    MalformedResponseError,
    ProviderError,
    with_hint,
)
from balancekit.http.clock_skew import MAX_OFFSET, date_of
from balancekit.http.error_responses import (
    ErrorDetail,
    detail_in,
    error_class,
    error_detail,
    error_of,
    fields_of,
    redact_detail,
)
from balancekit.http.fields import error_field_of
from balancekit.http.hints import (
    BYTE_ORDER_MARK_HINT,
    CACHED_HINT,
    ERROR_IN_200_HINT,
    HINTS,
    OTHER_ORIGIN_HINT,
    PAGE_HINT,
    UNCREDIBLE_DATE_HINT,
    UNENCODED_HINT,
)
from balancekit.http.known_secrets import secrets_of
from balancekit.http.messages import MAX_ERROR_BODY, OK, Request, Response, cached_for, origin_of
from balancekit.http.quotations import Secrets
from balancekit.http.redaction import attach_cause, error_like, exit_like
from balancekit.http.transport import transport_error, unsent_error
from balancekit.money.exact_json import ShapeError

SENT_UNCHANGED: Final = re.compile(r"[^\x00-\x20\x7f#]*")
"""What of a URL is sent as it is: a blank or a line break ends the line of the request, and a `#` what is sent."""


class Adapter(Protocol):
    """What of an adapter its errors are made of."""

    account: str
    provider: str
    base_url: str
    signs_time: bool
    hints: ClassVar[Mapping[str | int, str]]

    def read_error(self, response: Response) -> ErrorDetail:
        """Read the provider's code and message from an error response."""
        ...


def check_destination(adapter: Adapter, url: str, other_origins: Sequence[str] = ()) -> None:
    """Raise a ProviderError unless a URL is at the base URL's origin, or at another, and is sent as it is."""
    if SENT_UNCHANGED.fullmatch(url) is None:
        problem = "the URL of the request has a character that has to be encoded, so it was not sent"
        raise error_of_account(adapter, ProviderError, problem, hint=UNENCODED_HINT)
    # A name in another script would be looked up by older rules than `origin_of` encodes it by: `ß` as `ss`.
    is_named_plainly = (URL(url, encoded=True).raw_host or "").isascii()
    if not is_named_plainly or origin_of(url) not in {origin_of(adapter.base_url), *other_origins}:
        problem = "the request is for another origin than the base URL, so it was not sent"
        raise error_of_account(adapter, ProviderError, problem, hint=OTHER_ORIGIN_HINT)


def failure_of(
    adapter: Adapter, raised: BaseException | None, requests: Sequence[Request], response: Response | None
) -> BaseException:
    """Return what a read ends with; `raised` is None if it was an error response.

    `response` is that to the last of the `requests`, None if there was none.
    """
    hidden = Secrets()
    try:
        hidden = secrets_of(adapter, *requests)
        if raised is None:
            return _error_of_response(adapter, cast("Response", response), hidden)
        if isinstance(raised, Exception):
            return _error_of_exception(adapter, raised, requests, response, hidden)
    except Exception as error:  # noqa: BLE001 - the hints, the clock and the reading of errors are the adapter's
        kind = ProviderError if response is None else error_class(response.status)
        status = None if response is None else response.status
        failure = error_of_account(adapter, kind, f"{type(error).__name__} while reading the error", status=status)
        return attach_cause(failure, error, hidden)
    except BaseException as error:  # noqa: BLE001 - as above
        raised = error
    return exit_like(raised, hidden)


def _error_of_exception(
    adapter: Adapter, raised: Exception, requests: Sequence[Request], response: Response | None, hidden: Secrets
) -> BalancekitError:
    name = type(raised).__name__
    if isinstance(raised, BalancekitError):
        return error_like(raised, hidden, account=adapter.account, provider=adapter.provider)
    if not requests:
        failure = error_of_account(adapter, ProviderError, f"{name} while building the request")
    elif response is None:
        translated = transport_error(raised, account=adapter.account, provider=adapter.provider, secrets=hidden)
        if translated is not None:
            return translated
        failure = unsent_error(raised, account=adapter.account, provider=adapter.provider)
    elif isinstance(raised, ShapeError):
        return _malformed(adapter, response, hidden.redact(str(raised)), hidden)
    else:
        failure = _malformed(adapter, response, f"{name} while reading the response", hidden)
    return attach_cause(failure, raised, hidden)


def check_uncached(adapter: Adapter, response: Response) -> None:
    """Raise a ProviderError if a response has been in a cache: its balances may be from before an invalidation."""
    if seconds := cached_for(response):
        problem = f"the response comes from a cache, {seconds} s old"
        raise error_of_account(adapter, MalformedResponseError, problem, status=OK, hint=CACHED_HINT)


def error_of_account(adapter: Adapter, kind: type[ProviderError], message: str, **facts: Any) -> ProviderError:  # noqa: ANN401 - of all types
    """Make an error of the account of an adapter."""
    return kind(message, account=adapter.account, provider=adapter.provider, **facts)


def _malformed(adapter: Adapter, response: Response, message: str, hidden: Secrets) -> ProviderError:
    code, hint = None, HINTS[MalformedResponseError]
    if response.body.startswith(codecs.BOM_UTF8):
        hint = BYTE_ORDER_MARK_HINT
    elif response.body.lstrip().startswith(b"<"):
        hint = PAGE_HINT
    elif len(response.body) <= MAX_ERROR_BODY:
        reported, fields = _error_of_response(adapter, response, hidden), fields_of(response)
        if isinstance(reported, ProviderError) and (reported.code or error_field_of(fields) is not None):
            code, hint = reported.code, with_hint(f"{ERROR_IN_200_HINT}: {reported.message}", reported.hint)
        elif all(not value or isinstance(value, str | int) for value in fields.values()):
            # Whether that is an error only the reader may know. The rest of the body may be a token.
            said = redact_detail(detail_in(fields), hidden)
            hint = ". The response says: ".join(filter(None, (hint, " ".join(filter(None, (said.code, said.message))))))
    facts = {"status": OK, "code": code, "hint": hint}
    return error_of_account(adapter, MalformedResponseError, message, **facts)


def _error_of_response(adapter: Adapter, response: Response, hidden: Secrets) -> BalancekitError:
    # A debugging server or a proxy may send back what it was sent.
    try:
        detail = redact_detail(adapter.read_error(response), hidden)
    except ProviderError as own:
        return error_like(own, hidden, account=adapter.account, provider=adapter.provider)
    except Exception:  # noqa: BLE001 - a response that its adapter cannot read is still an error of its status
        detail = redact_detail(error_detail(response), hidden)
    # Type checkers take a function in the class, which the clock is, for a method.
    now: float = cast("Any", adapter).clock()
    error = error_of(response, detail, account=adapter.account, provider=adapter.provider, hints=adapter.hints, now=now)
    if isinstance(error, AuthenticationError) and adapter.signs_time and (sent_at := date_of(response)) is not None:
        error.clock_offset = sent_at - now
        if abs(error.clock_offset) > MAX_OFFSET:
            error.hint = ". ".join(filter(None, (error.hint, UNCREDIBLE_DATE_HINT)))
    return error
