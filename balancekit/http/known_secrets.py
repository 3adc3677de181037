"""What must not be shown of an adapter and its requests: texts that are secrets, and those that may be."""

import functools
import itertools
import json
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet, ValuesView
from contextlib import suppress
from types import FunctionType
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from yarl import URL

from balancekit.http.last_read import LastRead
from balancekit.http.messages import Request
from balancekit.http.quotations import Secrets, decodings
from balancekit.http.secret import Secret, is_secret

_MIN_SECRET_LENGTH: Final = 4

_MIN_ATTRIBUTE_LENGTH: Final = 8
"""The length from which on a text that an adapter keeps, and that is not marked as a secret, may be one."""

MAX_VALUES: Final = 1_000
"""How many values of an adapter are searched for secrets."""

MAX_TEXT: Final = 10_000
"""How many characters a text may have that is one, or has one: no credential is longer, but responses are."""

_MAX_SEARCHED: Final = 3 * MAX_TEXT
"""How many characters of texts that are not marked are searched: each is spelled in two dozen encodings."""

FOREIGN: Final = (sys.stdlib_module_names | {"aiohttp", "cryptography"}) - {"types", "_thread"}
"""Where the classes are from whose objects are not searched: they hold no secret, or not as text.

`types` (SimpleNamespace) and `_thread` (threading.local) keep whatever a program puts there.
"""

_TRUSTED_PACKAGES: Final = FOREIGN | {__name__.partition(".")[0]}
"""Packages whose classes declare no secrets."""

_KEPT_BY_FUNCTIONS: Final = (str, bytes, bytearray, FunctionType)

_PUBLIC_HEADERS: Final = frozenset({"accept", "content-type", "user-agent"})

_MIN_WORD_LENGTH: Final = 12

_VALUE: Final = re.compile(r"[^\s\"'{}\[\]:,&=;<>]+")
"""A value in a body, whether that is JSON, a form or text."""

_PUBLIC_VALUES: Final = frozenset({"client_assertion", "client_credentials", "client_secret", "refresh_token"})
"""Names of RFC 6749 and RFC 7521 in a request for a token: codes of errors, such as `invalid_client`, repeat them."""

_WORDS: Final = re.compile(r"[A-Za-z._-]+")
"""A part of a path that is hardly a secret, such as `account.balance.getMany`."""

_CREDENTIAL: Final = re.compile(
    r"(?:auth|cookie|credential|key|password|secret|sign|token)"
    # As in the address of a token, which is a currency.
    r"(?!.*(?:address|contract|currency|id|method|name|symbol|type|user)$)",
    re.IGNORECASE,
)
"""What is in the name of a header, or of a parameter in the query, that holds a credential."""

# A text, which `re` compiles when a body first has fields: that saves time at import.
_CREDENTIAL_FIELD: Final = (
    r"(?i)(?:api|access|auth|private|secret|signing)[-_]?key|(?:access|api|auth|bearer|refresh|session)[-_]?token"
    r"|(?:api|client|consumer|key)?[-_]?secret|pass(?:code|phrase|wd|word)|authorization|credentials?|signature"
)
"""The whole name of a field in the body that holds one: a `token` may be a currency, and a `key` that of a row."""

_FAILURES: Final = (Exception, SystemExit)
"""What reading an attribute of an adapter, or of what it keeps, may raise: a property may call `sys.exit`."""


def secrets_of(adapter: object, *requests: Request) -> Secrets:
    """Return all that must not be shown of an adapter and of the requests that it has built for one read.

    Of the adapter that is what its attributes and items hold, at any depth: the texts marked as secrets, and the others
    but for labels, short ones, endless ones and the harmless parts of URLs; and what classes declare that is marked. Of
    a request it is the values of its query and headers, what its body has under the name of a credential, and the
    tokens in path and body: texts that are too long for a word, or long and with digits. The parts of a header's value
    between blanks count too, since a server may send a token back without its scheme.
    """
    found = set(_texts_in(adapter))
    for request in requests:
        # It may be any. What has been found by then counts.
        for read in (_values_of_headers, _values_of_url, _values_of_body, _credentials_in_body):
            with suppress(Exception):
                found.update(read(request))
    labels = {*_labels_of(adapter)}
    return Secrets(text for text in found if len(text) >= _MIN_SECRET_LENGTH and text not in labels)


