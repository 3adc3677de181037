"""Currency codes and the type of asset that they name."""

import enum
from typing import Final

MAX_CODE_LENGTH: Final = 32


class AssetType(enum.StrEnum):
    """What a currency is; a provider that does not say leaves it unknown."""

    CRYPTO = "crypto"
    FIAT = "fiat"
    UNKNOWN = "unknown"

    @classmethod
    def reported(cls, value: str) -> "AssetType":
        """Read a type as a provider reported it: a value that is not known yet is `UNKNOWN`, not an error."""
        return _TYPES.get(value, cls.UNKNOWN)


_TYPES: Final = {"crypto": AssetType.CRYPTO, "fiat": AssetType.FIAT}


def check_code(code: object) -> str:
    """Return a currency code (or the name of a chain) that can be shown and compared.

    Raises TypeError for anything but a string, ValueError for one that is empty, longer than `MAX_CODE_LENGTH`, not
    printable or with blanks around it.
    """
    if not isinstance(code, str):
        raise TypeError(f"a code must be a string, not {type(code).__name__}")
    if not code:
        raise ValueError("an empty code")
    if len(code) > MAX_CODE_LENGTH:
        raise ValueError(f"a code longer than {MAX_CODE_LENGTH} characters")
    if not code.isprintable():
        raise ValueError("a code with characters that are not printable")
    if code != code.strip():
        raise ValueError("a code with blanks around it")
    return code
