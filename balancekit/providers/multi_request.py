"""Adapters that send several requests for one read: pages, ids from another endpoint, and a token that is kept."""

import asyncio
import inspect
import itertools
import math
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import ClassVar, Final, TypeAlias

import aiohttp
import attrs

from balancekit.errors import MalformedResponseError, ProviderError
from balancekit.http.clock_skew import current_offset
from balancekit.http.echoes import check_names, names_of
from balancekit.http.further_requests import before_next_request
from balancekit.http.known_secrets import credentials_of
from balancekit.http.last_read import LastRead
from balancekit.http.messages import OK, Request, Response
from balancekit.http.secret import Secret
from balancekit.http.transport import send
from balancekit.money.balances import Balance
from balancekit.money.exact_json import ShapeError, json_type_name
from balancekit.providers.base import HttpProvider, new_nonce
from balancekit.providers.checked import by_local_clock, checked_balances
from balancekit.providers.failures import check_destination, check_uncached, error_of_account, failure_of

Exchange: TypeAlias = Generator[Request, Response, Sequence[Balance]]
"""Yields each request, is sent its response, and returns the balances."""

MAX_REQUESTS: Final = 100
"""How many requests one read may send: pages that never end are an error."""

_EARLY_PART: Final = 0.1
_MOST_EARLY: Final = 60.0
"""A token is fetched again before it expires: by a tenth of its time, and by so many seconds at most."""


def _to_seconds(value: object) -> float:
    seconds = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError):
            seconds = float(value)
    if not 0 < seconds < math.inf:
        raise ShapeError(f"expires_in: expected a number of seconds, got {json_type_name(value)}")
    return seconds


def _to_token(value: object) -> Secret:
    text = Secret.of(value)
    if problem := text.problem(header=True):
        raise ShapeError(f"token: {problem}")
    return text


@attrs.frozen
class Token:
    """A token that an API gave in exchange for credentials, and for how many seconds it is good.

    Raises ValueError for a text that cannot be sent in a header, or a time that is no number above zero.
    """

    text: Secret = attrs.field(converter=_to_token)
    expires_in: float = attrs.field(converter=_to_seconds)


@attrs.frozen(eq=False)
class _KeptToken:
    text: Secret
    expires_at: float


class _TokenRequest(Request):
    """A request for a token: reads at the same time share its response."""

    __slots__ = ()


@attrs.define(eq=False)
class _TokenFetch:
    """A token that is being fetched; those who wait for the lock are given the response to the first request."""

    loop: asyncio.AbstractEventLoop
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    response: Response | None = attrs.field(default=None, repr=False)


