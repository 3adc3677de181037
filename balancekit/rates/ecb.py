"""Loading the euro reference rates of the European Central Bank, and keeping them until the next are due."""

import asyncio
from copy import copy
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from balancekit.clock import checked_clock
from balancekit.errors import ConfigError, MalformedResponseError, ProviderError, without_frames
from balancekit.http.durations import positive_seconds
from balancekit.http.error_responses import ErrorDetail, error_of
from balancekit.http.messages import Request, Response, check_base_url
from balancekit.http.redaction import attach_cause
from balancekit.http.transport import send, transport_error, unsent_error
from balancekit.rates.reference import ReferenceRates, next_publication, parse_reference_rates

if TYPE_CHECKING:
    import aiohttp

    from balancekit.clock import Clock

_ACCOUNT: Final = "reference rates"
_PROVIDER: Final = "ECB"


class EcbRates:
    """The euro reference rates of the European Central Bank, loaded from its public data when they are first needed.

    The bank publishes them at about 16:00 in Frankfurt on working days, and states that they are for information only.
    They are kept until then. Rates that are late, or a holiday, are asked for again after `max_age` seconds. Callers at
    the same time share one request. `timeout` is in seconds; the session is used and left open. Raises ConfigError for
    a setting that cannot work.
    """

    URL: Final = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"

    @without_frames
    def __init__(
        self,
        session: "aiohttp.ClientSession",
        *,
        url: str = URL,
        max_age: float = 600.0,
        timeout: float = 10.0,
        clock: "Clock | None" = None,
    ) -> None:
        try:
            self._url = check_base_url(url)
        except ValueError as error:
            raise ConfigError(f"EcbRates: url: {error}") from None
        given: dict[str, object] = {"max_age": max_age, "timeout": timeout}
        for name, seconds in given.items():
            positive_seconds(f"EcbRates: {name}", seconds)
        try:
            self._clock = checked_clock(clock)
        except TypeError as error:
            raise ConfigError(f"EcbRates: clock: {error}") from None
        self._session = session
        self._max_age = max_age
        self._timeout = timeout
        self._loaded_at = 0.0
        self._keep_for = 0.0
        self._keep_until = 0.0
        self._request: asyncio.Task[ReferenceRates] | None = None
        self.last: ReferenceRates | None = None
        """The rates that were loaded last; None before that."""

    async def load(self) -> ReferenceRates:
        """Return the latest rates, from the bank or from the last time that it was asked.

        Raises a ProviderError (of the account "reference rates" at "ECB") if they are due and cannot be loaded; `last`
        has the earlier ones.
        """
        if self.last is not None and self._is_current():
            return self.last
        request = self._request
        if request is None or request.done() or request.get_loop() is not asyncio.get_running_loop():
            request = self._request = asyncio.create_task(self._load())
        try:
            # A caller that is cancelled leaves the request to the others.
            return await asyncio.shield(request)
        except ProviderError as error:
            # An exception that several callers raise would collect the frames of all.
            raise copy(error) from error.__cause__

    def _is_current(self) -> bool:
        # By both clocks: one of them may be set back, and the other may stand still while the machine sleeps.
        return self._clock.monotonic() - self._loaded_at < self._keep_for and self._clock.time() < self._keep_until

    async def _ask(self) -> Response | ProviderError:
        """Return the response, or else what came of the request."""
        try:
            async with self._clock.timeout(self._timeout):
                return await send(self._session, Request("GET", self._url))
        except Exception as error:  # noqa: BLE001 - a lent session may raise anything
            failure = transport_error(error, account=_ACCOUNT, provider=_PROVIDER)
            return failure or attach_cause(unsent_error(error, account=_ACCOUNT, provider=_PROVIDER), error)

    async def _load(self) -> ReferenceRates:
        loaded_at = self._clock.monotonic()
        response = await self._ask()
        if isinstance(response, ProviderError):
            # Raised here, so that its context is not what aiohttp raised, which may quote a proxy's password.
            raise response
        if response.status != HTTPStatus.OK:
            raise error_of(response, ErrorDetail(), account=_ACCOUNT, provider=_PROVIDER, now=self._clock.time())
        try:
            rates = parse_reference_rates(response.body)
        except ValueError as error:
            raise MalformedResponseError(
                str(error), account=_ACCOUNT, provider=_PROVIDER, status=response.status
            ) from None
        now = self._clock.time()
        # A date in the future would keep them for longer.
        due = next_publication(min(rates.as_of, datetime.fromtimestamp(now, UTC)).date()).timestamp()
        self._keep_until = due if due > now else now + self._max_age
        self._keep_for = self._keep_until - now
        self.last, self._loaded_at = rates, loaded_at
        return rates
