"""The holdings of an account: exact amounts of a currency, at the scale that the provider reports."""

import re
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, Inexact
from typing import Final, TypeAlias, cast

import attrs

from balancekit.money.currencies import ISO_4217_CODES

# Beyond this many digits or places, plain notation would fill the memory. It is far above what a client accepts, so
# that a client can be tested with too much.
_LIMIT: Final = 1000

# Wide enough for the sum of any two amounts within the limit, whatever the caller's context is.
_EXACT: Final = Context(prec=4 * _LIMIT, traps=[Inexact])

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
    return "fiat" if holding.chain is None and holding.currency.upper() in ISO_4217_CODES else "crypto"


@attrs.frozen
class Holding:
    """One currency that an account of a sandbox holds.

    `asset_type` is "crypto" or "fiat". Without it, a holding without a chain whose code is in ISO 4217 is fiat, and any
    other is crypto. `decimals` and `chain` are sent by getMany; their defaults are the scale of the amount and, for
    crypto, a common chain. Raises TypeError if the amount is a float, ValueError if it is not a finite decimal or is
    finer than `decimals`.
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

    def plus(self, amount: Decimal) -> "Holding":
        """Return the holding with an amount added, exactly; ValueError if `decimals` cannot hold the sum."""
        return attrs.evolve(self, amount=_EXACT.add(self.amount, amount))


Holdings: TypeAlias = Mapping[str, str | int | Decimal] | Iterable[Holding]
"""The holdings of an account: amounts by currency code, or holdings one by one."""


def as_list(holdings: Holdings) -> list[Holding]:
    """Return holdings one by one, from either form."""
    if isinstance(holdings, Mapping):
        amounts = cast("Mapping[str, str | int | Decimal]", holdings)
        return [Holding(currency, amount) for currency, amount in amounts.items()]
    return list(holdings)
