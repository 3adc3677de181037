"""Classes of ccxt that send nothing: a call stops at the request that it needs, and is repeated with the response.

The synchronous classes are used, since without sending they need neither an event loop nor a session. All that sends in
them, waits for their rate limiter or repeats a request is in `fetch2`, which is replaced.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import ccxt

from balancekit import Request, Response
from balancekit_ccxt.watched import Watched, watch

Exchange: TypeAlias = Any
"""An object of a class that `exchange_class` makes; ccxt has no types that are of use here."""

Received: TypeAlias = dict[str, tuple[Request, Response]]
"""What has been sent and received for a call so far, by the key of the request."""

PARTS: Final = ("total", "free", "used")
"""The fields of a row that make it a balance."""

_DEFAULT_AGENT: Final = "python-requests/"


class ResponseNeeded(BaseException):
    """A call cannot go on without the response to a request.

    It is no `Exception`, which ccxt's classes catch in places.
    """

    def __init__(self, key: str, request: Request) -> None:
        super().__init__(key)
        self.key = key
        self.request = request


class Params(dict[str, Any]):
    """The parameters of a call, which know what was asked of them, and of their copies."""

    def __init__(self, given: Mapping[str, Any], asked: set[object] | None = None) -> None:
        super().__init__(given)
        self.asked: set[object] = set() if asked is None else asked

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - of any type
        self.asked.add(key)
        return super().__getitem__(key)

    def copy(self) -> "Params":
        """Return a copy."""
        return Params(self, self.asked)


class Row(dict[str, Any]):
    """What ccxt gives of one balance."""

    is_used: bool = False
    """Whether free, used or total was set, if only to None."""

    def __setitem__(self, name: str, value: object) -> None:
        self.is_used = self.is_used or name in PARTS
        super().__setitem__(name, value)


class _WithoutSending:
    """What takes the place of ccxt's own methods."""

    moment: int = 0
    """The time that requests are signed with, in milliseconds."""

    loads_markets: bool = False
    reads_tables: bool = False
    """Whether responses are tables of all markets, which have more values than an account may have."""

    watched: list[Watched] | None = None
    """Where to add all lists and objects of responses, if they are to know what is looked at."""

    received: Received
    rows: list[Row]

    def milliseconds(self) -> int:
        return self.moment

    def seconds(self) -> int:
        return self.moment // 1000

    def microseconds(self) -> int:
        return self.moment * 1000

    def load_markets(self: Exchange, reload: Any = False, params: Any = None) -> Any:  # noqa: ANN401, FBT002 - ccxt's own signature
        return super().load_markets(reload, params or {}) if self.loads_markets else {}  # type: ignore[misc] # as above

    def fetch2(
        self: Exchange,
        path: str,
        api: Any = "public",  # noqa: ANN401 - a name or a list of them
        method: str = "GET",
        params: Any = None,  # noqa: ANN401 - of any shape
        config: Any = None,  # noqa: ANN401, ARG002 - what a request counts for in ccxt's rate limiter
    ) -> Any:  # noqa: ANN401 - JSON is any of its types
        key = json.dumps([path, api, method, params], sort_keys=True, default=str)
        if key not in self.received:
            # A copy that does not know what is asked: all that is sent is.
            sent = dict(params) if isinstance(params, Params) else params or {}
            raise ResponseNeeded(key, self.to_request(self.sign(path, api, method, sent)))
        # Decoded each time, since ccxt changes what it is given.
        document = decode(self.received[key][1], reads_tables=self.reads_tables)
        return document if self.watched is None else watch(document, self.watched)

    def to_request(self: Exchange, signed: Mapping[str, Any]) -> Request:
        headers = {**(signed["headers"] or {}), **self.headers}
        if isinstance(self.userAgent, str) and not self.userAgent.startswith(_DEFAULT_AGENT):
            # Some exchanges refuse others.
            headers["User-Agent"] = self.userAgent
        body = signed["body"]
        if not isinstance(body, str | None):
            raise ccxt.NotSupported(f"{self.id}: a body that is no text")
        texts = {name: str(value) for name, value in self.set_headers(headers).items()}
        return Request(signed["method"], signed["url"], texts, (body or "").encode())

    def extend(self: Exchange, *given: Any) -> dict[str, Any]:  # noqa: ANN401 - of any type
        extended: dict[str, Any] = super().extend(*given)  # type: ignore[misc] # as above
        params = next((params for params in given if isinstance(params, Params)), None)
        return extended if params is None else Params(extended, params.asked)

    def account(self: Exchange) -> "Row":
        row = Row(super().account())  # type: ignore[misc] # as above
        self.rows.append(row)
        return row

    def merge_balance_account(self: Exchange, result: Any, code: str, account: dict[str, Any]) -> Any:  # noqa: ANN401 - ccxt's own signature
        if code in result:
            # It is added to another one.
            self.rows = [row for row in self.rows if row is not account]
        return super().merge_balance_account(result, code, account)  # type: ignore[misc] # as above

    def safe_balance(self, balance: Any) -> Any:  # noqa: ANN401 - ccxt's own signature
        # Here ccxt computes what is missing, by arithmetic that accepts more than decimals and drops zeros at the end.
        return balance


