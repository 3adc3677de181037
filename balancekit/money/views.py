"""Parts of a result, by currency and by account, and what they say they are parts of. Pure."""

from collections.abc import Iterable, Sequence

import attrs

from balancekit.errors import BalancekitError, ConfigError, NotReadError
from balancekit.money.balances import AccountBalances, AccountFailure, CurrencyTotal
from balancekit.money.currencies import check_code, check_label, normalize_code
from balancekit.money.layout import name_some
from balancekit.money.lookup import index_by_code
from balancekit.money.notice import all_labels


def chosen_labels(labels: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return labels sorted, each once; None stands for all accounts."""
    return None if labels is None else tuple(sorted({*map(check_label, _no_text(labels))}))


def chosen_codes(codes: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return codes in upper case in the order given; ConfigError for one that is repeated. None stands for all."""
    if codes is None:
        return None
    currencies = tuple(normalize_code(check_code(code)) for code in _no_text(codes))
    for index, currency in enumerate(currencies):
        if currency in currencies[:index]:
            raise ConfigError(f"{currency} is asked for twice")
    return currencies


def describe_scope(labels: Sequence[str] | None, codes: Sequence[str] | None) -> str | None:
    """Return one line that says which currencies and accounts a view has, ten of each by name; None if it has all."""
    accounts = "" if labels is None else f"{'account' if len(labels) == 1 else 'accounts'} {_names(labels)}"
    currencies = "" if codes is None else _names(codes)
    return f"Only {' in '.join(filter(None, (currencies, accounts)))}" if accounts or currencies else None


def in_order(totals: Iterable[CurrencyTotal], codes: Sequence[str] | None) -> tuple[CurrencyTotal, ...]:
    """Return the totals of the codes, in their order; all of them, as they are, for None."""
    if codes is None:
        return tuple(totals)
    index = index_by_code(totals)
    return tuple(total for code in codes for total in index.get(code, ()))


def with_currencies(accounts: Iterable[AccountBalances], codes: Iterable[str]) -> tuple[AccountBalances, ...]:
    """Return the snapshots with the balances of the codes alone."""
    wanted = frozenset(codes)
    return tuple(
        attrs.evolve(snapshot, balances=tuple(balance for balance in snapshot.balances if balance.currency in wanted))
        for snapshot in accounts
    )


def as_shown(failures: Iterable[AccountFailure], accounts: Iterable[AccountBalances]) -> tuple[AccountFailure, ...]:
    """Return failures whose last snapshots, where they stand in for accounts, are the very ones among the accounts.

    Those may have been changed by aliases, or by a view of some currencies.
    """
    shown = {snapshot.account: snapshot for snapshot in accounts if snapshot.stale}
    return tuple(
        attrs.evolve(failure, last_known=shown[failure.account])
        if failure.last_known is not None and _is_same_read(failure.last_known, shown.get(failure.account))
        else failure
        for failure in failures
    )


def check_chosen(
    totals: Iterable[CurrencyTotal],
    accounts: Iterable[AccountBalances],
    failures: Iterable[AccountFailure],
    labels: Sequence[str] | None,
    codes: Sequence[str] | None,
) -> None:
    """Raise ValueError for a total or an account that was not chosen, or an account that was and is not there."""
    if codes is not None and not {total.currency for total in totals} <= {*codes}:
        raise ValueError("a total of a currency that was not chosen")
    if labels is not None:
        held = all_labels(accounts, failures)
        if not held <= {*labels}:
            raise ValueError("an account that was not chosen")
        for label in labels:
            if label not in held:
                raise ValueError(f"account {label!r} was chosen, and neither read nor failed")


def both_accounts(one: Sequence[str] | None, other: Sequence[str] | None, rest: Iterable[str]) -> set[str] | None:
    """Return the accounts that two results are of together: all of both if they are both whole.

    `rest` are the accounts of a whole result that is merged with a view, of whose other accounts nothing is known.
    """
    return None if one is None and other is None else {*(one or ()), *(other or ()), *rest}


def same_currencies(one: Sequence[str] | None, other: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the currencies of two results; ValueError unless they are the same, since a total would lack a part."""
    if one == other:
        return None if one is None else tuple(one)
    if one is None or other is None or {*one} != {*other}:
        raise ValueError("results of different currencies cannot be merged: a total would lack a part")
    return tuple(sorted(one))


def why_incomplete(accounts: Iterable[AccountBalances], failures: Sequence[AccountFailure]) -> list[BalancekitError]:
    """Return an error for each account that is missing or old.

    It is that which its last read ended with, or a NotReadError where the balances may have changed since they were
    read, and nobody has read them again.
    """
    failed = {failure.account for failure in failures}
    return [failure.error for failure in failures] + [
        NotReadError(
            f"the balances may have changed since {snapshot.as_of:%Y-%m-%d %H:%M:%S} UTC",
            account=snapshot.account,
            provider=snapshot.provider,
            hint="Fetch them again",
        )
        for snapshot in accounts
        if snapshot.stale and snapshot.account not in failed
    ]


def _is_same_read(snapshot: AccountBalances, other: AccountBalances | None) -> bool:
    return other is not None and (snapshot.fetched_at, snapshot.reported_at) == (other.fetched_at, other.reported_at)


def _no_text(names: Iterable[str]) -> Iterable[str]:
    if isinstance(names, str):
        raise TypeError(f"expected several names, not the string {names!r}")
    return names


def _names(names: Sequence[str]) -> str:
    return name_some(names) or "none"
