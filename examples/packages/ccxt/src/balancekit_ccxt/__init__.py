"""Exchanges for balancekit, by ccxt: `provider = "ccxt"` in `accounts.toml`, or `CcxtProvider` in a program."""

from balancekit_ccxt.provider import CcxtProvider
from balancekit_ccxt.rates import CcxtRates, TickerRates

__all__ = ["CcxtProvider", "CcxtRates", "TickerRates"]
