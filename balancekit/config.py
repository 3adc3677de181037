"""Reading `accounts.toml`: which accounts there are, and where their secrets are kept.

    [accounts.shop-eu]
    provider = "cryptoprocessing"
    key = "pk_0123"
    secret = { env = "SHOP_EU_SECRET" }              # or { file = "…" }, relative to the folder of accounts.toml

    [aliases]                                        # optional, see `merge`
    USDCE = "USDC"

    [client]                                         # optional: timeout, deadline, concurrency, attempts
    deadline = 10

The settings of an account are the keyword-only parameters of its provider's class, so nothing here knows any provider.
"""

import difflib
import inspect
import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

import attrs

from balancekit.client.aggregate import AggregateClient
from balancekit.errors import ConfigError
from balancekit.http.secret import Secret
from balancekit.money.aliases import check_aliases
from balancekit.money.currencies import check_label
from balancekit.money.exact_json import json_type_name
from balancekit.providers import provider_class
from balancekit.providers.base import HttpProvider

CLIENT_SETTINGS: Final = ("timeout", "deadline", "concurrency", "attempts")
"""Which arguments of `AggregateClient` the table `[client]` may set."""

_TABLES: Final = ("accounts", "aliases", "client")
_MAX_FILE: Final = 2**20
_MAX_SECRET_FILE: Final = 2**16
_PLACE: Final = re.compile(r"line [0-9]+, column [0-9]+|end of document")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOW_TO_REFER: Final = '{ env = "NAME" } or { file = "path" }'
_SCALARS: Final[Mapping[type, str]] = MappingProxyType(
    {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
)


@attrs.frozen
class Config:
    """The accounts of a configuration file, and how they are to be read and merged."""

    providers: tuple[HttpProvider, ...]
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    client_settings: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    def make_client(self) -> AggregateClient:
        """Make a client that reads all accounts over a session of its own."""
        return AggregateClient(self.providers, aliases=self.aliases, **self.client_settings)


def load_config(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Config:
    """Read accounts and settings from a TOML file; `environ` is the process's own environment unless given.

    Raises ConfigError with a line for the first problem of each account, which names the file, the account and the key.
    Neither its message nor its traceback shows a value that is a secret, or that may be one.
    """
    try:
        return _load(Path(path), os.environ if environ is None else environ)
    except _Problem as error:
        lines = error.lines
    # The frames below hold what was read, this one the environment: the error is raised anew, with nothing of either.
    del environ
    raise ConfigError("\n".join(f"{os.fspath(path)}: {line}" for line in lines))


class _Problem(Exception):  # noqa: N818 - it never leaves this module
    """What is wrong, a line for each thing; each level on the way up puts its name in front."""

    @property
    def lines(self) -> tuple[str, ...]:
        return self.args

    def at(self, place: str) -> "_Problem":
        return _Problem(*(f"{place}: {line}" for line in self.lines))


def _load(path: Path, environ: Mapping[str, str]) -> Config:
    document = _parse(_decode(_read(path, _MAX_FILE, "the file"), "the file"))
    _refuse_unknown(document, _TABLES)
    accounts = _table(document, "accounts")
    if not accounts:
        raise _Problem("accounts: there are none; add a table such as [accounts.shop-eu]")
    vault = _Vault(path.parent, environ)
    providers: list[HttpProvider] = []
    problems: list[str] = []
    for label, settings in accounts.items():
        try:
            providers.append(_account(label, settings, vault))
        except _Problem as error:
            problems += error.at(f"account {label!r}").lines
    if problems:
        raise _Problem(*problems)
    return Config(tuple(providers), _aliases(_table(document, "aliases")), _client(_table(document, "client")))


@attrs.frozen
class _Vault:
    """Where references lead."""

    folder: Path
    environ: Mapping[str, str]

    def follow(self, reference: Mapping[str, object]) -> str:
        _refuse_unknown(reference, ("env", "file"))
        if len(reference) != 1:
            raise _Problem(f"expected {_HOW_TO_REFER}")
        ((kind, name),) = reference.items()
        if not isinstance(name, str):
            raise _Problem(f"{kind}: expected text, got {_kind(name)}")
        return self._variable(name) if kind == "env" else self._file(name)

    def _variable(self, name: str) -> str:
        # Somebody may have put the secret itself here, so only what can hardly be one is shown.
        if _VARIABLE.fullmatch(name) is None:
            raise _Problem("env: expected the name of an environment variable: letters, digits and underscores")
        named = f"the environment variable {name}" if name.isupper() else "the environment variable of that name"
        value = self.environ.get(name)
        if value is None:
            raise _Problem(f"{named} is not set")
        if not value:
            raise _Problem(f"{named} is empty")
        return _decode(value.encode("utf-8", "surrogateescape"), named)

    def _file(self, name: str) -> str:
        path = self.folder / name
        named = f"the file {str(path)!r}"
        text = _decode(_read(path, _MAX_SECRET_FILE, named), named).removesuffix("\n").removesuffix("\r")
        if not text:
            raise _Problem(f"{named} is empty")
        return text


def _account(label: str, settings: object, vault: _Vault) -> HttpProvider:
    try:
        check_label(label)
    except ValueError as error:
        raise _Problem(str(error)) from None
    given = dict(_as_table(settings))
    cls = _class(given.pop("provider", None))
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    _refuse_unknown(given, ("provider", *parameters))
    for key, parameter in parameters.items():
        if key not in given and parameter.default is parameter.empty:
            how = f"; give {_HOW_TO_REFER}" if key in cls.secret_settings else ""
            raise _Problem(f"{key}: missing{how}")
    values = {key: _setting(cls, key, value, vault) for key, value in given.items()}
    try:
        return cls(label, **cast("dict[str, Any]", values))
    except ConfigError as error:
        problem = str(error).removeprefix(f"account {label!r}: ")
    except Exception as error:  # noqa: BLE001 - an adapter may raise anything; its words are left out, they may hold a secret
        problem = f"{cls.__name__} refused the settings with {type(error).__name__}"
    raise _Problem(problem)


def _class(name: object) -> type[HttpProvider]:
    if name is None:
        raise _Problem("provider: missing")
    if not isinstance(name, str):
        raise _Problem(f"provider: expected text, got {_kind(name)}")
    try:
        return provider_class(name)
    except Exception as error:  # noqa: BLE001 - importing an adapter of another distribution may raise anything
        reason = str(error) if isinstance(error, ConfigError) else f"importing {name!r} raised {error!r}"
        raise _Problem(f"provider: {reason}") from None


def _setting(cls: type[HttpProvider], key: str, value: object, vault: _Vault) -> object:
    several = _as_list(value)
    if several is None or key in cls.secret_settings or not _takes_several(cls, key):
        return _one_setting(cls, key, key, value, vault)
    return tuple(_one_setting(cls, key, f"{key}[{index}]", item, vault) for index, item in enumerate(several))


def _one_setting(cls: type[HttpProvider], key: str, named: str, value: object, vault: _Vault) -> object:
    secret = key in cls.secret_settings
    if isinstance(value, dict):
        try:
            value = vault.follow(cast("dict[str, object]", value))
        except _Problem as error:
            raise error.at(named) from None
    elif secret:
        raise _Problem(f"{named}: a secret does not belong in this file; give {_HOW_TO_REFER}")
    if secret:
        return Secret(value)
    admitted = _admitted(cls, key)
    # By the exact type, since a bool is an int too.
    if admitted and type(value) not in admitted:
        expected = " or ".join(_SCALARS[kind] for kind in admitted)
        raise _Problem(f"{named}: expected {expected}, got {_kind(value)}")
    return value


def _admitted(cls: type[HttpProvider], key: str) -> tuple[type, ...]:
    kinds = tuple(kind for kind in _hints(cls, key) if kind in _SCALARS)
    return (*kinds, int) if float in kinds and int not in kinds else kinds


def _takes_several(cls: type[HttpProvider], key: str) -> bool:
    return any(get_origin(hint) in {list, tuple, Sequence} for hint in _hints(cls, key))


def _hints(cls: type[HttpProvider], key: str) -> tuple[Any, ...]:
    try:
        hint: Any = get_type_hints(cls.__init__).get(key)
    except NameError:
        # It names a type that is imported for type checkers only; the constructor is the judge then.
        return ()
    # Of a union its members; but the arguments of a list are what is in it.
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _aliases(table: Mapping[str, object]) -> dict[str, str]:
    aliases = cast("dict[str, str]", dict(table))
    for code, currency in aliases.items():
        try:
            check_aliases({code: currency})
        except (TypeError, ValueError) as error:
            raise _Problem(f"aliases: {code!r}: {error}") from None
    try:
        return check_aliases(aliases)
    except ValueError as error:
        raise _Problem(f"aliases: {error}") from None


def _client(table: Mapping[str, object]) -> dict[str, Any]:
    settings = dict(table)
    try:
        _refuse_unknown(settings, CLIENT_SETTINGS)
        AggregateClient((), **cast("dict[str, Any]", settings))
    except _Problem as error:
        raise error.at("client") from None
    except ConfigError as error:
        raise _Problem(f"client: {error}") from None
    return settings


def _parse(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Only the place: the words of the parser may quote the file, and a secret may stand there.
        place = _PLACE.search(str(error))
        raise _Problem(f"not valid TOML{f' at {place[0]}' if place else ''}") from None


def _read(path: Path, limit: int, named: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        # A ValueError is a null character in the path.
        raise _Problem(f"{named} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > limit:
        raise _Problem(f"{named} is larger than {limit} bytes")
    return content


def _decode(content: bytes, named: str) -> str:
    try:
        # Editors on Windows put a byte order mark in front.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _Problem(f"{named} is not UTF-8 text") from None


def _table(document: Mapping[str, object], name: str) -> dict[str, object]:
    try:
        return _as_table(document.get(name, {}))
    except _Problem as error:
        raise error.at(name) from None


def _as_table(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    raise _Problem(f"expected a table, got {_kind(value)}")


def _as_list(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _kind(value: object) -> str:
    return "a table" if isinstance(value, dict) else json_type_name(value)


def _refuse_unknown(table: Mapping[str, object], known: Collection[str]) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise _Problem(f"{key!r} is unknown; {meant}")
