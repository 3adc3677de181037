"""The table `[client]`: the arguments of a client that make sense in a file, and the Redis that it shares."""

import re
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, cast, get_args, get_type_hints
from urllib.parse import parse_qsl

import attrs

from balancekit.client.aggregate import AggregateClient
from balancekit.client.options import checked_proxy
from balancekit.client.origins import limited_origin
from balancekit.client.retry import RetryPolicy
from balancekit.config.accounts import SETTING_TYPES, as_table, check_type
from balancekit.config.problems import ConfigProblem, Path, Problems, unknown_key
from balancekit.config.references import REFERENCE_SYNTAX, REFERENCES, SecretResolver
from balancekit.errors import ConfigError
from balancekit.http.connections import Proxy
from balancekit.http.rate_limit import RateLimit
from balancekit.http.secret import Secret
from balancekit.providers.base import BalanceProvider

if TYPE_CHECKING:
    from balancekit.stores.redis.store import RedisStore

_Made = TypeVar("_Made")
_WORD: Final = re.compile(r"\w+")


class ClientSettings(TypedDict, total=False):
    """The arguments of `AggregateClient` that the table `[client]` may set."""

    timeout: float
    deadline: float
    concurrency: int
    attempts: int
    retry: RetryPolicy
    rate_limits: Mapping[str, RateLimit]
    settle_delay: float
    proxy: str | Secret | None
    trust_env: bool


@attrs.frozen
class StoreSettings:
    """A Redis that several processes share, as `RedisStore.from_url` takes it; the URL may hold a password."""

    url: Secret
    prefix: str | None = None
    keep: float | None = None
    cluster: bool | None = None

    def make(self) -> "RedisStore":
        """Make the store, with connections of its own; ConfigError if it cannot work, or lacks its extra."""
        problem = ""
        try:
            from balancekit.stores.redis.store import RedisStore
        except ImportError:
            problem = "it needs the extra: pip install 'balancekit[redis]'"
        else:
            given = attrs.asdict(self, recurse=False, filter=lambda _, value: value is not None)
            return RedisStore.from_url(**given)
        raise ConfigError(problem)


CLIENT_SETTINGS: Final = (*ClientSettings.__annotations__, "store")
"""The names of the settings in the table `[client]`."""


def read_client_table(
    table: Mapping[str, object], providers: list[BalanceProvider] | None, resolver: SecretResolver, problems: Problems
) -> tuple[ClientSettings, StoreSettings | None]:
    """Read the table; `providers` are the accounts that limits are for, unless some are missing."""
    settings: dict[str, object] = {}
    store = None
    for key, value in table.items():
        path = ("client", key)
        before = len(problems)
        match key:
            case "retry":
                settings[key] = _structure(RetryPolicy, value, path, problems)
            case "rate_limits":
                settings[key] = _read_limits(value, problems)
            case "proxy":
                settings[key] = _read_proxy(value, resolver, problems)
            case "store":
                store = _read_store(value, resolver, problems)
                continue
            case _ if key in CLIENT_SETTINGS:
                settings[key] = value
            case _:
                problems.add(path, f"client: {unknown_key(key, CLIENT_SETTINGS)}")
        if len(problems) == before and (key != "rate_limits" or providers is not None):
            try:
                # The constructor checks the values: one at a time, so that each mistake is found.
                AggregateClient(providers or (), **cast("Any", {key: settings[key]}))
            except ConfigError as error:
                problems.add(path, f"client: {error}")
    retry = table.get("retry")
    if "attempts" in table and isinstance(retry, dict):
        if "attempts" in retry:
            problems.add(("client", "attempts"), "client: attempts: given in [client.retry] as well; keep one of them")
        elif isinstance(policy := settings.get("retry"), RetryPolicy) and isinstance(table["attempts"], int):
            settings["retry"] = attrs.evolve(policy, attempts=table["attempts"])
    return cast("ClientSettings", settings), store


