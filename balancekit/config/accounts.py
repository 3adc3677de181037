"""The tables `[accounts.<label>]` and `[providers.<name>]`: the adapter of each account, by its class's parameters."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import attrs

from balancekit.config.problems import ConfigProblem, Path, Problems, nearest, unknown_key
from balancekit.config.references import REFERENCE_SYNTAX, SecretResolver, type_name
from balancekit.errors import ConfigError
from balancekit.http.quotations import Secrets
from balancekit.http.secret import Secret, looks_like_words
from balancekit.money.currencies import check_label
from balancekit.providers import BUILT_IN, provider_class
from balancekit.providers.base import BalanceProvider
from balancekit.providers.settings import ProviderFactory, Setting, make_provider, settings_of

_PACKAGE: Final = f"{__name__.partition('.')[0]}."
_MIN_SECRET_SIZE: Final = 4
_WORD: Final = re.compile(r"\w+")
SETTING_TYPES: Final[Mapping[type, str]] = MappingProxyType(
    {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
)
"""The types of which a setting is checked, and what they are called."""


@attrs.frozen
class _Table:
    """One table of settings: where it is, and what messages call it."""

    path: Path
    place: str
    problems: Problems

    def add(self, key: str, text: str) -> None:
        self.problems.add((*self.path, key) if key else self.path, f"{self.place}: {text}")


@attrs.frozen
class _Defaults:
    """What a table `[providers.<name>]` sets: the values that could be read, and all names."""

    values: Mapping[str, object] = attrs.field(factory=dict[str, object], repr=False)
    names: frozenset[str] = frozenset()


@attrs.frozen
class AccountSettings:
    """The settings of one account: those that its provider's table has, and its own."""

    provider: str
    factory: ProviderFactory
    defaults: Mapping[str, object] = attrs.field(repr=False)
    values: Mapping[str, object] = attrs.field(repr=False)

    def secret(self, name: str) -> Secret:
        """Return a setting that is text, hidden."""
        return Secret.of({**self.defaults, **self.values}.get(name))


@attrs.frozen
class AccountMaker:
    """Makes the adapters of accounts; what is wrong with an account is added to `problems`."""

    resolver: SecretResolver
    problems: Problems
    _classes: dict[str, ProviderFactory] = attrs.field(factory=dict[str, ProviderFactory], init=False)
    _defaults: dict[str, _Defaults] = attrs.field(factory=dict[str, _Defaults], init=False, repr=False)

    def read_defaults(self, name: str, settings: object) -> None:
        """Read what the accounts at a provider have unless they say otherwise."""
        table = _Table(("providers", name), f"providers {name!r}", self.problems)
        self._defaults[name] = _Defaults()
        try:
            given = as_table(settings)
            known = settings_of(self._find_class(name))
        except ConfigProblem as error:
            # What is the name of no provider may be a secret.
            place = table.place if looks_like_words(name) else "providers"
            _Table(table.path, place, self.problems).add("", str(error))
            return
        for key in given:
            if key not in known:
                table.add(key, unknown_key(key, [*known]))
        self._defaults[name] = _Defaults(self._read_settings(known, given, table), frozenset(given))

    def make(self, label: str, settings: object) -> BalanceProvider | None:
        """Make the adapter of an account, unless there is a problem with it."""
        before = len(self.problems)
        read = self.read(label, settings)
        if read is None:
            return None
        defaults = self._defaults.get(read.provider, _Defaults())
        if len(self.problems) == before and defaults.names <= defaults.values.keys():
            made, problem = self._construct(read.factory, label, {**read.defaults, **read.values})
            if made is not None:
                return made
            self._add(read, label, problem)
        self._find_more(read, label, {*as_table(settings), *defaults.names})
        return None

    def _find_more(self, read: AccountSettings, label: str, given: Collection[str]) -> None:
        """Add what else is wrong: an adapter raises for one setting, so the next one shows without it."""
        known, values = settings_of(read.factory), {**read.defaults, **read.values}
        required = {name for name, setting in known.items() if setting.is_required}
        left_out = {nearest(name, known) or name for name in given} | required - values.keys()
        left_out = (left_out & known.keys()) - values.keys()
        # A list may permit what would be wrong without it.
        while values and not any(known[name].takes_lists for name in left_out):
            stand_ins = {name: _stand_in(known[name]) for name in required & left_out}
            _, problem = self._construct(read.factory, label, {**stand_ins, **values})
            key = problem.partition(":")[0]
            named = known.keys() & {*_WORD.findall(problem)}
            # What names a setting that is left out may be wrong only because of that.
            if key in known and not named & left_out:
                self._add(read, label, problem)
                named = {key} if key in values else named
            if not named & values.keys():
                return
            left_out |= named & values.keys()
            values = {name: value for name, value in values.items() if name not in named}

    def _add(self, read: AccountSettings, label: str, problem: str) -> None:
        key = problem.partition(":")[0]
        if key in {*read.defaults} - {*read.values}:
            # Once, rather than for each account that has it.
            self.problems.add(("providers", read.provider, key), f"providers {read.provider!r}: {problem}")
        else:
            self._table(label).add(key if key in read.values else "", problem)

    def read(self, label: str, settings: object) -> AccountSettings | None:
        """Read the settings of an account that can be read; nothing of one whose provider is unknown."""
        table = self._table(label)
        try:
            check_label(label)
            given = dict(as_table(settings))
        except (ConfigProblem, ValueError) as error:
            table.add("", str(error))
            return None
        name = given.pop("provider", None)
        try:
            factory = self._find_class(name)
        except ConfigProblem as error:
            table.add("provider", f"provider: {error}")
            return None
        known, defaults = settings_of(factory), self._defaults.get(cast("str", name), _Defaults())
        values = self._read_settings(known, given, table)
        _check_names(known, given, defaults.names, table)
        return AccountSettings(cast("str", name), factory, defaults.values, values)

    def _table(self, label: str) -> _Table:
        return _Table(("accounts", label), f"account {label!r}", self.problems)

    def _construct(
        self, factory: ProviderFactory, label: str, values: Mapping[str, object]
    ) -> tuple[BalanceProvider | None, str]:
        """Return the adapter, or else what is wrong with its settings."""
        try:
            # Whatever it was annotated with.
            made = cast("object", make_provider(factory, label, values))
            if isinstance(made, BalanceProvider) and made.account == label:
                return made, ""
            return None, f"{_name_of(factory)} made no provider of this account"
        except KeyboardInterrupt:
            raise
        except ConfigError as error:
            problem = str(error).removeprefix(f"account {label!r}: ")
            # A plug-in's own words may quote what it was given.
            if self._secrets().quoted_in(problem) or not _module_of(factory).startswith(_PACKAGE):
                problem = self.redact(problem)
            return None, problem
        except BaseException as error:  # noqa: BLE001 - an adapter may raise anything; the message is left out, it may hold a secret
            return None, f"{_name_of(factory)} rejected the settings with {type(error).__name__}"

    def redact(self, text: str) -> str:
        """Return the words of a plug-in without the secrets of the file."""
        return self._secrets().redact(text)

    def _secrets(self) -> Secrets:
        return Secrets(text for text in self.resolver.resolved if len(text) >= _MIN_SECRET_SIZE)

    def _find_class(self, name: object) -> ProviderFactory:
        if name is None:
            raise ConfigProblem(f"missing; give {', '.join(BUILT_IN)} or that of a plug-in")
        if not isinstance(name, str):
            raise ConfigProblem(f"expected text, got {type_name(name)}")
        if name not in self._classes:
            try:
                self._classes[name] = provider_class(name)
            except ConfigError as error:
                # The message lists the names that there are.
                close = nearest(name, str(error).partition("; there are ")[2].split(", "))
                raise ConfigProblem(f"{error}{f'; did you mean {close!r}?' if close else ''}") from None
        return self._classes[name]

    def _read_settings(
        self, known: Mapping[str, Setting], given: Mapping[str, object], table: _Table
    ) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, setting in known.items():
            if key in given:
                try:
                    values[key] = _read_setting(setting, key, given[key], self.resolver)
                except ConfigProblem as error:
                    table.add(key, str(error))
        return values


