"""The accounts of a sandbox: what each holds, and where its webhooks go."""

import abc
from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar

import attrs
from yarl import URL

from balancekit.http.messages import is_loopback
from balancekit.sandbox.holdings import Holding, as_list
from balancekit.sandbox.webhooks import Event, SignedWebhook, Tamper


def _check_webhook_url(_: object, __: object, url: str | None) -> None:
    if url is None:
        return
    # The error does not show the URL, since receivers put tokens into their paths.
    parsed = URL(url)
    if parsed.scheme not in {"http", "https"} or not is_loopback(parsed.host or ""):
        raise ValueError("webhook_url must be an http or https URL of a loopback address")


@attrs.define(eq=False, repr=False, kw_only=True)
class SandboxAccount(abc.ABC):
    """One account of a sandbox: created by the sandbox's `add_…` methods, changed at any time.

    `webhook_url` is where its webhooks are sent, None for nowhere: an http or https URL of a loopback address. An
    account may hold the same currency twice, since a provider may report it twice.
    """

    provider: ClassVar[str]

    pending_status: ClassVar[str]
    """The provider's status of a transaction that has not changed the balances yet."""

    settled_status: ClassVar[str]
    """The provider's status of a transaction that has changed them."""

    retry_delays: ClassVar[tuple[float, ...]]
    """Seconds from each attempt at a delivery to the next, until one is accepted."""

    tampers: ClassVar[frozenset[Tamper]]
    """The tampers that fit the provider's webhooks."""

    label: str = attrs.field(on_setattr=attrs.setters.frozen, validator=attrs.validators.min_len(1))
    _holdings: list[Holding] = attrs.field(alias="holdings", converter=as_list)
    _address: Callable[[], str] = attrs.field(alias="address")
    webhook_url: str | None = attrs.field(default=None, validator=_check_webhook_url)

    # Written by hand, so that a field added later cannot show a secret.
    def __repr__(self) -> str:
        return f"<SandboxAccount {self.label!r} at {self.provider}, holdings: {len(self._holdings)}>"

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor: `base_url` and the credentials.

        Raises RuntimeError as long as the port is not known: before the start, unless the sandbox was given one.
        """

    @abc.abstractmethod
    def write_webhook(self, event: Event, *, now: int, tamper: Tamper | None = None) -> SignedWebhook:
        """Write and sign the provider's webhook for an event, sent at `now` in Unix seconds."""

    @property
    def holdings(self) -> tuple[Holding, ...]:
        """The current holdings, zeros included."""
        return tuple(self._holdings)

    def set(self, currency: str, amount: str | int | Decimal, *, chain: str | None = None) -> None:
        """Set how much the account holds of a currency; the other fields of that holding stay.

        `chain` selects one of several holdings of a currency; ValueError if it is held more than once nevertheless.
        """
        self._put(self._find(currency, chain), self.movement(currency, amount, chain=chain))

    def remove(self, currency: str, *, chain: str | None = None) -> None:
        """Remove a currency from the account: KeyError if it is not held, ValueError if it is held more than once."""
        index = self._find(currency, chain)
        if index is None:
            raise KeyError(currency)
        del self._holdings[index]

    def movement(self, currency: str, amount: str | int | Decimal, *, chain: str | None = None) -> Holding:
        """Return an amount in the form in which the account holds its currency; the account stays as it is.

        A currency that is not held gets a new holding's form; ValueError as in `set`.
        """
        index = self._find(currency, chain)
        if index is None:
            return Holding(currency, amount, chain=chain)
        return attrs.evolve(self._holdings[index], amount=amount)

    def add(self, currency: str, amount: str | int | Decimal, *, chain: str | None = None) -> Holding:
        """Add to what the account holds of a currency, exactly, and return what was added; negative takes away.

        A currency that is not held becomes a new holding. ValueError as in `set`, or if the holding's decimals cannot
        hold the sum.
        """
        index = self._find(currency, chain)
        moved = self.movement(currency, amount, chain=chain)
        self._put(index, moved if index is None else self._holdings[index].plus(moved.amount))
        return moved

    def _find(self, currency: str, chain: str | None) -> int | None:
        found = [
            index
            for index, holding in enumerate(self._holdings)
            if holding.currency == currency and chain in (None, holding.chain)
        ]
        if len(found) > 1:
            raise ValueError(f"{currency} is held more than once: say on which chain")
        return found[0] if found else None

    def _put(self, index: int | None, holding: Holding) -> None:
        if index is None:
            self._holdings.append(holding)
        else:
            self._holdings[index] = holding
