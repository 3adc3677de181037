"""What a provider adapter is, and the base class that sends what an adapter builds."""

import base64
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

import aiohttp

from balancekit.errors import ConfigError
from balancekit.http.clock_skew import current_offset
from balancekit.http.echoes import check_names, names_of
from balancekit.http.error_responses import ErrorDetail, error_detail
from balancekit.http.known_secrets import credentials_of
from balancekit.http.last_read import LastRead
from balancekit.http.messages import OK, Request, Response, origin_of, origin_repr
from balancekit.http.secret import Secret
from balancekit.http.transport import send
from balancekit.money.amounts import isolated_context, parse_amount
from balancekit.money.balances import Balance
from balancekit.money.currencies import AssetType, check_label
from balancekit.money.exact_json import ShapeError, is_text, json_type_name
from balancekit.providers.checked import (
    by_local_clock,
    checked_balances,
    checked_base_url,
    is_list_of_text,
    is_written_in,
)
from balancekit.providers.construction import Construction, is_known_by_request
from balancekit.providers.failures import SENT_UNCHANGED, check_destination, check_uncached, failure_of
from balancekit.providers.identity import Identity, Settings, attributes_of, identify

_PACKAGE: Final = __name__.partition(".")[0]

_BELOW: Final = re.compile(rf"(?:[/?]{SENT_UNCHANGED.pattern})?")
"""What may follow a base URL in the URL of a request: `.evil.example` after `https://api.example` is another host."""


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

    _balancekit_last_read = LastRead()

    def __init_subclass__(cls, *, known_by_request: bool = False, **kwargs: Any) -> None:  # noqa: ANN401 - of any class
        """Take what is declared of a class.

        If accounts are `known_by_request`, those with the same one are the same, whatever else they were made with.
        """
        super().__init_subclass__(**kwargs)
        cls._balancekit_by_request = known_by_request

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
        settings = vars(self).get("_balancekit_settings", Settings(is_plain=False))
        by_request = is_known_by_request(type(self))
        attributes = "" if by_request else attributes_of(self)
        return isolated_context().run(
            identify,
            lambda now, nonce: self.build_request(now=now, nonce=nonce),
            settings,
            attributes,
            by_request=by_request,
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
                check_destination(self, request.url)
            response = await send(session, request)
            if response.status == OK:
                if "Age" in response.headers:
                    check_uncached(self, response)
                # The adapters of this package read each field by a function that checks it.
                is_ours = is_written_in(_PACKAGE, getattr(self.read_response, "__func__", None))
                if is_ours:
                    if (same := self._balancekit_last_read.balances_in(response.body)) is not None:
                        return same
                    balances = self.read_response(response)
                else:
                    balances = by_local_clock(
                        checked_balances(self.read_response(response)), response, now=self.clock()
                    )
                # Nearly always they are those of the last response.
                if (names := names_of(balances)) != self._balancekit_last_read.names:
                    check_names(names, self._balancekit_last_read.names, credentials_of(self, request))
                LastRead.of(response.body if is_ours else None, balances).keep(self)
                return balances
        except BaseException as error:  # noqa: BLE001 - an adapter may raise anything, and the frames of a cancellation hold the headers, too
            raised = error
        failure = failure_of(self, raised, () if request is None else (request,), response)
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


def _to_amount(amount: Decimal | int | str) -> Decimal:
    return amount if isinstance(amount, Decimal) else parse_amount(amount)


def new_nonce() -> str:
    """Return the standard base64 of 16 random bytes."""
    return base64.b64encode(secrets.token_bytes(16)).decode()