@functools.cache
def exchange_class(exchange: str) -> type[Any]:
    """Return the class of an exchange, by its id; ValueError if ccxt has none."""
    if exchange not in ccxt.exchanges:
        raise ValueError(f"ccxt {ccxt.__version__} has no exchange of this id")
    return type(exchange, (_WithoutSending, getattr(ccxt, exchange)), {"synchronous": False})


def make(exchange: str, *, options: str = "{}", base_url: str | None = None, loads_markets: bool = False) -> Exchange:
    """Return an exchange without credentials; `options` are ccxt's, as JSON.

    A base URL takes the place of the scheme and the host of all its APIs.
    """
    # Numbers are text, and never floats.
    made = exchange_class(exchange)({"number": str, "enableRateLimit": False, "options": json.loads(options)})
    made.loads_markets = loads_markets
    if base_url is not None:
        made.urls["api"] = _rebased(made.urls["api"], base_url)
    return made


def decode(response: Response, *, reads_tables: bool) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Return the document in a response, with numbers that are no integers as text; ValueError if there is none."""
    return json.loads(response.body, parse_float=str) if reads_tables else _plain(response.json())


def check(exchange: Exchange, request: Request, response: Response, *, reads_tables: bool = False) -> None:
    """Raise the error of ccxt that a response is, if ccxt knows it as one."""
    document = None
    try:
        document = decode(response, reads_tables=reads_tables)
    except ValueError:
        if response.status == HTTPStatus.OK:
            raise
    try:
        exchange.handle_errors(
            response.status,
            "",
            request.url,
            request.method,
            dict(response.headers),
            response.body.decode("utf-8", "replace").strip(),
            document if isinstance(document, dict | list) else None,
            dict(request.headers),
            request.body.decode("utf-8", "replace"),
        )
    except ccxt.BaseError:
        raise
    except Exception as error:  # noqa: BLE001 - ccxt's code relies on the shape that the exchange's responses have
        problem = type(error).__name__
    else:
        return
    raise ccxt.BadResponse(f"{exchange.id}: {problem} while looking for an error")


def origins_of(exchange: Exchange) -> tuple[str, ...]:
    """Return the origins of all APIs of an exchange, each once."""
    parts = (urlsplit(exchange.implode_hostname(url)) for url in _texts_in(exchange.urls["api"]))
    return tuple(dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in parts if url.scheme == "https"))


def _plain(document: Any) -> Any:  # noqa: ANN401 - JSON is any of its types
    """Return a document with numbers as nothing but text, since ccxt takes no class that derives from that."""
    if isinstance(document, dict):
        return {name: _plain(value) for name, value in document.items()}
    if isinstance(document, list):
        return [_plain(value) for value in document]
    return str(document) if isinstance(document, str) else document


def _rebased(urls: object, base_url: str) -> object:
    if isinstance(urls, dict):
        return {name: _rebased(url, base_url) for name, url in urls.items()}
    return base_url + urlsplit(urls).path if isinstance(urls, str) else urls


def _texts_in(urls: object) -> Iterator[str]:
    if isinstance(urls, dict):
        for url in urls.values():
            yield from _texts_in(url)
    elif isinstance(urls, str):
        yield urls
