"""Reading a configuration, and the client that is made of it."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar, Unpack, cast

import aiohttp
import attrs

from balancekit.blocking.client import Client
from balancekit.client.aggregate import AggregateClient
from balancekit.client.origins import Origins
from balancekit.clock import Clock
from balancekit.config.accounts import AccountMaker, AccountSettings, as_table
from balancekit.config.client_table import ClientSettings, StoreSettings, read_client_table
from balancekit.config.files import decode, expand_home, read_text
from balancekit.config.lines import line_of, lines_of_keys
from balancekit.config.problems import ConfigProblem, ConfigProblems, Problems, unknown_key, unknown_label
from balancekit.config.references import SecretResolver
from balancekit.errors import ConfigError, without_frames
from balancekit.http.secret import looks_like_words
from balancekit.money.aliases import check_aliases
from balancekit.providers.base import BalanceProvider
from balancekit.stores.base import SnapshotStore

if TYPE_CHECKING:
    from balancekit.stores.redis.store import RedisStore

TABLES: Final = ("accounts", "aliases", "client", "providers")
"""The tables of a configuration."""

MAX_CONFIG_SIZE: Final = 2**20
"""How many bytes a configuration may have."""

_Parsed = TypeVar("_Parsed")

_MAX_PARTS: Final = 16
"""How many parts a key may have: the time to parse it, and the memory to find its line, grow with their square."""

_LONG_KEY: Final = re.compile(
    r"""(?m)(?:^|[\[{,])[ \t]*+(?:(?:[\w-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
    rf"{{{_MAX_PARTS}}}"
)
"""The first `_MAX_PARTS` parts of a key, with their dots, after which there are more."""

_TOML_POSITION: Final = re.compile(r"line ([0-9]+), column [0-9]+|end of document")
_TOML_HINTS: Final = MappingProxyType(
    {
        "Invalid value": "expected a value; text needs quotes",
        "Illegal character '\\n'": "the quotes around a text are not closed",
        "Unterminated string": "the quotes around a text are not closed",
        "Cannot declare": "the table is there twice",
        "Cannot overwrite": "the key is there twice",
    }
)
"""What to do, by how the parser's message begins."""


@attrs.frozen
class Config:
    """The contents of a configuration file.

    `providers` are its accounts in the order of the file; `aliases` maps codes to the currency that they are counted
    as, `client_settings` holds only what the file sets, and `store` is the Redis that it names, if any.
    """

    providers: tuple[BalanceProvider, ...]
    aliases: Mapping[str, str] = attrs.field(factory=dict[str, str])
    client_settings: ClientSettings = attrs.field(factory=ClientSettings)
    store: StoreSettings | None = None

    @without_frames
    def make_client(
        self,
        *,
        session: aiohttp.ClientSession | None = None,
        store: SnapshotStore | None = None,
        clock: Clock | None = None,
        origins: Origins | None = None,
        **settings: Unpack[ClientSettings],
    ) -> AggregateClient:
        """Return a client of all accounts; the arguments are those of `AggregateClient`, and replace the file's.

        A session or a store that is given is left open. Without them the client opens its own session, and has the
        store that the file names, whose connections it closes. Raises ConfigError for settings that cannot work.
        """
        chosen: ClientSettings = {**self.client_settings, **settings}
        retry = self.client_settings.get("retry")
        if retry is not None and "attempts" in settings and "retry" not in settings:
            chosen["retry"] = attrs.evolve(retry, attempts=settings["attempts"])
        owned = self.store.make() if store is None and self.store is not None else None
        client = (AggregateClient if owned is None else _OwnerOfStore)(
            self.providers,
            session=session,
            store=store if owned is None else owned,
            aliases=self.aliases,
            clock=clock,
            origins=origins,
            **chosen,
        )
        if isinstance(client, _OwnerOfStore) and owned is not None:
            client.owned_store = owned
        return client

    @without_frames
    def make_blocking_client(
        self, *, store: SnapshotStore | None = None, clock: Clock | None = None, **settings: Unpack[ClientSettings]
    ) -> Client:
        """Return a client of all accounts for code without an event loop, as `make_client` does."""
        return _BlockingClient(self.make_client(store=store, clock=clock, **settings))


class _OwnerOfStore(AggregateClient):
    """A client that closes its store, too: nobody else knows of it."""

    owned_store: "RedisStore"

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            await self.owned_store.aclose()


class _BlockingClient(Client):
    """Has the client that a configuration made, with all that it was given."""

    def __init__(self, client: AggregateClient) -> None:
        super().__init__(())
        self._client = client


def load_config(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> Config:
    """Read accounts and settings from a TOML file; `environ` replaces the environment of the process.

    Raises ConfigError with a line for each mistake, which names the file, the line, the account and the key. Neither
    its message nor the local variables of its traceback contain a secret, or a value that may be one.
    """
    outcome = _load(str(path), partial(_read_file, Path(path)), environ, _parse)
    # Raised here: the frames of the first exception hold what was read, and this one holds the environment.
    del environ
    if isinstance(outcome, Config):
        return outcome
    raise outcome


def parse_config(content: bytes, *, name: str, folder: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read accounts and settings as `load_config` does, of a file that is in memory; messages call it by its name.

    Paths in it are relative to the folder.
    """
    outcome = _load(name, partial(_decode, content, folder), environ, _parse)
    del content, environ
    if isinstance(outcome, Config):
        return outcome
    raise outcome


def load_account(path: Path, label: str) -> AccountSettings:
    """Read the settings of one account of a file; raises ConfigError as `load_config` does."""
    outcome = _load(str(path), partial(_read_file, path), None, partial(_parse_account, label))
    if isinstance(outcome, AccountSettings):
        return outcome
    raise outcome


def _load(
    name: str,
    read: Callable[[], tuple[str, Path]],
    environ: Mapping[str, str] | None,
    parse: Callable[[str, Path, Mapping[str, str]], _Parsed],
) -> _Parsed | BaseException:
    """Return what was read, or the exception to raise: in a frame that holds nothing of it."""
    try:
        return parse(*read(), os.environ if environ is None else environ)
    except ConfigProblems as error:
        return ConfigError("\n".join(f"{name}:{line}" for line in error.args))
    except ConfigProblem as error:
        return ConfigError(f"{name}: {error}")
    except KeyboardInterrupt:
        # A new one: an adapter may have raised it, with words of its own.
        return KeyboardInterrupt()
    except BaseException as error:  # noqa: BLE001 - the adapters of other distributions may raise anything
        return ConfigError(f"{name}: {type(error).__name__} while the accounts were made")


def _read_file(path: Path) -> tuple[str, Path]:
    path = expand_home(path)
    return read_text(path, MAX_CONFIG_SIZE, "the file"), path.parent


def _decode(content: bytes, folder: Path) -> tuple[str, Path]:
    return decode(content, MAX_CONFIG_SIZE, "the text"), folder


def _parse_toml(text: str) -> dict[str, object]:
    if (key := _LONG_KEY.search(text)) is not None:
        number = text.count("\n", 0, key.start() + 1) + 1
        raise ConfigProblems([f"{number}: a key has more than {_MAX_PARTS} parts, which are separated by dots"])
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Only the position and our own words: the parser's message may quote the file, and with it a secret.
        place = _TOML_POSITION.search(str(error))
        hint = next((f": {hint}" for start, hint in _TOML_HINTS.items() if str(error).startswith(start)), "")
        line = f"{place[1]}:" if place and place[1] else ""
        raise ConfigProblems([f"{line} not valid TOML{f' at {place[0]}' if place else ''}{hint}"]) from None


def _parse_account(label: str, text: str, folder: Path, environ: Mapping[str, str]) -> AccountSettings:
    document, problems = _parse_toml(text), Problems()
    accounts, defaults = (_get_table(document, name, problems) for name in ("accounts", "providers"))
    if label not in accounts:
        problems.add((), f"accounts: {unknown_label(label, accounts)}")
    maker = AccountMaker(SecretResolver(folder, environ), problems)
    for name, table in defaults.items():
        maker.read_defaults(name, table)
    read = maker.read(label, accounts.get(label, {})) if label in accounts else None
    problems.raise_if_any(lambda: partial(line_of, lines_of_keys(text)))
    if read is None:
        raise ConfigProblem("the account cannot be read")
    return read


def _parse(text: str, folder: Path, environ: Mapping[str, str]) -> Config:
    document = _parse_toml(text)
    resolver, problems = SecretResolver(folder, environ), Problems()
    for key in document:
        if key not in TABLES:
            problems.add((key,), unknown_key(key, TABLES))
    accounts, defaults, aliases, client = (
        _get_table(document, name, problems) for name in ("accounts", "providers", "aliases", "client")
    )
    # A name that is almost `accounts` is the problem then.
    if not accounts and not problems:
        problems.add(("accounts",), "accounts: there are none; add a table such as [accounts.shop-eu]")
    maker = AccountMaker(resolver, problems)
    for name, table in defaults.items():
        maker.read_defaults(name, table)
    providers = [made for label, table in accounts.items() if (made := maker.make(label, table)) is not None]
    are_all = len(providers) == len(accounts)
    if are_all:
        try:
            AggregateClient(providers)
        except ConfigError as error:
            # One account under two labels, for example.
            start, _, text_of_error = str(error).partition(": ")
            if not start.startswith("providers["):
                # A plug-in's own words, which may quote what it was given.
                text_of_error = maker.redact(str(error))
            label = next((label for label in reversed(accounts) if repr(label) in text_of_error), "")
            problems.add(("accounts", label), f"accounts: {text_of_error}")
            are_all = False
    settings, store = read_client_table(client, providers if are_all else None, resolver, problems)
    checked = _read_aliases(aliases, problems)
    problems.raise_if_any(lambda: partial(line_of, lines_of_keys(text)))
    return Config(tuple(providers), checked, settings, store)


def _read_aliases(table: Mapping[str, object], problems: Problems) -> dict[str, str]:
    aliases = cast("dict[str, str]", dict(table))
    before = len(problems)
    for code, currency in aliases.items():
        try:
            check_aliases({code: currency})
        except (TypeError, ValueError) as error:
            # A secret may stand here by mistake, and so in the error.
            problem = f"{code!r}: {error}" if looks_like_words(code) else "a name is no code of a currency"
            problems.add(("aliases", code), f"aliases: {problem}")
    if len(problems) == before:
        try:
            return check_aliases(aliases)
        except ValueError as error:
            # The first alias that it names.
            code = next((code for code in aliases if f"the alias {code.upper()!r}" in str(error)), "")
            shown = all(map(looks_like_words, (*aliases, *aliases.values())))
            problem = str(error) if shown else "a name leads to more than one currency: name the currency in the end"
            problems.add(("aliases", code), f"aliases: {problem}")
    return {}


def _get_table(document: Mapping[str, object], name: str, problems: Problems) -> dict[str, object]:
    try:
        return as_table(document.get(name, {}))
    except ConfigProblem as error:
        problems.add((name,), f"{name}: {error}")
        return {}
