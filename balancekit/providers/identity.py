"""What distinguishes an account: the request that reads it, and what its adapter was made with."""

import base64
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set as AbstractSet, Sized
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import FunctionType
from typing import Any, Final, cast

import attrs
from yarl import URL

from balancekit.errors import without_frames
from balancekit.http.known_secrets import enclosed_by
from balancekit.http.messages import Request
from balancekit.http.secret import Secret, is_secret, noting_reveals

_PACKAGE: Final = f"{__name__.partition('.')[0]}."

_MOMENT: Final = 1_767_225_600
"""The first second of 2026: an adapter may refuse the time of a clock that was never set."""

_NONCE: Final = base64.b64encode(bytes(16)).decode()

_MAX_ITEMS: Final = 1_000
"""How many items a list, or a mapping, may have that is a setting."""

_WITH_CODE: Final[tuple[Any, ...]] = (
    FunctionType,
    staticmethod,
    classmethod,
    property,
    functools.cached_property,
    functools.partial,
)


@attrs.frozen
class Settings:
    """What an adapter was made with, but for label and base URL.

    `digest` is a one-way hash, empty if there is nothing. `is_plain` is whether it is the same in every process: some
    of the `objects` in it, which are known by their place in memory, may make a difference that only they know.
    """

    digest: str = ""
    is_plain: bool = True
    objects: tuple[object, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class Identity:
    """What is known of an account without asking its provider.

    Two accounts of one `digest` are one account, as far as their requests and settings show; it is empty if these show
    nothing. `fingerprint` is the same for the same account in every process; it is empty where that is in doubt.
    `has_secret` is whether a secret is among what the digest is of.
    """

    digest: str = ""
    fingerprint: str = ""
    has_secret: bool = False


@without_frames
def attributes_of(adapter: object) -> str:
    """Return a one-way hash of the class of an adapter, and of its plain values: attributes, and what methods enclose.

    Those may have been set after it was made, or in its class. What the base classes declare is not of the account.
    """
    kind = type(adapter)
    spaces = [vars(one) for one in _classes_of(kind)]
    declared = {name for one in kind.__mro__ if one.__module__.startswith(_PACKAGE) for name in vars(one)}
    names = {name for space in (vars(adapter), *spaces) for name in space if not name.startswith("__")} - declared
    enclosed = _enclosed_in_class(cast("Callable[..., object]", kind)) + _enclosed_in(
        member for _, member in sorted(vars(adapter).items())
    )
    plain: list[tuple[str, object]] = [("", [kind.__module__, kind.__qualname__, *enclosed])]
    for name in names:
        objects: list[object] = []
        # A value may be of any kind.
        with suppress(Exception):
            value = inspect.getattr_static(adapter, name)
            value = _plain(value.__get__(adapter) if inspect.ismemberdescriptor(value) else value, objects)
            if not objects:
                plain.append((name, value))
    return _digest(plain)


def _classes_of(kind: type) -> list[type]:
    return [one for one in kind.__mro__ if one is not object and not one.__module__.startswith(_PACKAGE)]


@functools.lru_cache(maxsize=256)
def _enclosed_in_class(kind: Callable[..., object]) -> list[object]:
    classes = _classes_of(cast("type", kind))
    return _enclosed_in(member for one in classes for _, member in sorted(vars(one).items()))


def _enclosed_in(members: Iterable[object]) -> list[object]:
    """Return the plain values that functions among the members of an adapter enclose: another may have made them."""
    found: list[object] = []
    pending: list[Any] = [*members]
    seen: set[int] = set()
    while pending:
        member = pending.pop(0)
        if not isinstance(member, _WITH_CODE) or id(member) in seen:
            continue
        seen.add(id(member))
        held = [getattr(member, name, None) for name in ("__func__", "fget", "func")]
        held += [*getattr(member, "args", ()), *getattr(member, "keywords", {}).values()]
        held += enclosed_by(member) if isinstance(member, FunctionType) else ()
        for value in held:
            objects: list[object] = []
            # It may be of any kind.
            with suppress(Exception):
                plain = _plain(value, objects)
                found += [] if objects else [plain]
        pending += held
    return found


@without_frames
def identify(
    build: Callable[[int, str], Request], settings: Settings, attributes: str, *, by_request: bool
) -> Identity:
    """Return the identity of the account whose request `build` makes at a time and with a nonce.

    Only a request that is the same each time, and in which a secret is used, has all that distinguishes the account; so
    `by_request` says that it needs no settings and `attributes` beside it. What a request with a random part is made of
    cannot be known: two accounts are one if the rest, the settings and the secrets in it are.
    """
    try:
        with noting_reveals() as revealed:
            parts = _parts(build(_MOMENT, _NONCE))
        with noting_reveals() as revealed_again:
            again = _parts(build(_MOMENT, _NONCE))
    except Exception:  # noqa: BLE001 - an adapter may raise anything; it does so again at the first fetch, and is shown
        return Identity()
    if again != parts:
        fixed = [part for part in parts if part in again]
        revealed &= revealed_again
        shown = [*([settings.digest] if settings.digest else []), *revealed]
        return Identity(_digest([*fixed, *(("", text) for text in shown)]) if shown else "", has_secret=bool(revealed))
    digest = _digest(parts)
    if by_request:
        return Identity(digest, digest if revealed else "", bool(revealed))
    is_known = revealed and settings.is_plain
    fingerprint = _digest([*parts, ("", settings.digest), ("", attributes)]) if is_known else ""
    return Identity(digest, fingerprint, bool(revealed))


@functools.lru_cache(maxsize=256)
def signature_of(call: Callable[..., object]) -> inspect.Signature:
    """Return the signature of a call or a class, whatever its annotations name."""
    if sys.version_info >= (3, 14):
        # Annotations are evaluated when they are looked at, and may name what is imported only for type checkers.
        from annotationlib import Format

        return inspect.signature(call, annotation_format=Format.FORWARDREF)
    return inspect.signature(call)


@without_frames
def read_settings(init: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> Settings:
    """Return the settings in the arguments of a constructor."""
    objects: list[object] = []
    try:
        signature = signature_of(init)
        bound = signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        this, *parameters = signature.parameters.values()
        given = {**bound.arguments, **bound.kwargs}
        # The label is called `account`, or else is the first.
        positional = [one.name for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
        label = "account" if "account" in given else next(iter(positional), "")
        left_out = {this.name, label, "base_url", *(one.name for one in parameters if one.kind is one.VAR_KEYWORD)}
        if not label and parameters and parameters[0].kind is parameters[0].VAR_POSITIONAL:
            given[parameters[0].name] = args[1:]
        settings = [(name, _plain(value, objects)) for name, value in given.items() if name not in left_out]
        is_empty = not any(value for _, value in settings)
        return Settings("" if is_empty else _digest(settings), not objects, tuple(objects))
    except Exception:  # noqa: BLE001 - a value may be of any kind; without settings the account is not shared
        return Settings(is_plain=False)


def _plain(value: object, objects: list[object]) -> object:
    """Return what JSON can write of a value; other objects are added to `objects`."""
    if is_secret(value):
        value = Secret.of(value).reveal()
    kind = type(value)
    if isinstance(value, Enum):
        value = [kind.__qualname__, value.name]
    elif isinstance(value, bytes | Decimal | PurePath | URL):
        value = [kind.__name__, str(value)]
    elif attrs.has(kind) or hasattr(kind, "__dataclass_fields__"):
        names = attrs.fields_dict(kind) if attrs.has(kind) else cast("Any", kind).__dataclass_fields__
        value = [kind.__qualname__, {name: getattr(value, name) for name in names}]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping | list | tuple | AbstractSet) and len(cast("Sized", value)) > _MAX_ITEMS:
        # Data that an adapter keeps, rather than a setting: to write it takes a second for a million.
        objects.append(cast("object", value))
        return None
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return [[_plain(name, objects), _plain(item, objects)] for name, item in items]
    if isinstance(value, list | tuple):
        return [_plain(item, objects) for item in cast("Sequence[object]", value)]
    if isinstance(value, AbstractSet):
        return sorted(json.dumps(_plain(item, objects)) for item in cast("AbstractSet[object]", value))
    objects.append(value)
    return ["object", id(value)]


def _digest(parts: list[tuple[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(sorted(parts)).encode()).hexdigest()[:32]


def _parts(request: Request) -> list[tuple[str, str]]:
    """Return the names and values that a request consists of; only headers and parameters have a name of their own."""
    path, _, query = request.url.partition("?")
    parts = [("", request.method), ("", path), ("", request.body.decode("utf-8", "surrogateescape"))]
    if query:
        parts += sorted(URL(request.url, encoded=True).query.items())
    return parts + sorted((name.lower(), value) for name, value in request.headers.items())
