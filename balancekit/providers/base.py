"""What a provider adapter is, and the base class that sends what an adapter builds."""

import base64
import codecs
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol, cast, runtime_checkable

import aiohttp
from yarl import URL

from balancekit.errors import (
    AuthenticationError,
    BalancekitError,
    ConfigError,
    MalformedResponseError,
    ProviderError,
    TransportError,
    with_hint,
)
from balancekit.http.clock_skew import MAX_OFFSET, current_offset, date_of
from balancekit.http.echoes import KnownNames, names_of
from balancekit.http.error_responses import ErrorDetail, error_class, error_detail, error_of, redact_detail
from balancekit.http.hints import (
    BYTE_ORDER_MARK_HINT,
    CACHED_HINT,
    ERROR_IN_200_HINT,
    HINTS,
    OTHER_ORIGIN_HINT,
    PAGE_HINT,
    UNCREDIBLE_DATE_HINT,
    UNENCODED_HINT,
    UNSENT_HINT,
)
from balancekit.http.messages import (
    MAX_ERROR_BODY,
    OK,
    Request,
    Response,
    cached_for,
    origin_of,
    origin_repr,
)
from balancekit.http.quotations import Secrets
from balancekit.http.redaction import (
    attach_cause,
    credentials_of,
    error_like,
    exit_like,
    redact,
    secrets_of,
)
from balancekit.http.secret import Secret
from balancekit.http.transport import send, transport_error
from balancekit.money.amounts import parse_amount
from balancekit.money.balances import Balance
from balancekit.money.currencies import AssetType, check_label
from balancekit.money.exact_json import ShapeError, is_text, json_type_name
from balancekit.providers.checked import checked_balances, checked_base_url, is_list_of_text
from balancekit.providers.construction import Construction
from balancekit.providers.identity import Identity, Settings, attributes_of, identify
from balancekit.providers.last_read import LastRead

_PACKAGE: Final = f"{__name__.partition('.')[0]}."


_AS_IT_IS: Final = re.compile(r"[^\x00-\x20\x7f#]*")
"""What of a URL is sent without a change: blanks and line breaks end the line that it is in."""

_BELOW: Final = re.compile(rf"(?:[/?]{_AS_IT_IS.pattern})?")
"""What may follow a base URL, without which its host would be another one."""

_MAX_CACHED: Final = 2
"""For how many seconds a response may have been in a cache: some count their own time as a whole second."""


@runtime_checkable
class BalanceProvider(Protocol):
    """Anything that can read the balances of one account.

    `account` is the account's label, unique in a client; `provider` names the API. To share its snapshots with other
    processes, a provider also has a `fingerprint`: a text that is the same for the same account alone, and no secret.
    """

    @property
    def account(self) -> str:
        """The label of the account."""
        ...

    @property
    def provider(self) -> str:
        """The name of the payment processor's API."""
        ...

    async def fetch_balances(self, session: aiohttp.ClientSession) -> Sequence[Balance]:
        """Read the account once, without retrying; raise a ProviderError if that fails."""
        ...


