"""Names that come from outside: only what can be shown, compared and written down is let in."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class AssetType(enum.StrEnum):
    """What a currency is; a provider that does not say leaves it unknown."""

    CRYPTO = "crypto"
    FIAT = "fiat"
    UNKNOWN = "unknown"

    @classmethod
    def reported(cls, value: str) -> "AssetType":
        """Read a type as a provider reported it: a value that is not known yet is `UNKNOWN`, not an error."""
        return KNOWN_TYPES.get(value) or cls.UNKNOWN


KNOWN_TYPES: Final[Mapping[str, AssetType]] = MappingProxyType({"crypto": AssetType.CRYPTO, "fiat": AssetType.FIAT})
"""The types of asset by the words for them."""


MAX_CODE_LENGTH: Final = 32
"""How many characters a currency's code, or the name of a chain, may have."""

MAX_LABEL_LENGTH: Final = 200
"""How many characters the label of an account, or a provider's own id, may have."""


def check_code(code: object) -> str:
    """Return a currency code (or the name of a chain) that can be shown and compared.

    Raises TypeError for anything but a string, ValueError for one that is empty, longer than `MAX_CODE_LENGTH`, not
    printable or with blanks around it.
    """
    return _check(code, "code", MAX_CODE_LENGTH)


def check_label(label: object) -> str:
    """Return the label of an account, the name of a provider or a provider's own id if it can be shown.

    Raises TypeError for anything but a string, ValueError for one that is empty, longer than `MAX_LABEL_LENGTH`, not
    printable or with blanks around it.
    """
    return _check(label, "label", MAX_LABEL_LENGTH)


def normalize_code(code: str) -> str:
    """Return the currency that a code names: the code in upper case.

    Only ASCII letters are changed. Other scripts have letters that become ASCII ones in upper case, and a code with
    such a letter must not pass for another.
    """
    if not code.isascii():
        return code
    currency = code.upper()
    # Nearly every code is a currency already: kept as one string rather than as two that are equal.
    return code if currency == code else currency


def _check(name: object, kind: str, longest: int) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a {kind} must be a string, not {type(name).__name__}")
    if not name:
        raise ValueError(f"an empty {kind}")
    if len(name) > longest:
        raise ValueError(f"a {kind} longer than {longest} characters")
    if not name.isprintable():
        raise ValueError(f"a {kind} with characters that are not printable")
    if name != name.strip():
        raise ValueError(f"a {kind} with blanks around it")
    return name


ISO_4217_CODES: Final = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
    CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
    GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW
    KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS
    VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER
    ZAR ZMW ZWG
    """.split(),  # noqa: SIM905 - a table of words reads better than 178 quoted strings
)
"""Every active three-letter code."""
