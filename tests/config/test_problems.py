"""What is wrong is kept once, and the messages about names that are not there."""

from typing import ClassVar

import pytest

from balancekit.config.problems import Problems, unknown_label


@pytest.mark.parametrize(
    ("known", "meant"),
    [
        (["shop-eu", "till"], "did you mean 'shop-eu'?"),
        (["till", "bank"], "there are 'till', 'bank'"),
        (
            [f"till-{number}" for number in range(12)],
            "there are " + ", ".join(f"'till-{n}'" for n in range(10)) + " and 2 more",
        ),
        ([], "there are none"),
    ],
    ids=["close", "others", "many", "none"],
)
def test_an_unknown_label_is_named_with_those_that_there_are(known, meant):
    """The one that is probably meant, or else the first ten."""
    assert unknown_label("shop-e", known) == f"no account is labelled 'shop-e'; {meant}"


class Compared(str):
    """A key that counts how often one is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    comparisons: ClassVar[list[str]] = []

    def __eq__(self, other):
        self.comparisons.append(other)
        return super().__eq__(other)


def test_a_problem_is_compared_with_none_but_itself():
    """A file may have a hundred thousand keys that are unknown, and each of them twice."""
    problems = Problems()

    for _ in range(2):
        for number in range(100):
            problems.add((Compared(f"key{number}"),), "unknown")

    assert len(problems) == 100
    assert len(Compared.comparisons) <= 100
