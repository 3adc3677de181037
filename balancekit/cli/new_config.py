"""The text of a new configuration: accounts of any provider, with a reference in place of each secret. Pure."""

import json
import re
import shlex
from collections.abc import Sequence
from typing import Final

from balancekit.config.references import KEYRING_SERVICE
from balancekit.config.schema import schema_uri
from balancekit.errors import ConfigError
from balancekit.http.secret import Secret
from balancekit.money.currencies import check_label
from balancekit.providers import provider_class
from balancekit.providers.settings import settings_of

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_HEAD: Final = """\
# Which accounts balancekit reads. A secret does not belong in this file: the entries say where it is.
"""
_TAIL: Final = """
# [aliases]
# USDCE = "USDC"        # counted as USDC

# [client]
# deadline = 30         # seconds that a whole call may take
# trust_env = true      # take proxies from the environment
"""


def render_config(accounts: Sequence[tuple[str, str]], secrets: str) -> str:
    """Return a configuration of accounts, given by label and provider, whose secrets are in `env`, `file` or `keyring`.

    Raises ConfigError for a provider or a label that cannot be, and for two labels that lead to one place.
    """
    tables: list[str] = []
    labels: set[str] = set()
    places: dict[tuple[str, str], str] = {}
    for label, provider in accounts:
        try:
            check_label(label)
        except ValueError as error:
            raise ConfigError(f"account {label!r}: {error}") from None
        if label in labels:
            raise ConfigError(f"account {label!r}: there are two of that label")
        labels.add(label)
        lines = [f"[accounts.{_key(label)}]", f"provider = {json.dumps(provider)}"]
        adapter = provider_class(provider)
        references = _references(label, provider, secrets)
        for reference in references.values():
            other = places.setdefault(reference, label)
            if other != label:
                problem = f"its {' '.join(reference)} would be that of {other!r}, too"
                raise ConfigError(f"account {label!r}: {problem}: let their labels differ in more than marks")
        for name, setting in settings_of(adapter).items():
            if name in references:
                kind, place = references[name]
                lines.append(f"{name} = {{ {kind} = {json.dumps(place)} }}")
            else:
                default = getattr(adapter, "PRODUCTION", "") if name == "base_url" else ""
                choices = f"  # one of {', '.join(setting.choices)}" if setting.choices else ""
                lines.append(f"# {name} = {json.dumps(default) if default else '…'}{choices}")
        tables.append("\n".join(lines) + "\n")
    return f"#:schema {schema_uri()}\n{_HEAD}\n" + "\n".join(tables) + _TAIL


def next_steps(accounts: Sequence[tuple[str, str]], secrets: str, path: str) -> str:
    """Return what to do before the accounts can be read, as commands."""
    commands = {
        "env": "  export {}=…",
        "file": "  (umask 077 && cat > {})",
        "keyring": f"  keyring set {KEYRING_SERVICE} {{}}",
    }
    steps = [
        commands[kind].format(shlex.quote(place))
        for label, provider in accounts
        for kind, place in _references(label, provider, secrets).values()
    ]
    then = f"\nThen: balancekit check --config {shlex.quote(path)}"
    return "\n".join(["Next, put the keys where it expects them:", *steps, then])


def variable_name(label: str, name: str) -> str:
    """Return the environment variable of a setting of an account."""
    variable = re.sub(r"\W", "_", f"{label}_{name}", flags=re.ASCII).upper()
    # No shell exports a name that begins with a digit.
    return f"_{variable}" if variable[0].isdigit() else variable


def _references(label: str, provider: str, secrets: str) -> dict[str, tuple[str, str]]:
    """Return where the settings are that have to be given, or belong to the credentials, by name."""
    references: dict[str, tuple[str, str]] = {}
    for name, setting in settings_of(provider_class(provider)).items():
        # The id of a key, for example, is no secret, but is given with it; a URL is not, though it may hold a token.
        may_be_hidden = Secret in setting.types and not setting.takes_lists and name != "base_url"
        is_credential = setting.is_secret or may_be_hidden
        if setting.is_required or is_credential:
            kind = secrets if setting.is_secret else "env"
            place = variable_name(label, name) if kind == "env" else re.sub(r"^-|[/\\~]", "_", f"{label}.{name}")
            references[name] = kind, place
    return references


def _key(label: str) -> str:
    return label if _BARE_KEY.fullmatch(label) else json.dumps(label, ensure_ascii=False)
