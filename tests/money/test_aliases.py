"""Tables of aliases."""

import pytest

from balancekit import CRYPTOPROCESSING_2026
from balancekit.money.aliases import check_aliases


def test_aliases_are_compared_in_upper_case():
    """A table may be written in any case, as codes are."""
    assert check_aliases({"usdce": "usdc"}) == {"USDCE": "USDC"}


def test_a_code_may_be_its_own_alias():
    """Naming a currency as itself changes nothing."""
    assert check_aliases({"USDC": "USDC", "USDCE": "USDC"})["USDC"] == "USDC"


@pytest.mark.parametrize("table", [{"A": "B", "B": "C"}, {"A": "B", "B": "A"}], ids=["chain", "circle"])
def test_an_alias_of_an_alias_is_refused(table):
    """Whether to follow it would be a guess about money."""
    with pytest.raises(ValueError, match="which is an alias itself"):
        check_aliases(table)


def test_an_alias_must_be_a_code():
    """What cannot be a currency's code can be no alias either."""
    with pytest.raises(ValueError, match="empty"):
        check_aliases({"USDCE": ""})


def test_the_ready_table_is_sound_and_cannot_be_changed():
    """The table that is shipped can be used as it is, by everyone in the process."""
    assert check_aliases(CRYPTOPROCESSING_2026) == dict(CRYPTOPROCESSING_2026)
    with pytest.raises(TypeError):
        CRYPTOPROCESSING_2026["BTC"] = "ETH"  # type: ignore[index]
