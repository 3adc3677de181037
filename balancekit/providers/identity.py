"""What distinguishes an account: the request that reads it, and the credentials that it carries."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, cast

import attrs
from yarl import URL

from balancekit.http.messages import Request
from balancekit.http.secret import Secret

_MOMENT: Final = 1_767_225_600
"""The first second of 2026: an adapter may refuse the time of a clock that was never set."""

_NONCE: Final = base64.b64encode(bytes(16)).decode()

_CREDENTIAL: Final = re.compile(r"auth|cookie|credential|key|password|secret|sign|token", re.IGNORECASE)
"""What is in the name of a header, or of a parameter in the query, that holds a credential."""


@attrs.frozen
class Identity:
    """What is known of an account without asking its provider.

    Accounts of one `digest` send the same request, so they are one account, unless something outside of the request
    (a client certificate, a gateway of this machine) makes a difference. It is empty if nothing is known. Only what
    carries its credentials is the same account for every process.
    """

    digest: str = ""
    carries_credentials: bool = False


def identify(adapter: object, build: Callable[[int, str], Request]) -> Identity:
    """Return the identity of the account whose request `build` makes at a time and with a nonce.

    What differs in two requests of the same time and nonce, such as a signature with a random part, is left out; the
    adapter's own keys take its place.
    """
    try:
        first, second = build(_MOMENT, _NONCE), build(_MOMENT, _NONCE)
        parts = fixed = _parts(first)
        if first != second:
            fixed = [part for part, other in zip(parts, _parts(second), strict=True) if part == other]
    except Exception:  # noqa: BLE001 - an adapter may raise anything; it does so again at the first fetch, and is shown
        return Identity()
    if fixed == parts:
        carries = any(_names_a_credential(name) and value and _NONCE not in value for name, value in parts) or any(
            secret in value for secret in _secrets_of(adapter) for _, value in parts
        )
    else:
        keys = [("", secret) for secret in (*_secrets_of(adapter), *_public_keys_of(adapter))]
        if not keys:
            return Identity()
        carries = True
        fixed += keys
    text = json.dumps(sorted(fixed))
    return Identity(hashlib.sha256(text.encode()).hexdigest()[:32], carries)


@lru_cache(maxsize=256)
def _names_a_credential(name: str) -> bool:
    return _CREDENTIAL.search(name) is not None


def _parts(request: Request) -> list[tuple[str, str]]:
    """Return the names and values that a request consists of; only headers and parameters have a name of their own."""
    path, _, query = request.url.partition("?")
    parts = [("", request.method), ("", path), ("", request.body.decode("utf-8", "surrogateescape"))]
    if query:
        parts += sorted(URL(request.url, encoded=True).query.items())
    return parts + sorted((name.lower(), value) for name, value in request.headers.items())


def _values_of(adapter: object) -> Iterator[object]:
    pending = list(cast("Mapping[str, object]", getattr(adapter, "__dict__", {})).values())
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        # A list may hold itself.
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            pending += cast("Mapping[object, object]", value).values()
        elif isinstance(value, list | tuple):
            pending += cast("Sequence[object]", value)
        else:
            yield value


def _secrets_of(adapter: object) -> Iterator[str]:
    for value in _values_of(adapter):
        with suppress(TypeError):
            if isinstance(value, Secret) and value.reveal():
                yield value.reveal()


def _public_keys_of(adapter: object) -> Iterator[str]:
    """Give the public half of each private key that the adapter has loaded with `cryptography`."""
    for value in _values_of(adapter):
        public_key = getattr(value, "public_key", None)
        if callable(public_key):
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

            with suppress(Exception):
                found = cast("Any", public_key()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                yield found.hex()