def proxy_of(settings: ClientSettings) -> Proxy:
    """Return the proxy of a session that is to reach what a client with these settings reaches."""
    return checked_proxy(settings.get("proxy"), settings.get("trust_env", False), session=None)


def _read_limits(value: object, problems: Problems) -> dict[str, RateLimit | None]:
    try:
        limits = as_table(value)
    except ConfigProblem as error:
        problems.add(("client", "rate_limits"), f"client: rate_limits: {error}")
        return {}
    read: dict[str, RateLimit | None] = {}
    for url, limit in limits.items():
        path = ("client", "rate_limits", url)
        if "@" in url:
            place = f"client: rate_limits: {limited_origin(url)!r}"
            problems.add(path, f"{place}: a password does not belong in this file; give the origin alone")
        else:
            read[url] = _structure(RateLimit, limit, path, problems)
    return read


def _read_proxy(value: object, resolver: SecretResolver, problems: Problems) -> Secret | None:
    try:
        return Secret(_read_url(value, resolver))
    except ConfigProblem as error:
        problems.add(("client", "proxy"), f"client: proxy: {error}")
        return None


def _read_store(value: object, resolver: SecretResolver, problems: Problems) -> StoreSettings | None:
    path = ("client", "store")
    given = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    table: dict[str, object] = given if given and not ({*REFERENCES} & given.keys()) else {"url": value}
    try:
        given = {**table, "url": _read_url(table["url"], resolver)} if "url" in table else table
    except ConfigProblem as error:
        problems.add((*path, "url"), f"client: store: {error}")
        return None
    before = len(problems)
    store = _structure(StoreSettings, given, path, problems)
    if store is None or len(problems) > before:
        return None
    try:
        store.make()
    except ConfigError as error:
        problems.add(_path_to_named(path, table, str(error)), f"client: store: {error}")
    return store


def _read_url(value: object, resolver: SecretResolver) -> object:
    """Return a URL that may hold a password, if the file has only a reference to it."""
    if isinstance(value, dict):
        return resolver.resolve(cast("dict[str, object]", value))
    query = parse_qsl(str(value).partition("?")[2])
    if "@" in str(value) or any("password" in name for name, _ in query):
        raise ConfigProblem(f"a password does not belong in this file; give {REFERENCE_SYNTAX}")
    return value


def _structure(kind: type[_Made], value: object, path: Path, problems: Problems) -> _Made | None:
    """Make an object of an attrs class of the table at a path; None if there are problems."""
    # The third is the URL of a limit, in which a password may stand by mistake.
    place = ": ".join((*path[:2], *(repr(limited_origin(url)) for url in path[2:])))
    before = len(problems)
    try:
        table = as_table(value)
    except ConfigProblem as error:
        problems.add(path, f"{place}: {error}")
        return None
    fields, hints = attrs.fields_dict(cast("Any", kind)), get_type_hints(kind)
    for key in table:
        if key not in fields:
            problems.add((*path, key), f"{place}: {unknown_key(key, [*fields])}")
        else:
            try:
                check_type(key, table[key], types_of(hints[key]))
            except ConfigProblem as error:
                problems.add((*path, key), f"{place}: {error}")
    for key, field in fields.items():
        if field.default is attrs.NOTHING and key not in table:
            problems.add(path, f"{place}: {key}: missing")
    if len(problems) > before:
        return None
    given = {key: Secret.of(each) if hints[key] is Secret else each for key, each in table.items()}
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        problems.add(_path_to_named(path, table, str(error)), f"{place}: {error}")
        return None


def _path_to_named(path: Path, table: Mapping[str, object], message: str) -> Path:
    """Return the path of the first key of a table that a message names, or else that of the table."""
    return (*path, *[word for word in _WORD.findall(message) if word in table][:1])


def types_of(hint: object) -> tuple[type, ...]:
    """Return the types of TOML that a field takes; a whole number is a number, and a secret is text."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    accepted = [str if kind is Secret else kind for kind in kinds]
    known = tuple(kind for kind in accepted if isinstance(kind, type) and kind in SETTING_TYPES)
    return (*known, int) if float in known and int not in known else known
