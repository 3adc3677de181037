"""Whether what a store returned has the types that it should: a store may be anybody's."""

import math
from collections.abc import Awaitable
from typing import cast

from balancekit.http.durations import is_number
from balancekit.money.balances import AccountBalances
from balancekit.stores.base import Stored, StoredFailure


def is_sound(stored: object) -> bool:
    """Whether what a store returned of an account has the types that it should."""
    if not isinstance(stored, Stored):
        return False
    failure, times = cast("object", stored.failure), [stored.age]
    if isinstance(failure, StoredFailure):
        times += [failure.age, failure.cooldown]
    elif failure is not None:
        return False
    return (
        isinstance(cast("object", stored.version), str)
        and isinstance(cast("object", stored.snapshot), AccountBalances | None)
        and (failure is None or isinstance(cast("object", failure.text), str))
        and all(is_number(one) and math.isfinite(one) for one in times)
    )


async def sound_seconds(call: Awaitable[object]) -> float:
    """Return the seconds that a call of a store returns; TypeError for anything else."""
    seconds = await call
    if is_number(seconds) and math.isfinite(seconds):
        return seconds
    raise TypeError("expected seconds")