class MultiRequestProvider(HttpProvider):
    """The base class of adapters that send several requests for one read: subclass it with `exchange`.

    `exchange` is a generator without I/O. Every request that it yields is sent as that of an `HttpProvider` is: with
    the same limits, redaction and errors. Any response but a 200 fails the account, and so does what `exchange` raises.
    """

    other_origins: ClassVar[Sequence[str]] = ()
    """Origins besides that of the base URL that requests may go to; an URL in a response leads to no other."""

    _balancekit_token: _KeptToken | None = None
    _balancekit_token_fetch: _TokenFetch | None = None

    @abstractmethod
    def exchange(self, *, now: int, nonces: Iterator[str]) -> Exchange:
        """Yield each request, receive its response, and return the balances of all.

        `now` is in Unix seconds; `next(nonces)` is the standard base64 of 16 random bytes.
        """

    def request_token(self, *, now: int, nonce: str) -> Request:
        """Build the request for a token; for adapters that use `token`."""
        raise NotImplementedError("define request_token and read_token")

    def read_token(self, response: Response) -> Token:
        """Read the token from the response to `request_token`; for adapters that use `token`."""
        raise NotImplementedError("define request_token and read_token")

    def token(self, *, now: int, nonces: Iterator[str]) -> Generator[Request, Response, str]:
        """Give the token, for `yield from` in `exchange`: a request is sent only if none is kept, or it expires."""
        kept = self._balancekit_token
        if kept is None or now >= kept.expires_at:
            built = self.request_token(now=now, nonce=next(nonces))
            response = yield _TokenRequest(built.method, built.url, built.headers, built.body)
            read = self.read_token(response)
            early = min(read.expires_in * _EARLY_PART, _MOST_EARLY)
            self._balancekit_token = kept = _KeptToken(read.text, now + read.expires_in - early)
        return kept.text.reveal()

    def build_request(self, *, now: int, nonce: str) -> Request:
        """Build the first request of a read without a token: it distinguishes the account from others."""
        fresh = object.__new__(type(self))
        vars(fresh).update(vars(self))
        fresh._balancekit_token = None
        attributes = (attribute for kind in type(self).__mro__ for attribute in vars(kind).values())
        for slot in filter(inspect.ismemberdescriptor, attributes):
            # One that is not set stays so.
            with suppress(AttributeError):
                slot.__set__(fresh, slot.__get__(self))
        return next(fresh.exchange(now=now, nonces=itertools.repeat(nonce)))

    def read_response(self, response: Response) -> Sequence[Balance]:
        """Raise NotImplementedError: `exchange` reads the responses."""
        raise NotImplementedError("exchange reads the responses")

    async def fetch_balances(self, session: aiohttp.ClientSession) -> Sequence[Balance]:
        """Send the requests and read their responses; raises a ProviderError if anything is wrong."""
        kept = self._balancekit_token
        sent = _Sent()
        try:
            balances = await self.__read(session, sent)
            if balances is None and kept is not None and sent.is_refused:
                # The provider may have ended the token before its time: once more, with another.
                sent = _Sent(has_permit=False)
                self.__forget_token(kept)
                balances = await self.__read(session, sent)
            if balances is not None:
                return balances
            raised: BaseException | None = None
        except BaseException as error:  # noqa: BLE001 - as in the base class
            raised = error
        if sent.is_refused:
            self.__forget_token(self._balancekit_token)
        failure = failure_of(self, raised, sent.requests, sent.response)
        # As in the base class.
        balances, raised, sent = None, None, _Sent()
        try:
            raise failure
        finally:
            del failure

    async def __read(self, session: aiohttp.ClientSession, sent: "_Sent") -> Sequence[Balance] | None:
        """Return the balances; None if a response, the last that was sent, was not a success."""
        nonces = iter(new_nonce, None)
        steps = self.exchange(now=int(self.clock() + current_offset()), nonces=nonces)
        try:
            request = next(steps)
            while True:
                self.__check_request(request, len(sent.requests))
                sent.requests.append(request)
                # What goes wrong from now on is no fault of the response before.
                sent.response = None
                has_permit, sent.has_permit = sent.has_permit, False
                send_one = self.__send_once if isinstance(request, _TokenRequest) else _send_with_permit
                response = sent.response = await send_one(session, request, has_permit=has_permit)
                if response.status != OK:
                    return None
                if "Age" in response.headers:
                    check_uncached(self, response)
                request = steps.send(response)
        except StopIteration as end:
            balances = checked_balances(end.value)
            if sent.response is not None:
                balances = by_local_clock(balances, sent.response, now=self.clock())
            names, known = names_of(balances), self._balancekit_last_read.names
            if names != known:
                check_names(names, known, credentials_of(self, *sent.requests))
            LastRead.of(None, balances).keep(self)
            return balances
        finally:
            with suppress(Exception):
                steps.close()

    async def __send_once(self, session: aiohttp.ClientSession, request: Request, *, has_permit: bool) -> Response:
        """Send a request for a token, or wait for the response to another read's."""
        loop = asyncio.get_running_loop()
        fetch = self._balancekit_token_fetch
        if fetch is None or fetch.loop is not loop:
            fetch = self._balancekit_token_fetch = _TokenFetch(loop)
        try:
            async with fetch.lock:
                if fetch.response is None:
                    fetch.response = await _send_with_permit(session, request, has_permit=has_permit)
                return fetch.response
        finally:
            if fetch.response is not None and self._balancekit_token_fetch is fetch:
                # Those who wait have it; the next read looks at the token first.
                self._balancekit_token_fetch = None

    def __check_request(self, request: object, number: int) -> None:
        if not isinstance(request, Request):
            raise TypeError(f"exchange yielded {type(request).__name__}, expected a Request")
        if number >= MAX_REQUESTS:
            raise ShapeError(f"more than {MAX_REQUESTS} requests for one read: the pages do not end")
        try:
            check_destination(self, request.url, self.other_origins)
        except ProviderError as error:
            # That of a later request is made of a response.
            kind = MalformedResponseError if number else ProviderError
            raise error_of_account(self, kind, error.message, hint=error.hint) from None

    def __forget_token(self, token: _KeptToken | None) -> None:
        # Another read may have fetched a new one.
        if self._balancekit_token is token:
            self._balancekit_token = None


@attrs.define(eq=False)
class _Sent:
    """The requests of one read so far, and the response to the last of them."""

    requests: list[Request] = attrs.field(factory=list[Request])
    response: Response | None = None
    # For the next request. The client has acquired one for the first of each read.
    has_permit: bool = True

    @property
    def is_refused(self) -> bool:
        """Whether the last request was refused for its token, rather than a request for one."""
        is_unauthorized = self.response is not None and self.response.status == HTTPStatus.UNAUTHORIZED
        return is_unauthorized and not isinstance(self.requests[-1], _TokenRequest)


async def _send_with_permit(session: aiohttp.ClientSession, request: Request, *, has_permit: bool) -> Response:
    if has_permit:
        return await send(session, request)
    await before_next_request()
    return await send(session, request)
