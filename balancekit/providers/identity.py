"""What distinguishes an account: the request that reads it, and what its adapter was made with."""

import base64
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

import attrs
from yarl import URL

from balancekit.http.messages import Request
from balancekit.http.secret import Secret, noting_reveals

_MOMENT: Final = 1_767_225_600
"""The first second of 2026: an adapter may refuse the time of a clock that was never set."""

_NONCE: Final = base64.b64encode(bytes(16)).decode()

_Adapter = TypeVar("_Adapter")
_Parameters = ParamSpec("_Parameters")


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
    """

    digest: str = ""
    fingerprint: str = ""


def noting_settings(
    init: Callable[Concatenate[_Adapter, _Parameters], None],
) -> Callable[Concatenate[_Adapter, _Parameters], None]:
    """Have the constructor of an adapter keep its `Settings`; of several that call each other, the outermost does."""

    @functools.wraps(init)
    def construct(self: _Adapter, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        if "_settings" not in vars(self):
            vars(self)["_settings"] = _read_settings(init, args, kwargs)
        try:
            init(self, *args, **kwargs)
        finally:
            # Error trackers collect the local variables of every frame.
            del args, kwargs

    return construct


def identify(build: Callable[[int, str], Request], settings: Settings, *, by_request: bool) -> Identity:
    """Return the identity of the account whose request `build` makes at a time and with a nonce.

    Only a request that is the same each time, and in which a secret is used, has all that distinguishes the account; so
    no other is shared. `by_request` says that it needs no settings beside it. What a request with a random part is made
    of cannot be known: two accounts are one if the rest and the settings are.
    """
    try:
        with noting_reveals() as revealed:
            parts = _parts(build(_MOMENT, _NONCE))
        again = _parts(build(_MOMENT, _NONCE))
        fixed = [part for part, other in zip(parts, again, strict=True) if part == other]
    except Exception:  # noqa: BLE001 - an adapter may raise anything; it does so again at the first fetch, and is shown
        return Identity()
    with_settings = _digest([*fixed, ("", settings.digest)])
    if fixed != parts:
        return Identity(with_settings if settings.digest else "")
    digest = _digest(parts)
    if by_request:
        return Identity(digest, digest if revealed else "")
    return Identity(digest, with_settings if revealed and settings.is_plain else "")


@functools.lru_cache(maxsize=256)
def signature_of(call: Callable[..., object]) -> inspect.Signature:
    """Return the signature of a call or a class, whatever its annotations name."""
    if sys.version_info >= (3, 14):
        # Annotations are evaluated when they are looked at, and may name what is imported only for type checkers.
        from annotationlib import Format

        return inspect.signature(call, annotation_format=Format.FORWARDREF)
    return inspect.signature(call)


def _read_settings(init: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> Settings:
    objects: list[object] = []
    try:
        signature = signature_of(init)
        bound = signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        this, *parameters = signature.parameters.values()
        # The label is called `account`, or else is the first.
        positional = [one.name for one in parameters if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
        label = "account" if "account" in bound.arguments else next(iter(positional), "")
        left_out = {this.name, label, "base_url", *(one.name for one in parameters if one.kind is one.VAR_KEYWORD)}
        given = {**bound.arguments, **bound.kwargs}
        settings = [(name, _plain(value, objects)) for name, value in given.items() if name not in left_out]
        is_empty = not any(value for _, value in settings)
        return Settings("" if is_empty else _digest(settings), not objects, tuple(objects))
    except Exception:  # noqa: BLE001 - a value may be of any kind; without settings the account is not shared
        return Settings(is_plain=False)


def _plain(value: object, objects: list[object]) -> object:
    """Return what JSON can write of a value; other objects are added to `objects`."""
    if isinstance(value, Secret) or hasattr(value, "get_secret_value"):
        value = Secret.of(value).reveal()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes | Decimal | PurePath | URL):
        return [type(value).__name__, str(value)]
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
