"""Which of the codes that exchanges use are money of states, and which are crypto."""

from typing import Final

from balancekit import AssetType

# What exchanges hold in accounts at banks.
_FIAT: Final = """
AED ARS AUD BRL CAD CHF CLP COP CZK DKK EUR GBP HKD IDR INR JPY KRW MXN NGN NOK NZD PEN PHP PLN RON RUB SEK SGD THB
TRY TWD UAH USD VND ZAR
"""

# The rest of ISO 4217, as of 2026.
_OTHER_STATES: Final = """
AFN ALL AMD ANG AOA AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BSD BTN BWP BYN BZD CDF CNY CRC CUP CVE DJF DOP DZD
EGP ERN ETB FJD FKP GEL GHS GIP GMD GNF GTQ GYD HNL HTG HUF ILS IQD IRR ISK JMD JOD KES KGS KHR KMF KPW KWD KYD KZT
LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MYR MZN NAD NIO NPR OMR PAB PGK PKR PYG QAR RSD
RWF SAR SBD SCR SDG SHP SLE SOS SRD SSP STN SVC SYP SZL TJS TMT TND TOP TTD TZS UGX UYU UZS VED VES VUV WST XAF XCD
XOF XPF YER ZMW ZWG
"""

_TYPES: Final = dict.fromkeys(_FIAT.split(), AssetType.FIAT) | dict.fromkeys(_OTHER_STATES.split(), AssetType.UNKNOWN)


def asset_type_of(code: str) -> AssetType:
    """Return the type of asset that a code is at an exchange.

    It is unknown for codes of ISO 4217 that exchanges hold no money of: some are tokens, such as MNT, which is Mantle.
    """
    return _TYPES.get(code, AssetType.CRYPTO)
