"""For the tests of programs that use balancekit, and of adapters: a clock that a test moves, and a contract.

`ProviderContract` needs pytest, which is imported when it is first used.
"""

from typing import TYPE_CHECKING

from balancekit.testing.clock import ManualClock

if TYPE_CHECKING:
    from balancekit.testing.contract import ProviderContract, left_out, overrides

__all__ = ["ManualClock", "ProviderContract", "left_out", "overrides"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from balancekit.testing import contract

    return getattr(contract, name)
