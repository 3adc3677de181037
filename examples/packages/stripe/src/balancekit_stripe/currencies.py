"""Stripe's own table of decimals, from docs.stripe.com/currencies, compared with copies of it of 2025 and 2026.

Its list of currencies without decimals and its special cases are the same in copies of July and September 2026. Its
list of those with three is no longer shown to all countries, and is that of a copy of December 2022. A currency without
a remark has two.
"""

from typing import Final

from balancekit import MinorUnits

_ZERO: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"

_THREE: Final = "BHD JOD KWD OMR TND"

# Special cases: ISK counts in hundredths, though it has none; HUF and TWD are without decimals in payouts alone.
_TWO: Final = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK
DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD KES KGS KHR KYD KZT LAK LBP
LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD XCG YER ZAR ZMW
"""

_DECIMALS: dict[str, int] = {}
for _codes, _places in ((_ZERO, 0), (_TWO, 2), (_THREE, 3)):
    _DECIMALS.update(dict.fromkeys(_codes.split(), _places))

UNITS: Final = MinorUnits(_DECIMALS)
"""The decimals of each currency at Stripe.

UGX is left out: it is in the list of currencies without decimals, and the special cases say to send 500 for 5. An
account that holds it cannot be read, since a guess could be wrong by a factor of a hundred.
"""
