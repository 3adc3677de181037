"""How contenders are timed: in turn, on a machine that may belong to others as well."""

import gc
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs

_STAT: Final = Path("/proc/stat")
_STOLEN: Final = 8
"""The place in the first line of `/proc/stat` of the ticks that the host has given to other machines."""

_CALM: Final = 0.02
"""The share of the time measured that the host may give to others in a calm round."""


class Watch:
    """Called before and after each lap, outside the time measured."""

    def before(self) -> None:
        """Prepare for a lap."""

    def after(self, result: Any) -> None:  # noqa: ANN401 - the result of any way
        """Examine the result of a lap."""


@attrs.frozen
class Lap:
    """What one way took in one round, in seconds.

    `processor` is how long this process had a processor, `stolen` how long the host took any of them away.
    """

    seconds: float
    processor: float
    stolen: float


@attrs.frozen
class Laps:
    """The laps of each way by its name, as many as there were rounds."""

    of: Mapping[str, list[Lap]]

    @property
    def seconds(self) -> dict[str, list[float]]:
        """The time that each way took."""
        return {name: [lap.seconds for lap in laps] for name, laps in self.of.items()}

    @property
    def processor(self) -> dict[str, list[float]]:
        """The time that each way had a processor of this process."""
        return {name: [lap.processor for lap in laps] for name, laps in self.of.items()}


_NO_WATCH: Final = Watch()


async def in_turn(
    ways: Mapping[str, Callable[[], Awaitable[Any]]],
    *,
    rounds: int,
    watches: Mapping[str, Watch] = MappingProxyType({}),
) -> Laps:
    """Time each way once a round, in turn; the first round is not counted.

    The result of a way is freed outside the time measured. Every way begins with the garbage of the others collected
    and their live objects frozen; the collector is on.

    On a virtual machine a round is repeated, up to as many times again as there are rounds, if the host took the
    processors away, whatever the times were; the rounds that count are those in which it took the least.
    """
    taken: list[dict[str, Lap]] = []
    for turn in range(2 * rounds + 1):
        round_ = {name: await _lap(way, watches.get(name, _NO_WATCH)) for name, way in ways.items()}
        if turn:
            taken.append(round_)
        if sum(_lost(each) <= _CALM for each in taken) >= rounds:
            break
    calmest = sorted(taken, key=_lost)[:rounds]
    return Laps({name: [each[name] for each in calmest] for name in ways})


async def _lap(way: Callable[[], Awaitable[Any]], watch: Watch) -> Lap:
    gc.collect()
    gc.freeze()
    watch.before()
    stolen, processor, begun = _stolen(), time.process_time(), time.perf_counter()
    result = await way()
    lap = Lap(time.perf_counter() - begun, time.process_time() - processor, _stolen() - stolen)
    watch.after(result)
    del result
    gc.unfreeze()
    return lap


def _lost(laps: Mapping[str, Lap]) -> float:
    return sum(lap.stolen for lap in laps.values()) / sum(lap.seconds for lap in laps.values())


def _stolen() -> float:
    """Return the seconds of all processors that the host has given to others so far; 0 where that is unknown."""
    try:
        fields = _STAT.read_text(encoding="ascii").partition("\n")[0].split()
        return int(fields[_STOLEN]) / os.sysconf("SC_CLK_TCK")
    except (OSError, LookupError, ValueError):
        return 0.0
