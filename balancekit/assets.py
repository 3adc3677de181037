"""What a currency code names: the type of asset."""

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
