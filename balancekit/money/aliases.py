"""Which codes are counted as which currency: the user's choice, never made by default.

What a provider keeps apart stays apart unless the user says otherwise: bridged, wrapped and native tokens are different
assets with different risks. A ready table is dated and for one brand, because codes change their meaning.
"""

from collections.abc import Mapping

import attrs

from balancekit.money.balances import AccountBalances
from balancekit.money.currencies import check_code, normalize_code


def check_aliases(aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the table in upper case, as currencies are.

    Raises ValueError for a code that is not valid, and for an alias that leads to another alias: following it or not
    would give different totals.
    """
    if not isinstance(aliases, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from configuration
        raise TypeError(f"expected a mapping of codes to currencies, got {type(aliases).__name__}")
    table: dict[str, str] = {}
    for written, named in aliases.items():
        code, currency = normalize_code(check_code(written)), normalize_code(check_code(named))
        if table.setdefault(code, currency) != currency:
            raise ValueError(f"the alias {code!r} leads to both {table[code]!r} and {currency!r}")
    for code, currency in table.items():
        if table.get(currency, currency) != currency:
            raise ValueError(
                f"the alias {code!r} leads to {currency!r}, which is an alias itself: name the currency in the end"
            )
    return table


def join_aliases(own: Mapping[str, str], aliases: Mapping[str, str]) -> dict[str, str]:
    """Return the table of an account that has its `own` one: what `aliases` say of a code comes before that.

    They also rename a currency that the account's own table leads to. A currency that they lead to themselves is one in
    every account: in the account's own table it is no alias, since no alias leads to another.
    """
    named = {*aliases.values()}
    kept = {code: aliases.get(currency, currency) for code, currency in own.items() if code not in named}
    return kept | dict(aliases)


def apply_aliases(snapshot: AccountBalances, aliases: Mapping[str, str]) -> AccountBalances:
    """Return a snapshot with the currencies that its codes are to be counted as."""
    if not any(balance.currency in aliases for balance in snapshot.balances):
        return snapshot
    balances = tuple(
        attrs.evolve(balance, currency=aliases.get(balance.currency, balance.currency)) for balance in snapshot.balances
    )
    return attrs.evolve(snapshot, balances=balances)
