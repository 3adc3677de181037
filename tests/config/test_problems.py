"""The messages about names that are not there."""

import pytest

from balancekit.config.problems import unknown_label


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
