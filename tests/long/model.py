"""What accounts held and when, in plain integers, and the check of what a client says of it."""

import asyncio
import time
from collections import Counter
from fractions import Fraction

import attrs

from balancekit import AccountBalances
from tests.support.laws import Laws

CODES = ("BTC", "ETH", "USDT", "EUR", "USD")
DECIMALS = 8
REMEMBERED = 20.0
"""For how many seconds a balance that has been replaced may still turn up."""


def plain(units):
    """Write smallest units as decimal text."""
    whole, rest = divmod(abs(units), 10**DECIMALS)
    return f"{'-' * (units < 0)}{whole}.{rest:0{DECIMALS}d}"


def units_of(amount):
    """Return a Decimal as smallest units, by way of fractions: the model shares no arithmetic with the package."""
    units = Fraction(amount) * 10**DECIMALS
    assert units.denominator == 1, f"{amount} is finer than it was set"
    return units.numerator


@attrs.define
class State:
    """What an account held: from a moment at the earliest, to a moment at the latest."""

    held: dict
    since: float
    until: float = float("inf")


class Model:
    """What every account holds and lately held, in whole units."""

    def __init__(self, chance, accounts):
        self._chance = chance
        self._states = {f"account-{number:02d}": [State(self._any(), 0.0)] for number in range(accounts)}

    def _any(self):
        codes = self._chance.sample(CODES, self._chance.randint(1, len(CODES)))
        return {code: self._amount() for code in codes}

    def _amount(self):
        return self._chance.choice(
            [0, 1, -1, self._chance.randint(-(10**12), 10**18), 10 ** self._chance.randint(0, 20)]
        )

    @property
    def now(self):
        """What each account holds."""
        return {label: states[-1].held for label, states in self._states.items()}

    async def change(self, remote, label=None):
        """Change what an account holds, here and there, even if this is cancelled; returns its label."""
        return await asyncio.shield(asyncio.create_task(self._change(remote, label)))

    async def _change(self, remote, label):
        label = label or self._chance.choice(list(self._states))
        states = self._states[label]
        old = states[-1]
        change = {code: self._amount() for code in self._chance.sample(CODES, 2)}
        begun = time.time()
        # Before the command: the new state may be read before the command returns.
        states.append(State(old.held | change, begun))
        await remote("set", label, change)
        old.until = time.time()
        while states[0].until < begun - REMEMBERED:
            del states[0]
        return label

    def allows(self, snapshot, arrived):
        """Whether an account held that between request and answer, as far as is remembered."""
        held = {}
        for balance in snapshot.balances:
            held[balance.code] = held.get(balance.code, 0) + units_of(balance.amount)
        sent = snapshot.fetched_at.timestamp()
        if sent < arrived - REMEMBERED:
            return True
        return any(
            without_zeros(state.held) == without_zeros(held)
            # Of a copy, since another thread may change it.
            for state in list(self._states[snapshot.account])
            # The two clocks are one, but a datetime has only microseconds.
            if state.since <= arrived and sent - 1e-3 <= state.until
        )


def without_zeros(held):
    """Leave out what is zero: one of the APIs does."""
    return {code: units for code, units in held.items() if units}


class ModelLaws(Laws):
    """Holds all that clients say against the model as well; counts snapshots, and failures by their errors."""

    def __init__(self, model, *, slack):
        super().__init__(slack=slack)
        self.model = model
        self.failures = Counter()
        self.snapshots = 0

    def check(self, accounts, merged, **may_be):
        """Compare a result with the model, and with itself."""
        arrived = time.time()
        labels = self.model.now if accounts is None else accounts
        self.check_result("result", labels, merged, **may_be)
        for outcome in [*merged.accounts, *merged.failures]:
            self.check_outcome(outcome, arrived)

    def check_outcome(self, outcome, arrived):
        """Compare one account with the model."""
        if isinstance(outcome, AccountBalances):
            self.snapshots += 1
            if not self.model.allows(outcome, arrived):
                self.problem(f"{outcome.provider}: a snapshot of what was never held")
        else:
            self.failures[type(outcome.error).__name__] += 1

    def are_totals(self, merged):
        """Whether the totals are all that is held now."""
        expected = Counter()
        for held in self.model.now.values():
            for code, units in held.items():
                expected[code] += units
        return without_zeros({total.currency: units_of(total.amount) for total in merged}) == without_zeros(expected)

    def check_totals(self, merged):
        """Compare the totals with all that is held now."""
        if not self.are_totals(merged):
            self.problem("the totals at the end are not the model's")
