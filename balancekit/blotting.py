"""Keeping what was sent as a secret out of what is shown, should a server send it back in words of its own."""

import contextlib
import json
import re
from collections.abc import Iterable
from typing import Final

from yarl import URL

from balancekit import decoding
from balancekit.http import MAX_ERROR_BODY, Request, Response

_SHORTEST_SECRET: Final = 4

_PUBLIC_HEADERS: Final = frozenset({"accept", "content-type", "user-agent"})

# A run of backslashes is as many levels of quoting; `\\u005c` is a backslash itself, which may begin another escape.
_ESCAPE: Final = re.compile(r"\\+(?:u([0-9a-fA-F]{4}))?")

_MOST_ESCAPES: Final = 4


def secrets_in(request: Request) -> frozenset[str]:
    """Return what must not be shown of a request: the values of its headers and its query, their words, its body."""
    values = {value for name, value in request.headers.items() if name.lower() not in _PUBLIC_HEADERS}
    values |= {word for value in values for word in value.split()}
    values |= {*URL(request.url, encoded=True).query.values(), request.body.decode("utf-8", "replace")}
    return frozenset(value for value in values if len(value) >= _SHORTEST_SECRET)


def without(text: str, secrets: Iterable[str]) -> str:
    """Blot out what was sent as a secret, in upper or lower case, should a server send it back in words of its own."""
    # The longest first, since one may be a part of another.
    words = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    return re.sub(words, "***", text, flags=re.IGNORECASE) if words else text


def blotted(response: Response, secrets: Iterable[str]) -> Response:
    """Return a response without the secrets in its headers and body, however JSON may have escaped them there.

    Of the body, the first `MAX_ERROR_BODY` bytes are kept.
    """
    body = response.body[:MAX_ERROR_BODY]
    text = body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        # Written anew, since `/` may have come as `\\/`, and any character by its number.
        text = json.dumps(decoding.decode_json(body), ensure_ascii=False)
    secrets = tuple(secrets)
    text = without(text, {*secrets, *(json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets)})
    # What is not whole JSON has its escapes still, and so has JSON quoted in JSON: whoever reads it undoes them.
    for undo in (_without_backslashes, _unescaped):
        bare_text, bare_secrets = undo(text), tuple(map(undo, secrets))
        if (blotted_text := without(bare_text, bare_secrets)) != bare_text:
            text = blotted_text
    headers = {name: without(value, secrets) for name, value in response.headers.items()}
    return Response(response.status, headers, text.encode("utf-8", "replace"))


def _without_backslashes(text: str) -> str:
    return text.replace("\\", "")


def _unescaped(text: str) -> str:
    for _ in range(_MOST_ESCAPES):
        if "\\" not in text:
            break
        text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else "", text)
    return _without_backslashes(text)
