"""What a currency is called and what type of asset it is; which codes and labels can be shown; the codes of ISO 4217.

Codes and labels come from outside. Only those are admitted that can be shown on a screen, compared and written down.
"""

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAX_CODE_LENGTH: Final = 32
"""How many characters a currency's code, or the name of a chain, may have."""

MAX_LABEL_LENGTH: Final = 200
"""How many characters the label of an account, or a provider's own id, may have."""

# What `str.isprintable` lets through although nothing is drawn for it: the default ignorable code points that are
# letters or marks, two fillers more and the blank of braille. Source: Unicode 16, DerivedCoreProperties.txt.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)


class AssetType(enum.StrEnum):
    """What type of asset a currency is; unknown where the provider does not say."""

    CRYPTO = "crypto"
    FIAT = "fiat"
    UNKNOWN = "unknown"

    @classmethod
    def reported(cls, value: str) -> "AssetType":
        """Read a type as a provider reported it: a value that is not known yet is `UNKNOWN`, not an error."""
        return KNOWN_TYPES.get(value) or cls.UNKNOWN


KNOWN_TYPES: Final[Mapping[str, AssetType]] = MappingProxyType({"crypto": AssetType.CRYPTO, "fiat": AssetType.FIAT})
"""The types of asset that a provider may report, by their names."""


def normalize_code(code: str) -> str:
    """Return the currency that a code names: the code in upper case.

    Only ASCII letters are changed. Some letters of other scripts become ASCII letters in upper case, and a code with
    such a letter must not be taken for another.
    """
    if not code.isascii():
        return str.__str__(code)
    currency = code.upper()
    # Nearly every code is in upper case already: keep one string rather than two that are equal. A member of an
    # enumeration is equal to its value, too, but a dict finds no value by it.
    return code if currency == code and type(code) is str else currency


def check_code(code: str) -> str:
    """Return a currency code that can be shown and compared.

    Raises TypeError for anything but a string, ValueError for one that is empty, longer than `MAX_CODE_LENGTH`, not
    printable or with blanks around or in it: `BTC 1000` would pass for a code and an amount.
    """
    code = _check(code, "code", MAX_CODE_LENGTH)
    if " " in code:
        raise ValueError("a code with blanks in it")
    return code


def check_chain(chain: str) -> str:
    """Return the name of a chain that can be shown and compared; raises as `check_code`, but blanks may be in it."""
    return _check(chain, "chain", MAX_CODE_LENGTH)


def check_label(label: str) -> str:
    """Return the label of an account, the name of a provider or a provider's own id if it can be shown.

    Raises TypeError for anything but a string, ValueError for one that is empty, longer than `MAX_LABEL_LENGTH`, not
    printable or with blanks around it.
    """
    # The usual case, since this is done for every response.
    is_plain = type(label) is str and label.isascii() and label.isprintable()
    if is_plain and 0 < len(label.strip()) == len(label) <= MAX_LABEL_LENGTH:
        return label
    return _check(label, "label", MAX_LABEL_LENGTH)


def _check(name: object, kind: str, longest: int) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a {kind} must be a string, not {type(name).__name__}")
    if type(name) is not str:
        # A member of an enumeration, for one, is equal to its value, and shown as something else.
        name = str.__str__(name)
    if not name:
        raise ValueError(f"an empty {kind}")
    if len(name) > longest:
        raise ValueError(f"a {kind} longer than {longest} characters")
    if not name.isprintable() or not (name.isascii() or _INVISIBLE.search(name) is None):
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
"""The currency codes of ISO 4217, for providers that do not say what type of asset a code is.

Source: list one (active codes, with funds and metals) as published on 2026-01-01 by SIX, the standard's maintenance
agency. A test compares the table with the `iso4217` distribution of that date.
"""
