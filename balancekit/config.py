"""`accounts.toml`: which accounts to read, where their secrets are, which aliases and client settings apply.

    [accounts.shop-eu]
    provider = "cryptoprocessing"
    key = "pk_0123"
    secret = { env = "SHOP_EU_SECRET" }              # or { file = "…" }, relative to the folder of accounts.toml

    [aliases]                                        # optional, see `merge`
    USDCE = "USDC"

    [client]                                         # optional: timeout, deadline, concurrency, attempts
    deadline = 10

The settings of an account are the keyword-only parameters of its adapter's constructor, so this module knows no
provider in particular.
"""

import codecs
import difflib
import logging
import os
import re
import stat
import tomllib
import traceback
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypedDict, cast

import attrs

from balancekit.client.aggregate import AggregateClient
from balancekit.errors import ConfigError
from balancekit.http.quotations import Secrets
from balancekit.http.redaction import sanitize_exception
from balancekit.http.secret import Secret, is_quoted, looks_like_words
from balancekit.money.aliases import check_aliases
from balancekit.money.currencies import check_label
from balancekit.money.exact_json import json_type_name
from balancekit.providers import provider_class
from balancekit.providers.base import HttpProvider
from balancekit.providers.settings import Setting, settings_of

_log = logging.getLogger(__name__)


class ClientSettings(TypedDict, total=False):
    """The arguments of `AggregateClient` that the table `[client]` may set."""

    timeout: float
    deadline: float
    concurrency: int
    attempts: int


CLIENT_SETTINGS: Final = tuple(ClientSettings.__annotations__)
"""The names of the `ClientSettings`."""

