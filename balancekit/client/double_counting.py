"""Balances that two accounts of a client list: they are one balance, and must not be added twice."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from balancekit.client.accounts import Account
from balancekit.errors import MalformedResponseError
from balancekit.money.balances import AccountBalances

_HINT: Final = "Both may be one account with two keys: remove one of them"

# No function of ours is called for each account, since a fetch has many and nearly none is counted twice.


class SeenBalances:
    """The providers' ids of the balances of accounts so far; each is looked for among accounts at the same origin."""

    def __init__(self, accounts: Mapping[str, Account], labels: Iterable[str]) -> None:
        self._origins: dict[str, tuple[str, str]] = {}
        for label in labels:
            account = accounts[label]
            self._origins[label] = account.provider, account.origin.name
        self._accounts_at = Counter(self._origins.values())
        self._seen: defaultdict[tuple[str, str], dict[tuple[str, str], str]] = defaultdict(dict)

    def add(self, snapshots: Iterable[AccountBalances]) -> dict[str, MalformedResponseError]:
        """Take snapshots; return, by label, the errors of those with a balance that is in an account before them."""
        errors: dict[str, MalformedResponseError] = {}
        for snapshot in snapshots:
            label = snapshot.account
            origin = self._origins[label]
            # Alone it has nothing to be compared with, and may have thousands of ids.
            if self._accounts_at[origin] == 1:
                continue
            seen = self._seen[origin]
            ids = {(one.reference, one.code): label for one in snapshot.balances if one.reference is not None}
            if seen.keys().isdisjoint(ids):
                seen.update(ids)
                continue
            reference, code = min(seen.keys() & ids.keys())
            message = (
                f"the {code} balance with the id {reference!r} is in account {seen[reference, code]!r} too, "
                "and would be counted twice"
            )
            errors[label] = MalformedResponseError(message, account=label, provider=snapshot.provider, hint=_HINT)
        return errors
