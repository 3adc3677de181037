"""Secrets that a configuration names by where they are: an environment variable, a file, or an entry of the keyring."""

import os
import re
import stat
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import attrs

from balancekit.config.files import decode, expand_home, read_text
from balancekit.config.problems import ConfigProblem, unknown_key
from balancekit.http.secret import is_quoted, looks_like_words
from balancekit.logs import Log
from balancekit.money.exact_json import json_type_name

_log = Log(__name__)

KEYRING_SERVICE: Final = "balancekit"
"""The service under which the keyring has secrets, unless the reference names another one."""

REFERENCES: Final = ("env", "file", "keyring")
"""The ways to name where a secret is."""

REFERENCE_SYNTAX: Final = '{ env = "NAME" }, { file = "path" } or { keyring = "name" }'
"""What stands in the file in place of a secret."""

MAX_SECRET_SIZE: Final = 2**16
"""How many bytes a file may have that holds a secret."""
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen
class SecretResolver:
    """Finds the secrets that the file names, and adds them to `resolved`."""

    folder: Path
    environ: Mapping[str, str]
    resolved: list[str] = attrs.field(factory=list[str], init=False)

    def resolve(self, reference: Mapping[str, object]) -> str:
        """Return the secret that a reference names."""
        allowed = (*REFERENCES, "service") if "keyring" in reference else REFERENCES
        for key in reference:
            if key not in allowed:
                raise ConfigProblem(unknown_key(key, allowed))
        service = reference.get("service", KEYRING_SERVICE)
        named = [key for key in reference if key != "service"]
        if len(named) != 1:
            raise ConfigProblem(f"expected {REFERENCE_SYNTAX}")
        name = reference[named[0]]
        for key, value in ((named[0], name), ("service", service)):
            if not isinstance(value, str):
                raise ConfigProblem(f"{key}: expected text, got {type_name(value)}")
        secret = self._find(named[0], str(name), str(service))
        self.resolved.append(secret)
        return secret

    def _find(self, kind: str, name: str, service: str) -> str:
        if kind == "env":
            return self._resolve_variable(name)
        return self._resolve_file(name) if kind == "file" else _resolve_entry(service, name)

    def _resolve_variable(self, name: str) -> str:
        # The secret itself may stand here by mistake: only words in upper case, as variables usually have, are shown.
        if _VARIABLE_NAME.fullmatch(name) is None:
            raise ConfigProblem("env: expected the name of an environment variable: letters, digits and underscores")
        shown = name.isupper() and looks_like_words(name)
        description = f"the environment variable {name}" if shown else "the environment variable of that name"
        value = self.environ.get(name)
        if value is None:
            raise ConfigProblem(f"{description} is not set, or not exported")
        if not value:
            raise ConfigProblem(f"{description} is empty")
        return _without_quotes(_as_utf8(value, description), description)

    def _resolve_file(self, name: str) -> str:
        path = self.folder / expand_home(Path(name))
        description = f"the file {str(path)!r}" if looks_like_words(name) else "the file of that name"
        text = read_text(path, MAX_SECRET_SIZE, description).removesuffix("\n").removesuffix("\r")
        if not text:
            raise ConfigProblem(f"{description} is empty")
        if path.stat().st_mode & _OTHERS and os.name == "posix":
            _warn_of_access(path)
        return _without_quotes(text, description)


def type_name(value: object) -> str:
    """Return what a value is, in the words of TOML."""
    return "a table" if isinstance(value, dict) else json_type_name(value)


def _resolve_entry(service: str, name: str) -> str:
    try:
        # Imported by name: it is an extra, and slow to import.
        keyring: Any = import_module("keyring")
    except ImportError:
        raise ConfigProblem("keyring: it needs the extra: pip install 'balancekit[keyring]'") from None
    shown = looks_like_words(name) and looks_like_words(service)
    description = f"the entry {name!r} of {service!r} in the keyring" if shown else "the entry of that name"
    problem = ""
    found: object = None
    try:
        found = keyring.get_password(service, name)
    except Exception as error:  # noqa: BLE001 - backends raise a wide choice of errors, whose messages are not ours
        problem = type(error).__name__
    if problem:
        raise ConfigProblem(f"keyring: it cannot be read here: {problem}")
    if not isinstance(found, str):
        remedy = f"; set it with: keyring set {service} {name}" if shown else ""
        raise ConfigProblem(f"{description} is missing{remedy}")
    if not found:
        raise ConfigProblem(f"{description} is empty")
    return _without_quotes(_as_utf8(found, description), description)


def _as_utf8(value: str, description: str) -> str:
    content = value.encode("utf-8", "surrogateescape")
    return decode(content, len(content), description)


def _without_quotes(text: str, description: str) -> str:
    if is_quoted(text):
        raise ConfigProblem(f"{description} has quotes around its text; remove them")
    return text


@cache
def _warn_of_access(path: Path) -> None:
    # A file that was read, so its name is no secret. The cache keeps a service that loads it again from repeating this.
    _log.warning("the secret in %s can be read or changed by every user of this machine: chmod o= %s", path, path)