def credentials_of(adapter: object, *requests: Request) -> Secrets:
    """Return the texts that are marked as secrets of an adapter, and what requests have under the name of a credential.

    No response repeats these as the name of something. It may well repeat other values, such as the id of an account.
    """
    found = set(_texts_in(adapter, marked_only=True))
    for request in requests:
        for read in (_credentials_in_head, _credentials_in_body):
            with suppress(Exception):
                found.update(read(request))
    return Secrets(found)


def _credentials_in_head(request: Request) -> Iterator[str]:
    for name, value in (*request.headers.items(), *URL(request.url, encoded=True).query.items()):
        if _CREDENTIAL.search(name):
            yield from (value, *value.split())
            scheme, _, login = value.partition(" ")
            for decoded in decodings(login) if scheme.lower() == "basic" else ():
                user, _, password = decoded.decode("utf-8", "replace").partition(":")
                yield password
                # Beside a password it is the name of an account; a key is sent with none, or with a filler.
                if len(password) < _MIN_ATTRIBUTE_LENGTH:
                    yield user


def _credentials_in_body(request: Request) -> Iterator[str]:
    fields: list[tuple[str, Any]] = []
    try:
        # For the objects at any depth.
        json.loads(request.body, object_pairs_hook=fields.extend)
    except ValueError:
        fields += parse_qsl(_body_of(request))
    for name, value in fields:
        if re.fullmatch(_CREDENTIAL_FIELD, name) and isinstance(value, str) and value not in _PUBLIC_VALUES:
            yield value


def _values_of_headers(request: Request) -> Iterator[str]:
    for name, value in request.headers.items():
        if name.lower() not in _PUBLIC_HEADERS:
            yield value
            for part in value.split():
                yield part
                # A user and a password.
                for decoded in decodings(part):
                    with suppress(UnicodeDecodeError):
                        yield from decoded.decode().split(":")


def _values_of_url(request: Request) -> Iterator[str]:
    return _secrets_in_url(URL(request.url, encoded=True))


def _body_of(request: Request) -> str:
    # An adapter may have forgotten to encode it.
    content = cast("object", request.body)
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)


def _values_of_body(request: Request) -> Iterator[str]:
    body = _body_of(request)
    words = (word for word in _VALUE.findall(body) if word not in _PUBLIC_VALUES)
    return (word for word in words if _is_token(word) or word == body)


def _secrets_in_url(url: URL) -> Iterator[str]:
    yield from (*url.query.values(), url.user or "", url.password or "")
    for part in (*url.path.split("/"), *url.raw_path.split("/")):
        if _is_token(part) and not _WORDS.fullmatch(part):
            yield part


def _is_token(text: str) -> bool:
    has_digits = any(character.isdigit() for character in text)
    return len(text) >= (_MIN_ATTRIBUTE_LENGTH if has_digits else _MIN_WORD_LENGTH)


def _labels_of(adapter: object) -> Iterator[str]:
    for name in ("account", "provider"):
        with suppress(*_FAILURES):
            label = getattr(adapter, name)
            if isinstance(label, str):
                yield label


def _texts_in(adapter: object, *, marked_only: bool = False) -> Iterator[str]:
    # Its own attributes, whatever its class is called: a program's module may have the name of a foreign one.
    pending = deque(held for _, held in attributes_of(adapter))
    with suppress(*_FAILURES):
        pending.extend(itertools.islice(_items_of(adapter), MAX_VALUES))
    seen: dict[int, object] = {id(label): label for label in _labels_of(adapter)}
    yield from _texts_among(pending, seen, room=0 if marked_only else _MAX_SEARCHED)
    # The texts that a class declares are names, such as those of fields, unless they are marked.
    classes = filter(_may_declare_secrets, map(type, (adapter, *seen.values())))
    kept = (value for value in seen.values() if issubclass(type(value), type))
    yield from _texts_among(deque((*classes, *kept)), {}, room=0, with_classes=True)


