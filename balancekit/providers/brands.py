"""The brands that serve the Cryptoprocessing API: where each does, and what its codes stand for; data, and its sources.

A code stands for a currency on one chain. What a brand has not published is not here, and passes unchanged; what is our
reading of what it has published is marked as assumed. The chains have the same names in all tables.
"""

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from types import MappingProxyType
from typing import Final

import attrs


@attrs.frozen
class Code:
    """A code of a brand: the currency that it is counted as, and the chain that it is on."""

    code: str
    currency: str
    chain: str
    is_assumed: bool = False


@attrs.frozen(slots=False)
class Brand:
    """A brand: its base URL and its codes, each with the document that it was read in, on the day `read_on`."""

    name: str
    base_url: str
    base_url_source: str
    codes: tuple[Code, ...]
    codes_source: str
    read_on: date

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """The codes that are counted as a currency of another name, as `merge` takes them."""
        return MappingProxyType({each.code: each.currency for each in self.codes if each.code != each.currency})


_READ_ON: Final = date(2026, 11, 27)

# The codes of USDC on BNB Smart Chain and on Polygon, which the brand supports, were not in what could be read. Those
# after SNACK are of an earlier form of the same page, which has the same codes otherwise.
_CRYPTOPROCESSING: Final = (
    Code("ADA", "ADA", "Cardano"),
    Code("BCH", "BCH", "Bitcoin Cash"),
    Code("BNB", "BNB", "BNB Smart Chain"),
    Code("BTC", "BTC", "Bitcoin"),
    Code("CSC", "CSC", "XRP Ledger"),
    Code("DOGE", "DOGE", "Dogecoin"),
    Code("ETH", "ETH", "Ethereum"),
    Code("ETHA", "ETH", "Arbitrum"),
    Code("ETHBASE", "ETH", "Base"),
    Code("EURCBASE", "EURC", "Base"),
    Code("EURCE", "EURC", "Ethereum"),
    Code("EURCS", "EURC", "Solana"),
    Code("EURS", "EURS", "Ethereum"),
    Code("LTC", "LTC", "Litecoin"),
    Code("POL", "POL", "Polygon"),
    Code("SNACK", "SNACK", "BNB Smart Chain"),
    Code("SOL", "SOL", "Solana"),
    Code("TRX", "TRX", "Tron"),
    Code("USDCA", "USDC", "Arbitrum"),
    Code("USDCBASE", "USDC", "Base"),
    Code("USDCE", "USDC", "Ethereum"),
    Code("USDCS", "USDC", "Solana"),
    Code("USDGE", "USDG", "Ethereum"),
    Code("USDGS", "USDG", "Solana"),
    Code("WBTC", "WBTC", "Ethereum"),
    Code("XED", "XED", "Ethereum"),
    Code("XRP", "XRP", "XRP Ledger"),
)

_COINSPAID: Final = (
    Code("ADA", "ADA", "Cardano"),
    Code("BCH", "BCH", "Bitcoin Cash"),
    Code("BNB", "BNB", "Beacon Chain"),
    # The page calls this one BNB, and the one before it Binance Coin.
    Code("BNB-BSC", "BNB", "BNB Smart Chain", is_assumed=True),
    Code("BRZ", "BRZ", "Ethereum"),
    Code("BTC", "BTC", "Bitcoin"),
    Code("CPD", "CPD", "Ethereum"),
    Code("CSC", "CSC", "XRP Ledger"),
    Code("DAI", "DAI", "Ethereum"),
    Code("DOGE", "DOGE", "Dogecoin"),
    Code("ETH", "ETH", "Ethereum"),
    Code("EURS", "EURS", "Ethereum"),
    Code("LTC", "LTC", "Litecoin"),
    Code("SNACK", "SNACK", "BNB Smart Chain"),
    Code("TRX", "TRX", "Tron"),
    Code("USDC", "USDC", "Ethereum"),
    # The page calls each of the three Tether USD; its form of 2020 has that currency as USDT, too.
    Code("USDTB", "USDT", "BNB Smart Chain"),
    Code("USDTE", "USDT", "Ethereum"),
    Code("USDTT", "USDT", "Tron"),
    Code("VERSE", "VERSE", "Ethereum"),
    Code("WBTC", "WBTC", "Ethereum"),
    Code("XED", "XED", "Ethereum"),
    Code("XRP", "XRP", "XRP Ledger"),
)

BRANDS: Final[Mapping[str, Brand]] = MappingProxyType(
    {
        brand.name: brand
        for brand in (
            Brand(
                "alphapo",
                base_url="https://app.alphapo.net/api/v2",
                base_url_source='docs.alphapo.net, "Exchange regardless of the exchange rate"',
                # The brand has a page of its codes, which could not be read.
                codes=(),
                codes_source="",
                read_on=_READ_ON,
            ),
            Brand(
                "coinspaid",
                base_url="https://app.cryptoprocessing.com/api/v2",
                base_url_source='github.com/coinspaid/docs of 2023-12-13, "API Reference"',
                codes=_COINSPAID,
                codes_source='github.com/coinspaid/docs of 2023-12-13, "Supported cryptocurrencies"',
                read_on=_READ_ON,
            ),
            Brand(
                "cryptoprocessing",
                base_url="https://app.cryptoprocessing.com/api/v2",
                base_url_source='docs.cryptoprocessing.com, "Introduction"',
                codes=_CRYPTOPROCESSING,
                codes_source='docs.cryptoprocessing.com, "API currency codes"',
                read_on=_READ_ON,
            ),
        )
    }
)
"""The brands by name, which is the `brand` of an account."""

COINSPAID_2023: Final[Mapping[str, str]] = BRANDS["coinspaid"].aliases
"""The codes under which CoinsPaid listed one currency on several chains at the end of 2023, as aliases."""

CRYPTOPROCESSING_2026: Final[Mapping[str, str]] = BRANDS["cryptoprocessing"].aliases
"""The codes under which cryptoprocessing.com listed one currency on several chains in 2026, as aliases."""