def _stand_in(setting: Setting) -> object:
    """Return a value for a setting that has to be given, to find what is wrong with others."""
    kind = next(iter(accepted_types(setting)), str)
    value = Secret("1") if setting.is_secret else setting.choices[0] if setting.choices else kind("1")
    return value if setting.takes_one else (value,)


def _module_of(factory: ProviderFactory) -> str:
    return str(getattr(cast("Any", factory).__init__, "__module__", ""))


def _name_of(factory: ProviderFactory) -> str:
    return str(getattr(factory, "__name__", type(factory).__name__))


def _check_names(
    known: Mapping[str, Setting], given: Mapping[str, object], defaults: Collection[str], table: _Table
) -> None:
    names = ("provider", *known)
    meant: set[str | None] = set()
    for key in given:
        if key not in known:
            table.add(key, unknown_key(key, names))
            meant.add(nearest(key, names))
    for key, setting in known.items():
        if setting.is_required and key not in {*given, *defaults, *meant}:
            table.add("", f"{key}: missing{f'; give {REFERENCE_SYNTAX}' if setting.is_secret else ''}")


def _read_setting(setting: Setting, key: str, value: object, resolver: SecretResolver) -> object:
    if setting.takes_lists and isinstance(value, list):
        items = enumerate(cast("list[object]", value))
        return tuple(_read_value(setting, f"{key}[{index}]", item, resolver) for index, item in items)
    read = _read_value(setting, key, value, resolver)
    # A text would be taken for a list of its characters.
    return (read,) if isinstance(value, dict) and not setting.takes_one else read


def _read_value(setting: Setting, place: str, value: object, resolver: SecretResolver) -> object:
    if isinstance(value, dict):
        try:
            value = resolver.resolve(cast("dict[str, object]", value))
        except ConfigProblem as error:
            raise error.within(place) from None
    elif setting.is_secret:
        raise ConfigProblem(f"{place}: a secret does not belong in this file; give {REFERENCE_SYNTAX}")
    if setting.is_secret:
        return Secret(value)
    check_type(place, value, accepted_types(setting))
    if setting.choices and value not in setting.choices:
        raise ConfigProblem(f"{place}: {unknown_key(str(value), setting.choices, hidden='the value')}")
    return value


def accepted_types(setting: Setting) -> tuple[type, ...]:
    """Return the types of a single value of a setting; none if any is accepted."""
    kinds = tuple(kind for kind in setting.types if isinstance(kind, type) and kind in SETTING_TYPES)
    return (*kinds, int) if float in kinds and int not in kinds else kinds


def check_type(place: str, value: object, accepted: Collection[type]) -> None:
    """Raise ConfigProblem unless a value is of one of the types, if there are any."""
    # The exact type, because a bool is an int.
    if accepted and type(value) not in accepted:
        expected = " or ".join(SETTING_TYPES[kind] for kind in accepted)
        raise ConfigProblem(f"{place}: expected {expected}, got {type_name(value)}")


def as_table(value: object) -> dict[str, object]:
    """Return a value that is a table."""
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    raise ConfigProblem(f"expected a table, got {type_name(value)}")
