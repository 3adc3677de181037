"""The accounts that a sandbox plays, and what they hold."""

import abc
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import ClassVar, Final, TypeAlias, cast

import attrs

from balancekit.iso4217 import CODES

# Beyond this many digits or places, plain notation would fill the memory. It lies far above what a client admits,
# so that a client can be shown too much.
_LIMIT: Final = 1000

_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")


def _exact(value: str | int | Decimal) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):  # pyright: ignore[reportUnnecessaryIsInstance] - a float must not slip in
        raise TypeError(f"an amount is a decimal string, an int or a Decimal, not {type(value).__name__}")
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError(f"not a decimal: {value[:40]!r}")
    amount = Decimal(value)
    coefficient, exponent = _parts(amount)
    if abs(exponent) > _LIMIT or abs(coefficient) >= 10**_LIMIT:
        raise ValueError(f"an amount of more than {_LIMIT} digits or places")
    return amount


def _parts(amount: Decimal) -> tuple[int, int]:
    sign, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"not a finite amount: {amount}")  # noqa: TRY004 - it is the value that is wrong
    coefficient = int("".join(map(str, digits)))
    return (-coefficient if sign else coefficient), exponent


def _units(amount: Decimal, decimals: int) -> int:
    coefficient, exponent = _parts(amount)
    shift = decimals + exponent
    if shift >= 0:
        return coefficient * int(10**shift)
    units, rest = divmod(coefficient, int(10**-shift))
    if rest:
        raise ValueError(f"{amount} is finer than {decimals} decimals")
    return units


def _guess_asset_type(holding: "Holding") -> str:
    return "fiat" if holding.chain is None and holding.currency.upper() in CODES else "crypto"


@attrs.frozen
class Holding:
    """One currency that an account of a sandbox holds.

    `asset_type` is "crypto" or "fiat"; without it a holding with a chain is crypto, then one with a code of ISO 4217
    fiat, then any other crypto. `decimals` and `chain` are what getMany sends: without them, the scale of the amount
    and a plain chain for crypto. Raises TypeError for an amount that is a float, ValueError for one that is no finite
    decimal or finer than `decimals`.
    """

    currency: str = attrs.field(validator=attrs.validators.min_len(1))
    amount: Decimal = attrs.field(converter=_exact)
    decimals: int | None = attrs.field(default=None, kw_only=True)
    chain: str | None = attrs.field(default=None, kw_only=True)
    asset_type: str = attrs.field(
        default=attrs.Factory(_guess_asset_type, takes_self=True),
        kw_only=True,
        validator=attrs.validators.in_(("crypto", "fiat")),
    )

    def __attrs_post_init__(self) -> None:
        if self.decimals is not None:
            if self.decimals not in range(_LIMIT + 1):
                raise ValueError(f"decimals must be from 0 to {_LIMIT}, not {self.decimals}")
            _units(self.amount, self.decimals)
        if self.chain is not None and self.asset_type == "fiat":
            raise ValueError("a fiat holding has no chain")

    @property
    def plain(self) -> str:
        """The amount in plain notation: every digit, no exponent."""
        return format(self.amount, "f")

    @property
    def scale(self) -> int:
        """The number of decimals that getMany reports the amount with."""
        return max(-_parts(self.amount)[1], 0) if self.decimals is None else self.decimals

    @property
    def units(self) -> int:
        """The amount in the smallest unit at `scale` decimals."""
        return _units(self.amount, self.scale)


Holdings: TypeAlias = Mapping[str, str | int | Decimal] | Iterable[Holding]
"""What an account holds: amounts by currency code, or holdings one by one."""


def _listed(holdings: Holdings) -> list[Holding]:
    if isinstance(holdings, Mapping):
        amounts = cast("Mapping[str, str | int | Decimal]", holdings)
        return [Holding(currency, amount) for currency, amount in amounts.items()]
    return list(holdings)


@attrs.define(eq=False, repr=False, kw_only=True)
class SandboxAccount(abc.ABC):
    """One account that a sandbox plays: made by its `add_…` methods, changed at any time.

    Nothing stops an account from holding the same currency twice, as nothing stops a provider from saying so.
    """

    provider: ClassVar[str]

    label: str = attrs.field(on_setattr=attrs.setters.frozen, validator=attrs.validators.min_len(1))
    _holdings: list[Holding] = attrs.field(alias="holdings", converter=_listed)
    _address: Callable[[], str] = attrs.field(alias="address")

    # Written by hand so that no field added later can show a secret.
    def __repr__(self) -> str:
        return f"<SandboxAccount {self.label!r} at {self.provider}, holdings: {len(self._holdings)}>"

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, str]:
        """The keyword arguments of the adapter's constructor, `base_url` included; they hold the credentials.

        Raises RuntimeError as long as the port is not known: before the start, unless the sandbox was given one.
        """

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

    def _find(self, currency: str, chain: str | None) -> int | None:
        found = [
            index
            for index, holding in enumerate(self._holdings)
            if holding.currency == currency and chain in (None, holding.chain)
        ]
        if len(found) > 1:
            raise ValueError(f"{currency} is held more than once: say on which chain")
        return found[0] if found else None