def _texts_among(
    pending: deque[object], seen: dict[int, object], *, room: int, with_classes: bool = False
) -> Iterator[str]:
    """Give the texts among the values that are pending, and in them; all that were looked at are added to `seen`.

    They are kept there, since the place in memory of one that is gone may be that of another.
    """
    while pending and len(seen) < MAX_VALUES:
        # In the order of their depth.
        value = pending.popleft()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        # What it may raise hides no other value, and none that was found in it by then.
        with suppress(*_FAILURES):
            if isinstance(value, Secret):
                yield from value.reveal().split()
            elif is_secret(value):
                yield from _text_of(cast("Any", value).get_secret_value()).split()
            elif isinstance(value, str | bytes | bytearray | URL):
                text = _text_of(value)
                if len(text) <= min(room, MAX_TEXT):
                    room -= len(text)
                    yield from _texts_of(text)
            else:
                # What has more may make them when they are taken, and without an end.
                pending.extend(itertools.islice(_held_by(value, with_classes=with_classes), MAX_VALUES))


def _text_of(value: object) -> str:
    # No character has more than four bytes.
    return value[: 4 * MAX_TEXT + 1].decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)


def _held_by(value: object, *, with_classes: bool) -> Iterator[object]:
    """Give what an object holds in which secrets may be; `with_classes`, its class too, and what a class declares."""
    if not isinstance(value, LastRead) and package_of(value) not in FOREIGN:
        yield from (held for _, held in attributes_of(value))
        yield from (type(value),) if with_classes else ()
    if with_classes and isinstance(value, type):
        yield from _declared_by(value)
    yield from _items_of(value)


def _may_declare_secrets(kind: type) -> bool:
    # It may be anything.
    return str(kind.__module__).partition(".")[0] not in _TRUSTED_PACKAGES


def _declared_by(kind: type) -> Iterator[object]:
    for one in kind.__mro__:
        if _may_declare_secrets(one):
            yield from (held for name, held in vars(one).items() if not name.startswith("__"))


def _items_of(value: object) -> Iterator[object]:
    if isinstance(value, FunctionType):
        # What else it encloses it rather works on.
        yield from (held for held in enclosed_by(value) if is_secret(held) or isinstance(held, _KEPT_BY_FUNCTIONS))
    elif isinstance(value, functools.partial):
        yield from (value.args, value.keywords)
    elif isinstance(value, Mapping):
        yield from cast("Mapping[object, object]", value).values()
    elif isinstance(value, Sequence | AbstractSet | ValuesView):
        yield from cast("Iterable[object]", value)


def enclosed_by(function: FunctionType) -> Iterator[object]:
    """Give what a function encloses, and its defaults."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        # It may be empty.
        with suppress(ValueError):
            yield cell.cell_contents


def _texts_of(text: str) -> Iterator[str]:
    for part in text.split():
        if "://" in part or part.startswith("/"):
            with suppress(ValueError):
                yield from _secrets_in_url(URL(part))
        elif len(part) >= _MIN_ATTRIBUTE_LENGTH:
            yield part


def attributes_of(value: object) -> Iterator[tuple[str, object]]:
    """Give the name and the value of each attribute of an object that can be read."""
    for name in _names_of(value):
        with suppress(*_FAILURES):
            yield name, getattr(value, name)


def _names_of(value: object) -> Iterator[str]:
    for kind in type(value).__mro__:
        yield from _slots(kind)
    with suppress(*_FAILURES):
        # A copy, since to look at an attribute may add another.
        yield from [*getattr(value, "__dict__", ())]


def _slots(kind: type) -> Iterator[str]:
    slots: str | Iterable[str] = vars(kind).get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        is_private = name.startswith("__") and not name.endswith("__")
        yield f"_{kind.__name__.lstrip('_')}{name}" if is_private else name


def package_of(value: object) -> str:
    """Return the name of the package that the class of an object is from."""
    return type(value).__module__.partition(".")[0]
