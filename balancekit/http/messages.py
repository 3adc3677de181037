"""Requests, responses and the parts that they are made of: values and pure functions, no I/O."""

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, cast

import attrs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from balancekit.http.fields import list_in
from balancekit.money import exact_json
from balancekit.money.layout import one_line

MAX_EXCERPT: Final = 200
"""How many characters of a response a message may show."""

OK: Final = 200
"""The status of a success, as a number: to look up the member of the enumeration takes as long as to read a balance."""

MAX_ERROR_BODY: Final = 64 * 2**10
"""How many bytes of an error response's body are read at all: more than any message may show."""

_MAX_HEADER: Final = 1_000
"""How many characters are read of a header that is a list: the values that dozens of proxies add."""

_MAX_AGE: Final = 86_400
"""How many seconds of an `Age` are counted: a day is as wrong as a year."""

# With a sign or a fraction, which RFC 9111, section 5.1, does not allow, it is an age as well.
_AGE: Final = re.compile(r"\+?([0-9]+)(?:\.[0-9]*)?")

_MAX_PART: Final = 63
"""How many characters a part of a host's name may have (RFC 1035, section 2.3.4)."""

_SLASHES: Final = re.compile("/{2,}")

_NO_HEADERS: Final[Mapping[str, str]] = CIMultiDictProxy(CIMultiDict())


def _case_insensitive(headers: Mapping[str, str]) -> Mapping[str, str]:
    return headers if isinstance(headers, CIMultiDictProxy) else CIMultiDictProxy(CIMultiDict(headers))


def origin_repr(url: Any) -> str:  # noqa: ANN401 - what is shown may be half made
    """Return the repr of a URL's origin: path and query may hold a credential."""
    try:
        return repr(str(URL(url).origin()))
    except (TypeError, ValueError):
        return "…"


@attrs.frozen
class Request:
    """One request, ready to be sent as it is: what was signed is what goes out.

    Headers, body, path and query may hold credentials, so no repr shows them.
    """

    method: str
    url: str = attrs.field(repr=origin_repr)
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Response:
    """The response to one request, read to its end. Header names are looked up in any case."""

    status: int
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, converter=_case_insensitive, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)

    def json(self) -> Any:  # noqa: ANN401 - JSON is any of its types
        """Decode the body with every number exact: integers as `int`, other numbers as their text.

        Raises ValueError if the body is not UTF-8 JSON, or has an object with a key twice.
        """
        return exact_json.decode_distinct(self.body)

    def entries(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the objects of the list that is a field of the JSON object in the body, or that is the whole body.

        Raises ValueError as `json` does, and for anything but a list of objects, with its place, such as `data[3]`; for
        one with an error reported beside it, as by `error` or by `success: false`, since it may lack some; and for one
        of more than `MAX_BALANCES`.
        """
        entries = list_in(self.json(), name)
        for index, entry in enumerate(cast("Sequence[object]", entries)):
            if not isinstance(entry, dict):
                found = exact_json.json_type_name(entry)
                raise exact_json.ShapeError(f"{name or ''}[{index}]: expected an object, got {found}")
        return cast("list[dict[str, Any]]", entries)


def values_of(response: Response, name: str) -> str:
    """Return the first thousand characters of the values of a header, with commas between; empty if there is none."""
    # A proxy may add a second header to that of the provider.
    return ", ".join(cast("CIMultiDictProxy[str]", response.headers).getall(name, ()))[:_MAX_HEADER]


def cached_for(response: Response) -> int:
    """Return for how many seconds, up to a day, a response has been in a cache; 0 if no `Age` says it.

    Of several the largest counts: each cache on the way may add one.
    """
    ages = (_AGE.fullmatch(value.strip()) for value in values_of(response, "Age").split(","))
    return max((min(int(age[1][:10]), _MAX_AGE) for age in ages if age is not None), default=0)


def check_base_url(base_url: object, *, allow_http_to: Collection[str] = ()) -> str:
    """Return a base URL without the slash at its end, repeated slashes and the dot at the end of its host.

    Raises ValueError unless it is `https://` (or `http://` to a loopback address or one of the hosts given, since
    credentials and balances would cross the network in the clear) with a host and nothing after the path.
    """
    try:
        # yarl accepts blanks and control characters in a host.
        printable = isinstance(base_url, str) and base_url.isprintable() and " " not in base_url
        url = URL(base_url) if isinstance(base_url, str) and printable else None
        written = None if url is None else _without_final_dot(url)
    except ValueError:
        url = written = None
    # No message shows the URL itself: it may contain a password.
    if url is None or written is None or url.host is None or url.scheme not in {"http", "https"}:
        raise ValueError("expected an https:// URL with a host")
    if not all(0 < len(part) <= _MAX_PART for part in (written.raw_host or "").split(".")):
        raise ValueError("the host has an empty part, or one of more than 63 characters")
    if url.user is not None or url.password is not None:
        raise ValueError("credentials do not belong in the URL")
    if url.query_string or url.fragment or str(base_url).endswith(("?", "#")):
        raise ValueError("nothing may follow the path")
    if url.scheme == "http" and not is_loopback(url.host) and url.host not in map(str.lower, allow_http_to):
        raise ValueError(
            f"http:// to {url.host} would send credentials in the clear: use https://, "
            "or http:// to a loopback address such as 127.0.0.1"
        )
    return str(written.with_path(_SLASHES.sub("/", url.raw_path), encoded=True)).rstrip("/")


def origin_of(url: str) -> str:
    """Return the scheme, host and port of a URL; ValueError if it is none."""
    return str(_without_final_dot(URL(url)).origin())


def _without_final_dot(url: URL) -> URL:
    # `host.` is the same host: it only says that nothing is to be appended to the name.
    host = url.host or ""
    return url.with_host(host.rstrip(".")) if host.endswith(".") else url


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, by a loopback address or as `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def excerpt(text: str | bytes, limit: int = MAX_EXCERPT, *, kept: str = "") -> str:
    """Return the start of untrusted text as one short printable line, in which the characters `kept` may be too."""
    if isinstance(text, bytes):
        text = text.lstrip()[: 4 * limit].decode("utf-8", "replace")
    line = one_line(text.lstrip()[: 4 * limit], kept=kept)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def parse_date(value: str | None) -> float | None:
    """Return the Unix seconds of an HTTP date, such as that of a `Date` header; None if it is not a date."""
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