class HttpProvider(Construction, ABC):
    """The base class of adapters: subclass it with `provider`, `build_request` and `read_response`.

    Both methods are pure. The base class sends the request, turns every response but a 200 into a typed error,
    and whatever `read_response` raises into a MalformedResponseError.
    """

    provider: str
    """The name of the payment processor's API."""

    secret_settings: ClassVar[frozenset[str]] = frozenset()
    """The constructor's arguments that a configuration file may hold by reference only."""

    hints: ClassVar[Mapping[str | int, str]] = MappingProxyType({})
    """What to do about an error, by the provider's code or by HTTP status, where the general hint is not enough."""

    aliases: Mapping[str, str] = MappingProxyType({})
    """The codes of this account that a client counts as another currency, unless its own `aliases` say otherwise."""

    signs_time: bool = False
    """Whether requests are signed with the time, so that a wrong clock leads to the same error as a wrong key."""

    clock: Callable[[], float] = time.time
    """The time in Unix seconds; replaced in tests."""

    _known_names = KnownNames()
    _last_read = LastRead()
    _reads_checked_fields = False

    def __init_subclass__(cls, *, known_by_request: bool = False, **kwargs: Any) -> None:  # noqa: ANN401 - of any class
        """Take what is declared of a class.

        If accounts are `known_by_request`, those with the same one are the same, whatever else they were made with.
        """
        super().__init_subclass__(**kwargs)
        # The adapters of this package read each field by a function that checks it.
        cls._reads_checked_fields = str(getattr(cls.read_response, "__module__", "")).startswith(_PACKAGE)
        cls._is_known_by_request = known_by_request

    def __init__(self, account: str, *, base_url: str | Secret, allow_http_to: Sequence[str] = ()) -> None:
        # Hidden before anything can raise, since it may hold a password.
        base_url = Secret.of(base_url)
        try:
            self.account: str = check_label(account)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"account: {error}") from None
        if not is_list_of_text(allow_http_to):
            raise self.config_error("allow_http_to", "expected a list of hosts")
        checked, problem = checked_base_url(base_url, allow_http_to)
        if problem:
            raise self.config_error("base_url", problem)
        self.base_url = checked

    @abstractmethod
    def build_request(self, *, now: int, nonce: str) -> Request:
        """Build the request for the balances, signed if the API wants it.

        `now` is in Unix seconds; `nonce` is the standard base64 of 16 random bytes, new for every request.
        """

    @abstractmethod
    def read_response(self, response: Response) -> Sequence[Balance]:
        """Read the balances from the response to a request that succeeded (200)."""

    def read_error(self, response: Response) -> ErrorDetail:
        """Read the provider's code and message from an error response, in the usual shapes."""
        return error_detail(response)

    @property
    def origin(self) -> str:
        """The scheme, host and port that the requests go to; each has one rate limit and one retry budget."""
        return origin_of(self.base_url)

    @cached_property
    def request_identity(self) -> Identity:
        """What the request for the balances, and the settings, say of the account."""
        # An adapter may have been made without its constructor.
        settings = vars(self).get("_settings", Settings(is_plain=False))
        by_request = self._is_known_by_request
        attributes = "" if by_request else attributes_of(self)
        return identify(
            lambda now, nonce: self.build_request(now=now, nonce=nonce), settings, attributes, by_request=by_request
        )

    @cached_property
    def fingerprint(self) -> str:
        """A one-way hash of the request for the balances, at a fixed time and nonce, and of the adapter's settings.

        Accounts with the same one are the same account, so processes share their snapshots in a store. It is empty
        where that is in doubt: if the request reveals no `Secret`, since the credentials may then be in a client
        certificate, or in a gateway that signs; if it is another one each time; if a setting is no plain value. An
        adapter of such accounts sets it to a text of its own, which is the same for the same account alone and no
        secret.
        """
        return self.request_identity.fingerprint

    def config_error(self, setting: str, problem: str) -> ConfigError:
        """Make the error of a setting of this account that cannot work."""
        return ConfigError(f"account {self.account!r}: {setting}: {problem}")

    def balance(
        self,
        code: str,
        amount: Decimal | int | str,
        *,
        asset_type: AssetType = AssetType.UNKNOWN,
        chain: str | None = None,
        reference: str | None = None,
        available: Decimal | int | str | None = None,
        pending: Decimal | int | str | None = None,
    ) -> Balance:
        """Make a balance of this account; each amount is a `Decimal`, an `int` or decimal text, read exactly.

        Raises ValueError or TypeError for an amount or a code that is not valid.
        """
        for text in (code, chain):
            if text is not None and not is_text(text):
                raise ShapeError(f"expected a string, got {json_type_name(text)}")
        return Balance(
            currency=code,
            amount=_to_amount(amount),
            asset_type=asset_type,
            account=self.account,
            provider=self.provider,
            code=code,
            chain=chain,
            reference=reference,
            available=None if available is None else _to_amount(available),
            pending=None if pending is None else _to_amount(pending),
        )

    async def fetch_balances(self, session: aiohttp.ClientSession) -> Sequence[Balance]:
        """Send one request and read its response; raises a ProviderError if anything is wrong."""
        request: Request | None = None
        response: Response | None = None
        balances: Sequence[Balance] = ()
        names: list[str | None] = []
        raised: BaseException | None = None
        try:
            request = self.build_request(now=int(self.clock() + current_offset()), nonce=new_nonce())
            if not (request.url.startswith(self.base_url) and _BELOW.fullmatch(request.url, len(self.base_url))):
                self._check_destination(request.url)
            response = await send(session, request)
            if response.status == OK:
                if "Age" in response.headers:
                    self._check_uncached(response)
                if self._reads_checked_fields:
                    if (same := self._last_read.balances_in(response.body)) is not None:
                        return same
                    balances = self.read_response(response)
                else:
                    balances = checked_balances(self.read_response(response))
                # Nearly always they are those of the last response.
                if (names := names_of(balances)) != self._known_names.names:
                    known = self._known_names.check(names, credentials_of(self, request))
                    # An adapter may be frozen.
                    vars(self)["_known_names"] = known
                if self._reads_checked_fields:
                    LastRead.of(response.body, balances).keep(self)
                return balances
        except BaseException as error:  # noqa: BLE001 - an adapter may raise anything, and the frames of a cancellation hold the headers, too
            raised = error
        failure = self._failure_of(raised, () if request is None else (request,), response)
        # Not for the frame of the traceback to keep: they hold credentials, and megabytes.
        request, response, balances, names, raised = None, None, (), [], None
        try:
            # Raised outside of the `except`, so that its only link is its cause, which is sanitized.
            raise failure
        finally:
            # The traceback keeps this frame, which would keep the error.
            del failure

    def __repr__(self) -> str:
        # Error trackers call this even while the constructor raises, when attributes may be missing.
        fields = vars(self)
        # A gateway may have a token in the path.
        return f"{type(self).__name__}({fields.get('account')!r}, base_url={origin_repr(fields.get('base_url'))})"

    def _check_destination(self, url: str, other_origins: Sequence[str] = ()) -> None:
        """Raise a ProviderError unless a URL is at the base URL's origin, or at another, and is sent as it is."""
        if _AS_IT_IS.fullmatch(url) is None:
            problem = "the URL of the request has a character that has to be encoded, so it was not sent"
            raise self._error(ProviderError, problem, hint=UNENCODED_HINT)
        # A name in another script would be looked up by older rules than `origin_of` encodes it by: `ß` as `ss`.
        is_named_plainly = (URL(url, encoded=True).raw_host or "").isascii()
        if not is_named_plainly or origin_of(url) not in {origin_of(self.base_url), *other_origins}:
            problem = "the request is for another origin than the base URL, so it was not sent"
            raise self._error(ProviderError, problem, hint=OTHER_ORIGIN_HINT)

    def _failure_of(
        self, raised: BaseException | None, requests: Sequence[Request], response: Response | None
    ) -> BaseException:
        """Return what a read ends with; `raised` is None if it was an error response.

        `response` is that to the last of the `requests`, None if there was none.
        """
        hidden = Secrets()
        try:
            hidden = secrets_of(self, *requests)
            if raised is None:
                return self._error_of(cast("Response", response), hidden)
            if isinstance(raised, Exception):
                return self._error_for(raised, requests, response, hidden)
        except Exception as error:  # noqa: BLE001 - the hints, the clock and the reading of errors are the adapter's
            kind = ProviderError if response is None else error_class(response.status)
            status = None if response is None else response.status
            failure = self._error(kind, f"{type(error).__name__} while reading the error", status=status)
            return attach_cause(failure, error, hidden)
        except BaseException as error:  # noqa: BLE001 - as above
            raised = error
        return exit_like(raised, hidden)

    def _error_for(
        self, raised: Exception, requests: Sequence[Request], response: Response | None, hidden: Secrets
    ) -> BalancekitError:
        name = type(raised).__name__
        if isinstance(raised, BalancekitError):
            return error_like(raised, hidden, account=self.account, provider=self.provider)
        if not requests:
            failure = self._error(ProviderError, f"{name} while building the request")
        elif response is None:
            translated = transport_error(raised, account=self.account, provider=self.provider, secrets=hidden)
            if translated is not None:
                return translated
            # Such as a closed session or a header that cannot be written: trying again would change nothing.
            failure = self._error(
                TransportError, f"{name} while sending the request", retryable=False, hint=UNSENT_HINT
            )
        elif isinstance(raised, ShapeError):
            return self._malformed(response, redact(str(raised), hidden), hidden)
        else:
            failure = self._malformed(response, f"{name} while reading the response", hidden)
        return attach_cause(failure, raised, hidden)

    def _check_uncached(self, response: Response) -> None:
        seconds = cached_for(response)
        if seconds > _MAX_CACHED:
            facts = {"status": OK, "hint": CACHED_HINT}
            raise self._error(MalformedResponseError, f"the response comes from a cache, {seconds} s old", **facts)

    def _error(self, kind: type[ProviderError], message: str, **facts: Any) -> ProviderError:  # noqa: ANN401 - of all types
        return kind(message, account=self.account, provider=self.provider, **facts)

    def _malformed(self, response: Response, message: str, hidden: Secrets) -> ProviderError:
        code, hint = None, HINTS[MalformedResponseError]
        if response.body.startswith(codecs.BOM_UTF8):
            hint = BYTE_ORDER_MARK_HINT
        elif response.body.lstrip().startswith(b"<"):
            hint = PAGE_HINT
        elif len(response.body) <= MAX_ERROR_BODY:
            reported = self._error_of(response, hidden)
            if isinstance(reported, ProviderError) and (reported.code or _reports_error(response)):
                code, hint = reported.code, with_hint(f"{ERROR_IN_200_HINT}: {reported.message}", reported.hint)
        facts = {"status": OK, "code": code, "hint": hint}
        return self._error(MalformedResponseError, message, **facts)

    def _error_of(self, response: Response, hidden: Secrets) -> BalancekitError:
        # A debugging server or a proxy may send back what it was sent.
        try:
            detail = redact_detail(self.read_error(response), hidden)
        except ProviderError as own:
            return error_like(own, hidden, account=self.account, provider=self.provider)
        except Exception:  # noqa: BLE001 - a response that its adapter cannot read is still an error of its status
            detail = redact_detail(error_detail(response), hidden)
        now = self.clock()
        error = error_of(response, detail, account=self.account, provider=self.provider, hints=self.hints, now=now)
        if isinstance(error, AuthenticationError) and self.signs_time and (sent_at := date_of(response)) is not None:
            error.clock_offset = sent_at - now
            if abs(error.clock_offset) > MAX_OFFSET:
                error.hint = ". ".join(filter(None, (error.hint, UNCREDIBLE_DATE_HINT)))
        return error


def _to_amount(amount: Decimal | int | str) -> Decimal:
    return amount if isinstance(amount, Decimal) else parse_amount(amount)


def _reports_error(response: Response) -> bool:
    """Whether the body of a 200 is an error in one of the usual shapes."""
    document: object = None
    with suppress(ValueError):
        document = response.json()
    return isinstance(document, dict) and any(cast("dict[str, object]", document).get(k) for k in ("error", "errors"))


def new_nonce() -> str:
    """Return the standard base64 of 16 random bytes."""
    return base64.b64encode(secrets.token_bytes(16)).decode()
