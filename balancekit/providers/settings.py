"""The settings of an adapter: the parameters of its constructor but for the label, and what their annotations say."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

import attrs

from balancekit.http.secret import Secret
from balancekit.providers.base import BalanceProvider
from balancekit.providers.identity import signature_of

ProviderFactory: TypeAlias = Callable[..., BalanceProvider]
"""A class of providers, or whatever else makes one when it is called with a label and settings."""

_LISTS: Final = (list, tuple, Sequence)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMES_SECRET: Final = re.compile(r"\bSecret\b")
_NAMES_TEXT: Final = re.compile(r"\bstr\b")
_NAMES_LIST: Final = re.compile(r"\b(?:[Ll]ist|[Tt]uple|Sequence)\b")
_NAMES_ONE: Final = re.compile(r"\b(?:Secret|str)\b(?![^\[]*\])")


@attrs.frozen
class Setting:
    """One setting: whether it has to be given, and which values it takes.

    `types` are those of a single value, as far as they are known; `choices` are all texts that it takes, where it is
    annotated with a `Literal` of them. A setting that takes lists may take no single value; whether it `is_secret`
    holds for the items of a list as well.
    """

    is_required: bool
    is_secret: bool
    types: tuple[object, ...]
    takes_lists: bool
    takes_one: bool
    choices: tuple[str, ...] = ()


def settings_of(factory: ProviderFactory) -> dict[str, Setting]:
    """Return the settings of an adapter by name: all parameters that have one, but for the label.

    One is a secret if it is named in `secret_settings`, or annotated with `Secret`. With `str | Secret` it is one
    unless the class that has the constructor names those that are.
    """
    label = _label_of(factory)
    return {
        name: _setting_of(factory, name, parameter)
        for name, parameter in signature_of(factory).parameters.items()
        if parameter.kind in _NAMED and name != label
    }


def make_provider(factory: ProviderFactory, label: str, settings: Mapping[str, object]) -> BalanceProvider:
    """Call an adapter with the label of an account, and its settings by name; raises whatever the adapter raises.

    The label is its parameter `account`, or else the first.
    """
    name = _label_of(factory)
    if name is not None and signature_of(factory).parameters[name].kind in _NAMED:
        return factory(**{name: label}, **settings)
    return factory(label, **settings)


def secret_settings_of(factory: ProviderFactory) -> frozenset[str]:
    """Return the settings that an adapter names as secrets."""
    named: frozenset[str] = getattr(factory, "secret_settings", frozenset())
    return named


def _label_of(factory: ProviderFactory) -> str | None:
    parameters = signature_of(factory).parameters
    if "account" in parameters:
        return "account"
    first = next(iter(parameters.values()), None)
    return first.name if first is not None and first.kind in _POSITIONAL else None


def _setting_of(factory: ProviderFactory, name: str, parameter: inspect.Parameter) -> Setting:
    hint = _hint_of(factory, name, parameter.annotation)
    choices = _choices_of(hint)
    if isinstance(hint, str):
        # It may name a type that is imported only for type checkers: the constructor has to check the value.
        types: tuple[object, ...] = ()
        secret, text = _NAMES_SECRET.search(hint) is not None, _NAMES_TEXT.search(hint) is not None
        takes_lists = _NAMES_LIST.search(hint) is not None
        takes_one = not takes_lists or _NAMES_ONE.search(hint) is not None
    else:
        # Only a union is taken apart: the arguments of `list[str]` are the types of its items.
        types = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
        if choices:
            types = (str, type(None))
        named = set(_types_in(hint))
        secret, text = Secret in named, str in named
        lists = [kind for kind in types if (get_origin(kind) or kind) in _LISTS]
        takes_lists = bool(lists)
        takes_one = bool({*types} - {*lists} - {type(None)})
    is_secret = name in secret_settings_of(factory) or (secret and not (text and _names_its_secrets(factory)))
    return Setting(parameter.default is parameter.empty, is_secret, types, takes_lists, takes_one, choices)


def _choices_of(hint: object) -> tuple[str, ...]:
    """Return the texts of a `Literal`, or of one that may be None; none if it is anything else."""
    kinds = get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)
    (kind, *others) = [kind for kind in kinds if kind is not type(None)] or [None]
    texts = get_args(kind) if get_origin(kind) is Literal and not others else ()
    return texts if all(isinstance(text, str) for text in texts) else ()


def _names_its_secrets(factory: ProviderFactory) -> bool:
    for kind in getattr(factory, "__mro__", ()):
        if "secret_settings" in vars(kind):
            return True
        if "__init__" in vars(kind):
            break
    return False


def _types_in(hint: object) -> Iterator[object]:
    yield hint
    for part in get_args(hint):
        yield from _types_in(part)


def _hint_of(factory: ProviderFactory, name: str, annotation: object) -> Any:  # noqa: ANN401 - any type, or text
    """Return what a parameter is annotated with; its text if that cannot be resolved."""
    if annotation is inspect.Parameter.empty:
        return object
    # By itself: that of another parameter may be one that cannot be evaluated.
    annotated = SimpleNamespace(__annotations__={name: annotation})
    try:
        return get_type_hints(annotated, _globals_of(factory))[name]
    except Exception:  # noqa: BLE001 - evaluating an annotation may raise anything
        return str(getattr(annotation, "__forward_arg__", annotation))


def _globals_of(factory: ProviderFactory) -> dict[str, Any]:
    """Return the names that the annotations of an adapter are made of."""
    call = inspect.unwrap(cast("Any", factory).__init__) if isinstance(factory, type) else inspect.unwrap(factory)
    # A constructor that was generated, such as that of a class of attrs, is of no module.
    module = sys.modules.get(getattr(factory, "__module__", None) or "")
    return {**getattr(module, "__dict__", {}), **getattr(call, "__globals__", {})}
