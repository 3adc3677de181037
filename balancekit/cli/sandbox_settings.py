"""An `accounts.toml` for the accounts of a sandbox, with their secrets in environment variables or in files."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from balancekit.cli.new_config import variable_name
from balancekit.errors import ConfigError
from balancekit.providers import provider_class
from balancekit.providers.settings import secret_settings_of
from balancekit.sandbox import SandboxAccount

_FILE: Final = "accounts.toml"
# A file without this first line belongs to the user, and so do the secrets beside it.
_MARK: Final = "# Invented accounts, written by `balancekit sandbox`.\n"


def toml_with_env_references(accounts: Iterable[SandboxAccount]) -> str:
    """Return the text of an `accounts.toml` that takes its secrets from the variables that `export_commands` sets."""
    return _render_toml(accounts, lambda label, key: f'{{ env = "{variable_name(label, key)}" }}')


def export_commands(accounts: Iterable[SandboxAccount]) -> str:
    """Return shell commands that put every secret into an environment variable."""
    return "".join(
        f"export {variable_name(label, key)}={_shell_quote(value)}\n" for label, key, value in _secrets(accounts)
    )


def write_settings(folder: Path, accounts: Iterable[SandboxAccount]) -> Path:
    """Write an `accounts.toml` and a file for each secret, readable only by their owner; return its path.

    Raises ConfigError if a file cannot be written, or if one exists that this function did not write.
    """
    accounts = tuple(accounts)
    path = folder / _FILE
    contents = {folder / _secret_file_name(label, key): f"{value}\n" for label, key, value in _secrets(accounts)}
    contents[path] = _MARK + _render_toml(
        accounts, lambda label, key: f'{{ file = "{_secret_file_name(label, key)}" }}'
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        existing = [] if _written_by_us(path) else [target for target in contents if target.exists()]
        if not existing:
            for target, content in contents.items():
                _write_private_file(target, content)
    except OSError as error:
        raise ConfigError(f"--write: {error.filename or folder}: {error.strerror}") from None
    if existing:
        raise ConfigError(f"--write: {existing[0]} exists and is not of this command's making; choose another folder")
    return path


def _render_toml(accounts: Iterable[SandboxAccount], reference: Callable[[str, str], str]) -> str:
    tables: list[str] = []
    for account in accounts:
        secret = secret_settings_of(provider_class(account.provider))
        lines = [f"[accounts.{account.label}]", f"provider = {json.dumps(account.provider)}"]
        lines += (
            f"{key} = {reference(account.label, key) if key in secret else json.dumps(value)}"
            for key, value in account.settings.items()
        )
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _secrets(accounts: Iterable[SandboxAccount]) -> Iterator[tuple[str, str, str]]:
    for account in accounts:
        for key in sorted(secret_settings_of(provider_class(account.provider)) & account.settings.keys()):
            yield account.label, key, account.settings[key]


def _secret_file_name(label: str, key: str) -> str:
    return f"{label}.{key}"


def _shell_quote(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _written_by_us(path: Path) -> bool:
    return path.is_file() and path.read_bytes().startswith(_MARK.encode())


def _write_private_file(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    # Created private, so that it is at no moment readable by others, and never through an existing link.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
