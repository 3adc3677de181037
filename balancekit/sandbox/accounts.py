"""The accounts that a sandbox plays: what they hold, and what their webhooks say."""

import abc
from collections.abc import Callable
from decimal import Decimal
from typing import ClassVar

import attrs
from yarl import URL

from balancekit.http.messages import is_loopback
from balancekit.sandbox.holdings import Holding, as_list
from balancekit.sandbox.webhooks import Event, Message, Tamper


def _check_webhook_url(_: object, __: object, url: str | None) -> None:
    if url is None:
        return
    # Its value is not shown: receivers put tokens into their paths.
    parsed = URL(url)
    if parsed.scheme not in {"http", "https"} or not is_loopback(parsed.host or ""):
        raise ValueError("webhook_url must be an http or https URL of a loopback address")


@attrs.define(eq=False, repr=False, kw_only=True)
class SandboxAccount(abc.ABC):
    """One account that a sandbox plays: made by its `add_…` methods, changed at any time.

    `webhook_url` is where its webhooks are sent, None for nowhere: an http or https URL of a loopback address. Nothing
    stops an account from holding the same currency twice, as nothing stops a provider from saying so.
    """

    provider: ClassVar[str]

    pending_status: ClassVar[str]
    """The provider's word for a transaction that has not changed the balances yet."""

    settled_status: ClassVar[str]
    """The provider's word for a transaction that has changed them."""

    retry_delays: ClassVar[tuple[float, ...]]
    """Seconds from each attempt at a delivery that was not accepted to the next."""

    tampers: ClassVar[frozenset[Tamper]]
    """What can be done to the provider's webhooks."""

    label: str = attrs.field(on_setattr=attrs.setters.frozen, validator=attrs.validators.min_len(1))
    _holdings: list[Holding] = attrs.field(alias="holdings", converter=as_list)
    _address: Callable[[], str] = attrs.field(alias="address")
    webhook_url: str | None = attrs.field(default=None, validator=_check_webhook_url)

    # Written by hand so that no field added later can show a secret.
    def __repr__(self) -> str:
        return f"<SandboxAccount {self.label!r} at {self.provider}, holdings: {len(self._holdings)}>"

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor, `base_url` included; they hold the credentials.

        Raises RuntimeError as long as the port is not known: before the start, unless the sandbox was given one.
        """

    @abc.abstractmethod
    def write_webhook(self, event: Event, *, now: int, tamper: Tamper | None = None) -> Message:
        """Write and sign what the provider sends of an event at a moment in Unix seconds, tampered with on request."""

    @property
    def holdings(self) -> tuple[Holding, ...]:
        """What the account holds now, zeros included."""
        return tuple(self._holdings)

    def set(self, currency: str, amount: str | int | Decimal, *, chain: str | None = None) -> None:
        """Set how much the account holds of a currency; what else is known of that holding is kept.

        `chain` tells apart a currency held on several; ValueError if it is held more than once nevertheless.
        """
        index = self._find(currency, chain)
        if index is None:
            self._holdings.append(Holding(currency, amount, chain=chain))
        else:
            self._holdings[index] = attrs.evolve(self._holdings[index], amount=amount)

    def remove(self, currency: str, *, chain: str | None = None) -> None:
        """Take a currency from the account: KeyError if it is not held, ValueError if it is held more than once."""
        index = self._find(currency, chain)
        if index is None:
            raise KeyError(currency)
        del self._holdings[index]

    def movement(self, currency: str, amount: str | int | Decimal, *, chain: str | None = None) -> Holding:
        """Return an amount in the form in which the account holds its currency; nothing is changed.

        What is not held is taken as a new holding; ValueError as in `set`.
        """
        index = self._find(currency, chain)
        if index is None:
            return Holding(currency, amount, chain=chain)
        return attrs.evolve(self._holdings[index], amount=amount)

    def add(self, currency: str, amount: str | int | Decimal, *, chain: str | None = None) -> Holding:
        """Add to what the account holds of a currency, exactly, and return what was added; negative takes away.

        What is not held is a new holding. ValueError as in `set`, or if the holding's decimals cannot hold the sum.
        """
        moved = self.movement(currency, amount, chain=chain)
        index = self._find(currency, chain)
        if index is None:
            self._holdings.append(moved)
        else:
            self._holdings[index] = self._holdings[index].plus(moved.amount)
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
