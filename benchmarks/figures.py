"""Figures with their spread, and the bounds that they are held to."""

from collections.abc import Iterable, Mapping
from statistics import median
from types import MappingProxyType
from typing import Final

import attrs


@attrs.frozen
class Figure:
    """The median of all rounds, and the lowest and the highest of them."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        """Return the figure of the values of all rounds."""
        listed = list(values)
        return cls(median(listed), min(listed), max(listed))

    @classmethod
    def of_ratios(cls, ours: Iterable[float], theirs: Iterable[float]) -> "Figure":
        """Return the figure of the ratios, each of two values of one round, so that drift falls out."""
        return cls.of(one / other for one, other in zip(ours, theirs, strict=True))


@attrs.frozen
class Bound:
    """What a figure must be and what it aims to be: at most, or else at least."""

    must: float
    aim: float
    at_least: bool = False

    def met(self, value: float) -> str:
        """Return which of the two is met, or that neither is."""
        sign = -1 if self.at_least else 1
        if sign * value <= sign * self.aim:
            return "aim"
        return "must" if sign * value <= sign * self.must else "neither"


@attrs.frozen
class Standing:
    """One contender in the warm fetch: its time as a ratio to *tuned*, and whether its totals were exact."""

    name: str
    ratio: Figure
    milliseconds: Figure
    exact: bool
    server_share: float


BOUNDS: Final[Mapping[str, Bound]] = MappingProxyType(
    {
        "warm fetch / checked": Bound(1.25, 1.10),
        "warm fetch / tuned": Bound(1.80, 1.55),
        "warm fetch / raw protocol": Bound(5.5, 4.7),
        "times faster than ccxt": Bound(1.25, 1.5, at_least=True),
        "times faster than requests": Bound(2.7, 3.1, at_least=True),
        "times faster than httpx": Bound(3.5, 4.0, at_least=True),
        "200 currencies / checked": Bound(1.25, 1.10),
        "2 accounts at 200 ms, warm": Bound(5, 3),
        "2 accounts at 200 ms, cold": Bound(8, 5),
        "1000 accounts at 50 ms / ideal": Bound(1.40, 1.25),
        "bytes to merged / orjson sums": Bound(4.0, 2.5),
        "memory a kept balance": Bound(320, 280),
        "stream() memory, 10,000 / 100 accounts": Bound(1.3, 1.1),
        "import balancekit / aiohttp, attrs, cattrs": Bound(1.15, 1.0),
        "CLI / hand-written script": Bound(1.30, 1.15),
        "--version over python -c pass": Bound(60, 30),
    }
)
"""What the measures that are promised are held to, by their names."""


@attrs.define
class Results:
    """What has been measured so far: figures by name, each with its unit, and the standings of the contenders."""

    figures: dict[str, tuple[str, Figure]] = attrs.field(factory=dict[str, tuple[str, Figure]])
    standings: list[Standing] = attrs.field(factory=list[Standing])

    def add(self, name: str, figure: Figure, unit: str = "times") -> None:
        """Add a figure; its unit is a ratio unless given."""
        self.figures[name] = unit, figure
