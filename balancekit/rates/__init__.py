"""Rates from public sources: the euro reference rates of the European Central Bank."""

from balancekit.rates.ecb import EcbRates
from balancekit.rates.reference import ReferenceRates

__all__ = ["EcbRates", "ReferenceRates"]