_TABLES: Final = ("accounts", "aliases", "client")
_MAX_CONFIG_SIZE: Final = 2**20
_MAX_SECRET_SIZE: Final = 2**16
_MIN_SECRET_SIZE: Final = 4
_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)  # Windows has none.
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
_TOML_POSITION: Final = re.compile(r"line [0-9]+, column [0-9]+|end of document")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE_SYNTAX: Final = '{ env = "NAME" } or { file = "path" }'
_SETTING_TYPES: Final[Mapping[type, str]] = MappingProxyType(
    {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
)


@attrs.frozen
class Config:
    """The contents of a configuration file.

    `providers` are its accounts in the order of the file; `aliases` maps codes to the currency that they are counted
    as, and `client_settings` holds only what the file sets.
    """

    providers: tuple[HttpProvider, ...]
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    client_settings: ClientSettings = attrs.field(factory=ClientSettings)

    def make_client(self) -> AggregateClient:
        """Return a client of all accounts that opens its own session."""
        return AggregateClient(self.providers, aliases=self.aliases, **self.client_settings)


def load_config(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Config:
    """Read accounts and settings from a TOML file; `environ` replaces the environment of the process.

    Raises ConfigError with one line for the first problem of each account, which names the file, the account and the
    key. Neither its message nor the local variables of its traceback contain a secret, or a value that may be one.
    """
    problem: BaseException
    try:
        return _load(Path(path), environ)
    except _ConfigProblem as error:
        problem = ConfigError("\n".join(f"{path}: {line}" for line in error.lines))
    except KeyboardInterrupt as error:
        problem = sanitize_exception(error)
    except BaseException as error:  # noqa: BLE001 - the adapters of other distributions may raise anything
        problem = ConfigError(f"{path}: {type(error).__name__} while the accounts were made")
    # Raised here: the frames of the first exception hold what was read, and this one holds the environment.
    del environ
    raise problem


class _ConfigProblem(Exception):  # noqa: N818 - it never leaves this module
    """One line for each problem; each caller on the way up prefixes the name of its part of the file."""

    @property
    def lines(self) -> tuple[str, ...]:
        return self.args

    def prefixed(self, place: str) -> "_ConfigProblem":
        return _ConfigProblem(*(f"{place}: {line}" for line in self.lines))


def _load(path: Path, environ: Mapping[str, str] | None) -> Config:
    path = _expand_home(path)
    document = _parse_toml(_read_text(path, _MAX_CONFIG_SIZE, "the file"))
    _check_keys(document, _TABLES)
    accounts = _get_table(document, "accounts")
    if not accounts:
        raise _ConfigProblem("accounts: there are none; add a table such as [accounts.shop-eu]")
    resolver = _SecretResolver(path.parent, os.environ if environ is None else environ)
    providers: list[HttpProvider] = []
    problems: list[str] = []
    for label, settings in accounts.items():
        try:
            providers.append(_make_provider(label, settings, resolver))
        except _ConfigProblem as error:
            problems += error.prefixed(f"account {label!r}").lines
    if problems:
        raise _ConfigProblem(*problems)
    try:
        AggregateClient(providers)
    except ConfigError as error:
        # One account under two labels, for example.
        raise _ConfigProblem(f"accounts: {str(error).partition(': ')[2]}") from None
    return Config(
        tuple(providers),
        _read_aliases(_get_table(document, "aliases")),
        _read_client_settings(_get_table(document, "client")),
    )


@attrs.frozen
class _SecretResolver:
    """Finds the secrets that the file names by an environment variable or by a file, and adds them to `resolved`."""

    folder: Path
    environ: Mapping[str, str]
    resolved: list[str] = attrs.field(factory=list[str], init=False)

    def resolve(self, reference: Mapping[str, object]) -> str:
        _check_keys(reference, ("env", "file"))
        if len(reference) != 1:
            raise _ConfigProblem(f"expected {_REFERENCE_SYNTAX}")
        ((kind, name),) = reference.items()
        if not isinstance(name, str):
            raise _ConfigProblem(f"{kind}: expected text, got {_type_name(name)}")
        secret = self._resolve_variable(name) if kind == "env" else self._resolve_file(name)
        self.resolved.append(secret)
        return secret

    def _resolve_variable(self, name: str) -> str:
        # The secret itself may stand here by mistake: only words in upper case, as variables usually have, are shown.
        if _VARIABLE_NAME.fullmatch(name) is None:
            raise _ConfigProblem("env: expected the name of an environment variable: letters, digits and underscores")
        shown = name.isupper() and looks_like_words(name)
        description = f"the environment variable {name}" if shown else "the environment variable of that name"
        value = self.environ.get(name)
        if value is None:
            raise _ConfigProblem(f"{description} is not set")
        if not value:
            raise _ConfigProblem(f"{description} is empty")
        return _without_quotes(_decode_utf8(value.encode("utf-8", "surrogateescape"), description), description)

    def _resolve_file(self, name: str) -> str:
        path = self.folder / _expand_home(Path(name))
        description = f"the file {str(path)!r}" if looks_like_words(name) else "the file of that name"
        text = _read_text(path, _MAX_SECRET_SIZE, description).removesuffix("\n").removesuffix("\r")
        if not text:
            raise _ConfigProblem(f"{description} is empty")
        if path.stat().st_mode & _OTHERS and os.name == "posix":
            _warn_of_access(path)
        return _without_quotes(text, description)


def _expand_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise _ConfigProblem("the home folder that ~ stands for is unknown") from None


def _without_quotes(text: str, description: str) -> str:
    if is_quoted(text):
        raise _ConfigProblem(f"{description} has quotes around its text; remove them")
    return text


@cache
def _warn_of_access(path: Path) -> None:
    # A file that was read, so its name is no secret. The cache keeps a service that loads it again from repeating this.
    _log.warning("the secret in %s can be read or changed by every user of this machine: chmod o= %s", path, path)


def _make_provider(label: str, table: object, resolver: _SecretResolver) -> HttpProvider:
    try:
        check_label(label)
    except ValueError as error:
        raise _ConfigProblem(str(error)) from None
    given = dict(_as_table(table))
    adapter = _find_provider_class(given.pop("provider", None))
    settings = settings_of(adapter)
    _check_keys(given, ("provider", *settings))
    for key, setting in settings.items():
        if key not in given and setting.is_required:
            how = f"; give {_REFERENCE_SYNTAX}" if setting.is_secret else ""
            raise _ConfigProblem(f"{key}: missing{how}")
    values = {key: _read_setting(settings[key], key, value, resolver) for key, value in given.items()}
    try:
        return adapter(label, **cast("dict[str, Any]", values))
    except KeyboardInterrupt:
        raise
    except ConfigError as error:
        problem = str(error).removeprefix(f"account {label!r}: ")
        # A plug-in's own words may quote what it was given.
        secrets = Secrets(text for text in resolver.resolved if len(text) >= _MIN_SECRET_SIZE)
        if secrets.quoted_in(problem) or not _is_raised_here(error):
            problem = secrets.redact(problem)
    except BaseException as error:  # noqa: BLE001 - an adapter may raise anything; the message is left out, it may hold a secret
        problem = f"{adapter.__name__} rejected the settings with {type(error).__name__}"
    raise _ConfigProblem(problem)


def _is_raised_here(error: BaseException) -> bool:
    """Whether an exception was raised in this package, rather than in a plug-in that it called."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]


def _find_provider_class(name: object) -> type[HttpProvider]:
    if name is None:
        raise _ConfigProblem("provider: missing")
    if not isinstance(name, str):
        raise _ConfigProblem(f"provider: expected text, got {_type_name(name)}")
    try:
        return provider_class(name)
    except ConfigError as error:
        raise _ConfigProblem(f"provider: {error}") from None


def _read_setting(setting: Setting, key: str, value: object, resolver: _SecretResolver) -> object:
    if setting.takes_lists and isinstance(value, list):
        items = enumerate(cast("list[object]", value))
        return tuple(_read_value(setting, f"{key}[{index}]", item, resolver) for index, item in items)
    read = _read_value(setting, key, value, resolver)
    # A text would be taken for a list of its characters.
    return (read,) if isinstance(value, dict) and not setting.takes_one else read


def _read_value(setting: Setting, place: str, value: object, resolver: _SecretResolver) -> object:
    if isinstance(value, dict):
        try:
            value = resolver.resolve(cast("dict[str, object]", value))
        except _ConfigProblem as error:
            raise error.prefixed(place) from None
    elif setting.is_secret:
        raise _ConfigProblem(f"{place}: a secret does not belong in this file; give {_REFERENCE_SYNTAX}")
    if setting.is_secret:
        return Secret(value)
    accepted = _accepted_types(setting)
    # The exact type, because a bool is an int.
    if accepted and type(value) not in accepted:
        expected = " or ".join(_SETTING_TYPES[kind] for kind in accepted)
        raise _ConfigProblem(f"{place}: expected {expected}, got {_type_name(value)}")
    return value


def _accepted_types(setting: Setting) -> tuple[type, ...]:
    kinds = tuple(kind for kind in setting.types if isinstance(kind, type) and kind in _SETTING_TYPES)
    return (*kinds, int) if float in kinds and int not in kinds else kinds


def _read_aliases(table: Mapping[str, object]) -> dict[str, str]:
    aliases = cast("dict[str, str]", dict(table))
    for code, currency in aliases.items():
        try:
            check_aliases({code: currency})
        except (TypeError, ValueError) as error:
            raise _ConfigProblem(f"aliases: {code!r}: {error}") from None
    try:
        return check_aliases(aliases)
    except ValueError as error:
        raise _ConfigProblem(f"aliases: {error}") from None


def _read_client_settings(table: Mapping[str, object]) -> ClientSettings:
    settings = cast("ClientSettings", dict(table))
    try:
        _check_keys(table, CLIENT_SETTINGS)
        # The constructor checks the values.
        AggregateClient((), **settings)
    except _ConfigProblem as error:
        raise error.prefixed("client") from None
    except ConfigError as error:
        raise _ConfigProblem(f"client: {error}") from None
    return settings


def _parse_toml(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Only the position: the parser's message may quote the file, and with it a secret.
        place = _TOML_POSITION.search(str(error))
        raise _ConfigProblem(f"not valid TOML{f' at {place[0]}' if place else ''}") from None


def _read_text(path: Path, limit: int, description: str) -> str:
    try:
        # Opened without waiting for the other end of a FIFO.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(limit + 1) if stat.S_ISREG(mode) else b""
    except (OSError, ValueError) as error:
        # A path with a null character is a ValueError.
        raise _ConfigProblem(f"{description} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        raise _ConfigProblem(f"{description} is {'a FIFO' if stat.S_ISFIFO(mode) else 'a device'}, not a regular file")
    if len(content) > limit:
        raise _ConfigProblem(f"{description} is larger than {limit} bytes")
    return _decode_utf8(content, description)


def _decode_utf8(content: bytes, description: str) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _ConfigProblem(f"{description} is UTF-16 text; save it as UTF-8")
    if b"\0" in content:
        raise _ConfigProblem(f"{description} contains null characters, as UTF-16 text does; save it as UTF-8")
    try:
        # Windows editors begin a file with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _ConfigProblem(f"{description} is not UTF-8 text") from None


def _get_table(document: Mapping[str, object], name: str) -> dict[str, object]:
    try:
        return _as_table(document.get(name, {}))
    except _ConfigProblem as error:
        raise error.prefixed(name) from None


def _as_table(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    raise _ConfigProblem(f"expected a table, got {_type_name(value)}")


def _type_name(value: object) -> str:
    return "a table" if isinstance(value, dict) else json_type_name(value)


def _check_keys(table: Mapping[str, object], known: Collection[str]) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            # The secret itself may stand here by mistake.
            raise _ConfigProblem(f"{repr(key) if looks_like_words(key) else 'a key'} is unknown; {meant}")
