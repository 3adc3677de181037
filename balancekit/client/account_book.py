"""The accounts of a client by their labels; accounts come and go while it runs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import cast
from zlib import crc32

from balancekit.client.accounts import Account
from balancekit.client.options import aliases_of
from balancekit.client.origins import Origin, Origins, OriginUser
from balancekit.clock import Clock
from balancekit.errors import ConfigError
from balancekit.http.known_secrets import secrets_of
from balancekit.http.redaction import exit_like, own_text_of
from balancekit.money.currencies import check_label
from balancekit.providers.base import BalanceProvider


class AccountBook(Mapping[str, Account]):
    """Accounts by label, in the order in which they were given.

    Raises ConfigError for what is not a provider, and for an account that is there already, by its label or by its
    credentials.
    """

    def __init__(self, providers: object, origins: Origins, clock: Clock) -> None:
        if not isinstance(providers, Iterable):
            raise ConfigError(f"providers: expected a list of providers, got {type(providers).__name__}")
        # Changes whenever an account comes or goes.
        self.revision: int = 0
        # How many accounts are at each origin.
        self.origins: Counter[Origin] = Counter()
        self._all_origins = origins
        self._clock = clock
        self._user = OriginUser()
        self._by_identity: dict[tuple[str, ...], list[Account]] = {}
        self._by_key: dict[str, Account] = {}
        by_label: dict[str, Account] = {}
        # Listed first: if the iterable raises, no frame here holds a provider that came before.
        for index, source in enumerate([*cast("Iterable[object]", providers)]):
            self._add_to(by_label, source, f"providers[{index}]")
        self._replace(by_label)

    def __getitem__(self, label: str) -> Account:
        return self._by_label[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_label)

    def __len__(self) -> int:
        return len(self._by_label)

    def add(self, source: object, place: str) -> Account:
        """Add the account of a provider; if that raises, nothing has changed."""
        by_label = dict(self._by_label)
        account = self._add_to(by_label, source, place)
        self._replace(by_label)
        return account

    def _add_to(self, by_label: dict[str, Account], source: object, place: str) -> Account:
        account = self._read(by_label, source, place)
        for identity in account.identities:
            self._by_identity.setdefault(identity, []).append(account)
        by_label[account.label] = self._by_key[account.key] = account
        self.origins[account.origin] += 1
        account.origin.users.add(self._user)
        self.revision += 1
        return account

    def _read(self, by_label: Mapping[str, Account], source: object, place: str) -> Account:
        """Return the account of a provider, all of whose code that is needed has run then."""
        try:
            return self._read_checked(by_label, source, place)
        except ConfigError:
            raise
        except BaseException as error:  # noqa: BLE001 - an adapter's attributes, and the request that it builds, may raise anything
            raised = error
        secrets = secrets_of(source)
        if isinstance(raised, Exception):
            text = own_text_of(raised, secrets)
            message = f"{place}: {type(source).__name__} raised {type(raised).__name__} when it was added"
            raise ConfigError(f"{message}: {text}" if text else message)
        raise exit_like(raised, secrets)

    def _read_checked(self, by_label: Mapping[str, Account], source: object, place: str) -> Account:
        if not isinstance(source, BalanceProvider):
            lacking = [name for name in ("account", "provider", "fetch_balances") if not hasattr(source, name)]
            raise ConfigError(f"{place}: {type(source).__name__} is no BalanceProvider: it lacks {', '.join(lacking)}")
        try:
            label, provider = check_label(source.account), check_label(source.provider)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{place}: {error}") from None
        if label in by_label:
            raise ConfigError(f"{place}: a second account is labelled {label!r}")
        try:
            aliases = aliases_of(source)
        except ConfigError as error:
            raise ConfigError(f"{place}: {label!r}: {error}") from None
        account = Account(label, provider, source, self._all_origins.of(source, self._clock.monotonic()), aliases)
        self._check_is_another(account, place)
        # Cached: what the adapter raises for it has to be raised in here, where it is redacted.
        _ = account.key
        return account

    def _check_is_another(self, account: Account, place: str) -> None:
        """Raise ConfigError if an account is one of these, unless both have a fingerprint that says otherwise."""
        for other in (other for identity in account.identities for other in self._by_identity.get(identity, ())):
            given, others = account.given_fingerprint, other.given_fingerprint
            if given and others and given != others:
                continue
            message = (
                f"{place}: {account.label!r} would be counted twice: it has the same credentials at the same base URL "
                f"as {other.label!r}"
            )
            if not account.fingerprint or account.fingerprint != other.fingerprint:
                message += ", as far as their requests show. If they are two, set the `fingerprint` of each"
            raise ConfigError(message)

    def remove(self, label: str) -> Account:
        """Remove an account; raises ConfigError if there is none."""
        ((_, account),) = self.select([label]).items()
        self._replace({other: known for other, known in self._by_label.items() if other != label})
        del self._by_key[account.key]
        for identity in account.identities:
            self._by_identity[identity].remove(account)
            if not self._by_identity[identity]:
                del self._by_identity[identity]
        self.origins[account.origin] -= 1
        if not self.origins[account.origin]:
            del self.origins[account.origin]
            account.origin.users.discard(self._user)
        account.is_removed = True
        self.revision += 1
        return account

    def select(self, labels: Iterable[str] | None) -> Mapping[str, Account]:
        """Return the accounts of the labels, or all; raises ConfigError for a label that no account has.

        Accounts that come or go later do not change what was returned.
        """
        by_label = self._by_label
        if labels is None:
            return by_label
        if isinstance(labels, str):
            raise ConfigError(f"accounts: expected a list of labels, got the string {labels!r}")
        selected: dict[str, Account] = {}
        for label in labels:
            if label not in by_label:
                raise ConfigError(f"accounts: no account is labelled {label!r}")
            selected[label] = by_label[label]
        return selected

    def by_key(self, key: str) -> Account | None:
        """Return the account that has that name in a store."""
        return self._by_key.get(key)

    def source_of(self, label: str) -> BalanceProvider | None:
        """Return the provider of an account; of an unknown label always the same other one, None without accounts."""
        if (known := self._by_label.get(label)) is not None:
            return known.source
        accounts = self._in_order
        return accounts[crc32(label.encode("utf-8", "replace")) % len(accounts)].source if accounts else None

    def _replace(self, by_label: dict[str, Account]) -> None:
        # Never changed: callers, in other threads too, may still have it.
        self._by_label = by_label
        # To find one by its number in a time that does not show how many there are.
        self._in_order = tuple(by_label.values())
