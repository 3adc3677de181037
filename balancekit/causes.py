"""What an error came from, without what it holds of the request: frames hold keys, and error trackers collect them."""

import traceback
from collections.abc import Iterator
from typing import Final, TypeVar, cast

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

_NO_HEADERS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict[str]())
_Error = TypeVar("_Error", bound=BaseException)


def disarm(error: _Error) -> _Error:
    """Take from an exception, and from those it came from, their frames, request headers and undecodable text."""
    for link in chain(error):
        link.__traceback__ = None
        if isinstance(link, aiohttp.ClientResponseError):
            info = link.request_info
            link.request_info = aiohttp.RequestInfo(info.url, info.method, _NO_HEADERS, info.real_url)
            link.args = (link.request_info, ())
            link.history = ()
        elif isinstance(link, UnicodeEncodeError):
            link.object = ""
            link.args = ()
    return error


def blame(error: _Error, raised: BaseException) -> _Error:
    """Make an adapter's own exception the cause of an error: disarmed, with a note of where it was raised."""
    frames = traceback.extract_tb(raised.__traceback__)
    error.__cause__ = disarm(raised)
    for frame in frames[-1:]:
        error.add_note(f"raised at {frame.filename}:{frame.lineno} in {frame.name}")
    return error


def chain(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and all that it came from: causes, contexts and the members of groups, each once."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [other for other in (link.__cause__, link.__context__) if other is not None]
        if isinstance(link, BaseExceptionGroup):
            pending += cast("BaseExceptionGroup[BaseException]", link).exceptions
