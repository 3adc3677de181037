"""What a currency code names: the type of asset."""

import enum
from typing import Final


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
