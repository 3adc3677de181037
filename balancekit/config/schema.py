"""The JSON Schema of `accounts.toml`, made of the classes that read it; editors complete and check a file by it.

balancekit/schemas/accounts.schema.json is what it makes, with the adapters that are built in.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Any, Final, get_args, get_origin, get_type_hints

import attrs

from balancekit.config.accounts import accepted_types
from balancekit.config.client_table import ClientSettings, StoreSettings, types_of
from balancekit.config.references import KEYRING_SERVICE
from balancekit.money.currencies import MAX_LABEL_LENGTH
from balancekit.providers import BUILT_IN, provider_class
from balancekit.providers.settings import Setting, settings_of

Schema = dict[str, Any]

_NAMES: Final[Mapping[type, str]] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_LABEL: Final[Schema] = {
    "minLength": 1,
    "maxLength": MAX_LABEL_LENGTH,
    # No control character, and no blanks around it.
    "pattern": r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$",
}
_MAY_BE_ZERO: Final = frozenset({"settle_delay", "first", "cap"})
_SECRET: Final[Schema] = {"$ref": "#/definitions/reference"}


def schema_uri() -> str:
    """Return the address of the schema that is installed with the package."""
    with resources.as_file(resources.files("balancekit").joinpath("schemas/accounts.schema.json")) as path:
        return path.resolve().as_uri()


def make_schema() -> Schema:
    """Return the JSON Schema of a configuration, in draft 7, which the language servers of TOML know."""
    adapters = {name: settings_of(provider_class(name)) for name in BUILT_IN}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:balancekit:accounts",
        "title": "accounts.toml",
        "description": "Which accounts balancekit reads, and where their secrets are.",
        "type": "object",
        "additionalProperties": False,
        "required": ["accounts"],
        "properties": {
            "accounts": {
                "type": "object",
                "description": "The accounts, by a label of your choice.",
                "minProperties": 1,
                "propertyNames": _LABEL,
                "additionalProperties": _account(adapters),
            },
            "providers": {
                "type": "object",
                "description": "What the accounts at a provider have unless they say otherwise.",
                "properties": {name: _table(_settings(settings)) for name, settings in adapters.items()},
                "additionalProperties": {"type": "object"},
            },
            "aliases": {
                "type": "object",
                "description": "Codes that are counted as another currency.",
                "additionalProperties": _TEXT,
            },
            "client": _table(_client()),
        },
        "definitions": {"reference": _reference()},
    }


def _account(adapters: Mapping[str, Mapping[str, Setting]]) -> Schema:
    known = [
        {
            "if": {"properties": {"provider": {"const": name}}},
            "then": _table({"provider": {"const": name}} | _settings(settings)),
        }
        for name, settings in adapters.items()
    ]
    provider = _TEXT | {"description": "The name of its provider.", "examples": [*adapters]}
    return {"type": "object", "required": ["provider"], "properties": {"provider": provider}, "allOf": known}


def _settings(settings: Mapping[str, Setting]) -> Schema:
    return {name: _setting(setting) for name, setting in settings.items()}


def _setting(setting: Setting) -> Schema:
    one: list[Schema] = [_SECRET]
    if setting.choices and not setting.is_secret:
        one.append({"enum": [*setting.choices]})
    elif not setting.is_secret:
        kinds = accepted_types(setting) or ((str,) if setting.takes_one else ())
        one += [_TEXT if kind is str else {"type": _NAMES[kind]} for kind in kinds]
    choices = [*one]
    if setting.takes_lists:
        items = one if setting.is_secret or len(one) > 1 else [*one, _TEXT]
        choices.append({"type": "array", "items": {"anyOf": items}})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _client() -> Schema:
    hints = get_type_hints(ClientSettings)
    url = {"anyOf": [_SECRET, _TEXT]}
    store = _fields(StoreSettings)
    store["properties"]["url"] = url
    client = {name: url if name == "proxy" else _value(name, hint) for name, hint in hints.items()}
    return client | {"store": {"anyOf": [*url["anyOf"], store]}}


def _value(name: str, hint: Any) -> Schema:  # noqa: ANN401 - a type, or an alias of several
    if attrs.has(hint):
        return _fields(hint)
    if get_origin(hint) is not None:
        # A table of tables, by a name.
        return {"type": "object", "additionalProperties": _value(name, get_args(hint)[1])}
    return _one_of(name, types_of(hint))


def _fields(kind: type) -> Schema:
    hints, fields = get_type_hints(kind), attrs.fields_dict(kind)
    required = [name for name, field in fields.items() if field.default is attrs.NOTHING]
    table = _table({name: _one_of(name, types_of(hints[name])) for name in fields})
    return table | ({"required": required} if required else {})


def _one_of(name: str, kinds: tuple[type, ...]) -> Schema:
    # A whole number is a number.
    names = [_NAMES[kind] for kind in kinds if not (kind is int and float in kinds)]
    one: Schema = {"type": names[0] if len(names) == 1 else names}
    if {"integer", "number"} & {*names}:
        one["minimum" if name in _MAY_BE_ZERO else "exclusiveMinimum"] = 0
    return one


def _table(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _reference() -> Schema:
    return {
        "type": "object",
        "description": "Where the value is: a secret does not belong in this file.",
        "additionalProperties": False,
        "properties": {
            "env": _TEXT | {"description": "The name of an environment variable."},
            "file": _TEXT | {"description": "The path of a file, relative to the folder of this one."},
            "keyring": _TEXT | {"description": "The name of an entry of this machine's keyring."},
            "service": _TEXT | {"description": "The service of that entry.", "default": KEYRING_SERVICE},
        },
        "oneOf": [{"required": ["env"]}, {"required": ["file"]}, {"required": ["keyring"]}],
        "dependencies": {"service": ["keyring"]},
    }
