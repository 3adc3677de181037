"""Merging the snapshots of many accounts by currency: pure and exact, in any order and in any parts."""

from collections.abc import Iterable, Mapping

from balancekit.money.aliases import apply_aliases, check_aliases, join_aliases
from balancekit.money.balances import AccountBalances, AccountFailure
from balancekit.money.merged import MergedBalances, add_up
from balancekit.money.repeated import refuse_repeated


def merge(
    snapshots: Iterable[AccountBalances],
    failures: Iterable[AccountFailure] = (),
    *,
    aliases: Mapping[str, str] | None = None,
) -> MergedBalances:
    """Merge the snapshots of accounts by currency.

    Currencies merge when code and type of asset agree. A balance of unknown type joins the only known type of its code
    in this merge; if there are two, it stays by itself. `aliases` maps codes to the currency that they are to be
    counted as, by exact match (`{"USDCE": "USDC"}`): it sets `Balance.currency` and leaves `Balance.code` as sent.

    Of no accounts the result is empty, and `complete`, since nothing is missing.

    Raises ValueError if an account occurs twice, if one lists a balance twice (by its `reference`, code and chain), if
    two of one provider list the same one (with a `reference` of at least 16 characters, since a short one may be a mere
    number), or if an alias leads to another alias.
    """
    counted = tuple(snapshots)
    refuse_repeated(counted)
    return merge_counted(counted, failures, aliases=aliases)


def merge_counted(
    snapshots: Iterable[AccountBalances],
    failures: Iterable[AccountFailure],
    *,
    aliases: Mapping[str, str] | None,
    own_aliases: Mapping[str, Mapping[str, str]] | None = None,
    chosen_accounts: Iterable[str] | None = None,
) -> MergedBalances:
    """Merge as `merge` does, where it is known that no two accounts list the same balance.

    `own_aliases` are those of single accounts, by label; `aliases` come before them.
    """
    table = check_aliases(aliases or {})
    if own_aliases:
        snapshots = [apply_aliases(one, join_aliases(own_aliases.get(one.account, {}), table)) for one in snapshots]
    elif table:
        snapshots = [apply_aliases(one, table) for one in snapshots]
    return add_up(snapshots, failures, chosen_accounts)
